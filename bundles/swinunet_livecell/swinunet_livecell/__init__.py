"""Cells in phase contrast: gray images in, masks out."""

from .network import SwinUNet

__all__ = ["SwinUNet"]
