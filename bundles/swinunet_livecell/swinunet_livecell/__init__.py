"""Cells in phase contrast: gray images in, masks and single cells out."""

from .architectures import build_network

__all__ = ["build_network"]
