"""Exporters: what the bundles wrote, turned back into what the field's own programs read."""
