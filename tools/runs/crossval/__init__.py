"""Bundles trained and evaluated over the folds of a dataset, their ensembles, and a report that compares them."""
