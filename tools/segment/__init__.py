"""A bundle's network, loaded once, run on images: the command line, the server and devonet are thin over it."""
