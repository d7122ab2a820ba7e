"""Converters from the formats of published data sets to NIfTI (or PNG, TIFF) and a MONAI datalist."""
