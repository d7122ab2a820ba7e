"""Bundles as files that others can download, and the checks before."""
