"""Files that other programs open: what the bundles wrote, turned into what the field's own programs read."""
