"""Commands ``python -m monai.bundle``, each in a process of its own that is forked from one that has imported MONAI.

The imports take longer than the evaluation of a small dataset; this way they are paid once.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

__all__ = ["WarmProcess", "can_fork"]

PRELOADED = ["monai.bundle", "torch.utils.tensorboard", "tools.runs.warm"]


def can_fork() -> bool:
    """Whether this system knows such processes."""
    return "forkserver" in multiprocessing.get_all_start_methods()


class WarmProcess:
    """A running command ``python -m MODULE ...``, with what `run_step` needs of the interface of `subprocess.Popen`.

    It ends with the process that started it, however that ends. ``stdout`` is what it prints, on either stream.
    """

    def __init__(self, command: list[str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        reader, writer = context.Pipe(duplex=False)
        self.returncode: int | None = None
        self._process = context.Process(
            target=_run_module, args=(command[2:], str(Path.cwd()), dict(os.environ), writer)
        )
        self._process.start()
        writer.close()
        self.stdout = os.fdopen(os.dup(reader.fileno()), errors="replace")
        reader.close()

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.terminate()
        self._process.join()
        self.stdout.close()
        self.returncode = self._process.exitcode


def _run_module(words: list[str], folder: str, environment: Mapping[str, str], output: Connection) -> None:
    """``python -m`` of the first word in a folder, with the others as arguments; prints to ``output``."""
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output.fileno(), stream.fileno())
    output.close()
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = list(words)
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except Exception:  # multiprocessing would print it without asking the hook, by which bundles shorten what they tell
        sys.excepthook(*sys.exc_info())
        sys.exit(1)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """End this process when its parent has ended: nobody waits for it, and it would go on writing."""
    parent.join()
    os._exit(1)
