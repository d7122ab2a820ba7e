"""JPEG data in other files: what breaks off is refused, which decoders fill with gray and no word."""

from types import ModuleType
from typing import Any

import tifffile.tifffile as tifffile

__all__ = ["check_jpeg"]

SCAN, END = b"\xff\xda", b"\xff\xd9"  # neither is in the pixels, where a zero follows each 255
_codecs = tifffile.imagecodecs


def check_jpeg(data: bytes) -> None:
    """ValueError if pixels in JPEG have no end; bytes may stand behind it."""
    if data.rfind(END) < data.rfind(SCAN):
        raise ValueError(f"JPEG that breaks off after {len(data)} bytes")


class _Codecs(ModuleType):
    """All of imagecodecs as tifffile calls it, which has no table of its own for JPEG as for LZW."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_codecs, name)

    def jpeg_decode(self, data: bytes, /, **options: Any) -> Any:
        check_jpeg(data)
        return _codecs.jpeg_decode(data, **options)


tifffile.imagecodecs = _Codecs("imagecodecs")
