"""A bundle's network, loaded once, run on images: the command line and the server are thin over it."""
