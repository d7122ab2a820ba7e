"""Search for values of a bundle's train.json that give a better validation, shared between processes and machines."""
