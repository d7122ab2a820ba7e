"""Nuclear segmentation in 3D fluorescence microscopy with the NSN network of QCANet (DevoNet)."""

from .network import DevoNet

__all__ = ["DevoNet"]
