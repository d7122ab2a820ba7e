"""A bundle as a Hugging Face Space: a folder that serves it, alone."""
