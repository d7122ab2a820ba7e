"""The shared toolbox of the bundles: ``python -m tools`` lists its verbs."""
