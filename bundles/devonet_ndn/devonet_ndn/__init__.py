"""Detection of nuclei in 3D fluorescence microscopy with the NDN network of QCANet (DevoNet), and their instances."""

from .common.networks.devonet import DevoNet

__all__ = ["DevoNet"]
