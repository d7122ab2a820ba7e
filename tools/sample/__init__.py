"""Small synthetic datasets in the format that the field ships, one module per bundle."""
