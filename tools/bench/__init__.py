"""Benchmarks: ratios of what is ours to what it is compared with, measured side by side in one run."""
