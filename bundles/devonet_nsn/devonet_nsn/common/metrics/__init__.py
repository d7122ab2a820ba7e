"""Metrics in the form that MONAI accumulates and saves."""
