"""Crypts in stained colon tissue: whole slides in, masks and tables out."""

from .network import CryptNet

__all__ = ["CryptNet"]
