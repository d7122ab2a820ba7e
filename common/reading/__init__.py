"""Reading images: the only code that opens them."""
