"""Networks that a bundle offers, or values of another knob, trained and evaluated on the same folds of a dataset."""
