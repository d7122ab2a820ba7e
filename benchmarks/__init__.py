"""Ratios of what is ours to what it is compared with, measured side by side; run by hand, no part of the product."""
