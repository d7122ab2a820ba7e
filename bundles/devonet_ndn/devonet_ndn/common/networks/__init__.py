"""Networks that more than one bundle uses."""
