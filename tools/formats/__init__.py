"""Files of other programs: reading those of microscopes, and writing results for Fiji, QuPath, napari and others."""
