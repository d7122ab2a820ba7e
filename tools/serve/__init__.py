"""Bundles behind HTTP: a queue, a process that holds the networks, an endpoint and a page."""
