"""What glibc's malloc does with freed memory; elsewhere nothing is changed."""

import ctypes
import platform

__all__ = ["ARENA_MAX", "MMAP_MAX", "TRIM_THRESHOLD", "set_malloc"]

# mallopt's parameter numbers in glibc's malloc.h
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8


def set_malloc(parameter: int, value: int) -> None:
    """Set one of the parameters of this process, as mallopt does."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(parameter, value)
