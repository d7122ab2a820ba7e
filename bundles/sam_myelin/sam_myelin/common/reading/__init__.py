"""What a file holds: the only code that opens images."""
