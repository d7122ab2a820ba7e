"""Bundles as algorithms of MONAI's Auto3DSeg: a folder of templates that BundleGen and AutoRunner take."""
