"""Myelin by prompts: Segment Anything with a decoder that knows sheaths, and the fibres made of its masks."""

from .network import SamMyelin

__all__ = ["SamMyelin"]
