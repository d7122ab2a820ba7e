"""Converters: what the field really ships, turned into NIfTI and a MONAI datalist."""
