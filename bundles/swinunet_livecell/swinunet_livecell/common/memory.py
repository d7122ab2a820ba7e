"""How much memory the machine has."""

import math
import os

__all__ = ["total_memory"]


def total_memory() -> float:
    """Bytes of the machine's memory; infinite where the system does not say, as Windows."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf
