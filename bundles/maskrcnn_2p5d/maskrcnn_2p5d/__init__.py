"""Nuclei in volumes from 2.5D slices: a detector that sees neighbouring slices, and its objects linked in 3D."""

from .network import MaskRCNN2p5D

__all__ = ["MaskRCNN2p5D"]
