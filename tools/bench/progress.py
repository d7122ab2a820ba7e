"""The terminal of a benchmark: its table on stdout, everything else on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

__all__ = ["progress_on_stderr"]


@contextmanager
def progress_on_stderr() -> Iterator[None]:
    """Send to stderr what is printed, and what MONAI logs: its loggers took hold of stdout when they were made."""
    known = [item for item in logging.root.manager.loggerDict.values() if isinstance(item, logging.Logger)]
    for handler in (handler for logger in known for handler in logger.handlers):
        if getattr(handler, "stream", None) is sys.stdout:
            handler.setStream(sys.stderr)
    with redirect_stdout(sys.stderr):
        yield
