"""Many runs of a bundle without what each tells of its steps."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TextIO

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[TextIO]:
    """Keep a dozen runs of a bundle from telling each of their steps; yields the file for what tells of all."""
    terminal, level = sys.stderr, logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield terminal
    finally:
        logging.disable(level)
