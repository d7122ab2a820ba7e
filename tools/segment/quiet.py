"""Many runs of a bundle without the log of each step."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

__all__ = ["quiet"]


@contextmanager
def quiet(level: int = logging.DEBUG) -> Iterator[TextIO]:
    """Hide what bundles and libraries log and warn of; yields the terminal, for a progress bar.

    Parameters
    ----------
    level : int
        What the tools themselves log is shown above this level.
    """
    terminal, disabled = sys.stderr, logging.root.manager.disable
    handlers = list(logging.root.handlers)
    logging.disable(level)
    for handler in handlers:
        handler.addFilter(_is_ours)
    try:
        with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield terminal
    finally:
        for handler in handlers:
            handler.removeFilter(_is_ours)
        logging.disable(disabled)


def _is_ours(record: logging.LogRecord) -> bool:
    is_ours = record.name.startswith(("tools.", "common."))
    for bar in list(getattr(tqdm, "_instances", ())) if is_ours else []:
        bar.clear(nolock=True)  # its line is free for the message; the next step draws it again
    return is_ours
