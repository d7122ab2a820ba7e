"""Nuclear segmentation in 3D fluorescence microscopy with the NSN network of QCANet (DevoNet)."""

from .common.networks.devonet import DevoNet

__all__ = ["DevoNet"]
