"""Plugin for napari: a bundle on a layer; see napari.yaml."""
