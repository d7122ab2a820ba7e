"""``tools serve`` as a process of its own, on a free port, for as long as a benchmark asks it."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

__all__ = ["RunningServer", "running_server"]

ROOT = Path(__file__).resolve().parents[2]
START_S, END_S = 300, 30


class RunningServer:
    """A server that answers, and its processes."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self._process = url, psutil.Process(pid)
        self._children = self._process.children(recursive=True)

    def memory(self) -> tuple[int, int]:
        """Resident bytes of the process that answers, and of the processes below it: the one that segments.

        Raises
        ------
        psutil.NoSuchProcess
            If the process that segments is another one by now.
        """
        # looking for children goes through all processes of the machine, time that the server would lack
        return self._process.memory_info().rss, sum(child.memory_info().rss for child in self._children)

    def num_replaced(self) -> int:
        """How often the process that segments had to be started again."""
        return httpx.get(f"{self.url}/health").json()["workers_replaced"]


@contextmanager
def running_server(bundle: str, options: Sequence[str] = ()) -> Iterator[RunningServer]:
    """Start the server, wait until it is ready, and end it and its processes with the block.

    Parameters
    ----------
    bundle : str
        Name of the bundle.
    options : sequence of str
        Further arguments of ``serve``.

    Raises
    ------
    RuntimeError
        If it does not start; its last words are told.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tools", "serve", bundle, "--port", str(port), *options]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            end = time.monotonic() + START_S
            while not _is_up(url):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise RuntimeError(f"the server did not start: {' '.join(command)}\n{log.read()[-1000:]}")
                time.sleep(0.2)
            yield RunningServer(url, process.pid)
        finally:
            _end(process)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def _end(process: subprocess.Popen) -> None:
    """Ask the process to end; it and its children are killed if they do not."""
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in psutil.wait_procs(children, timeout=END_S)[1]:
        child.kill()
