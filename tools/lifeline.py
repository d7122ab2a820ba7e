"""Processes that end with the one that started them, however that ended."""

import ctypes
import signal
import sys

__all__ = ["end_with_parent"]

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the system end this process when the one that started it is gone; on Linux, elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
