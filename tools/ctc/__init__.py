"""Measures of the Cell Tracking Challenge: arrays in, numbers out; and the folders that they are applied to."""
