"""The bundles in other programs, thin over `tools.segment`."""
