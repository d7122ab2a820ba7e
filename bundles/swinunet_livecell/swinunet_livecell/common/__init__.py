"""What bundles and tools share, each thing written once; it imports neither."""
