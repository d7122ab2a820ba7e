"""The Cell Tracking Challenge's measures over folders of results and truth; those of arrays are in common/labels."""
