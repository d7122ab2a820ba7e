"""The networks that a bundle offers, trained and evaluated on the same folds of a dataset."""
