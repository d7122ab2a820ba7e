"""Only the result reaches stdout."""

from __future__ import annotations

import logging
import sys

from tools.bench.progress import progress_on_stderr


def test_prints_and_older_loggers_go_to_stderr(capsys):
    logger, handler = logging.getLogger("made before"), logging.StreamHandler(sys.stdout)
    logger.addHandler(handler)
    try:
        with progress_on_stderr():
            logger.warning("logged")
            print("printed")
    finally:
        logger.removeHandler(handler)
    print("result")
    out, err = capsys.readouterr()
    assert out == "result\n" and "logged" in err and "printed" in err
