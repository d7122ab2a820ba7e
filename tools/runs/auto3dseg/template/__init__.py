"""A bundle as an algorithm of MONAI's Auto3DSeg; the files here are copied into each template."""
