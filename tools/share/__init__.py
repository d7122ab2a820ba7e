"""Bundles as files that others can download, and what must hold before they are."""
