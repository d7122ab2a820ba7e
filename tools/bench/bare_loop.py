"""A bundle's inference.json over a folder of images, in a process of its own: what a server is held to."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from tools.serve.jobs import ServedBundle

__all__ = ["BareLoop", "bare_loop"]


class BareLoop:
    """A running process that segments the folder when it is told to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self) -> float:
        """Segment all images once; seconds it took."""
        self._connection.send(None)
        seconds = self._connection.recv()
        if isinstance(seconds, str):
            raise RuntimeError(f"the bare loop failed: {seconds}")
        return seconds


@contextmanager
def bare_loop(bundle: ServedBundle, folder: Path, output: Path) -> Iterator[BareLoop]:
    """Start the process, and end it with the block.

    Parameters
    ----------
    bundle : ServedBundle
    folder : Path
        Images that the bundle reads.
    output : Path
        Folder for the results.
    """
    context = multiprocessing.get_context("spawn")
    ours, other = context.Pipe()
    process = context.Process(target=_serve, args=(other, bundle, folder, output), daemon=True)
    process.start()
    other.close()
    try:
        yield BareLoop(ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _serve(connection: Connection, bundle: ServedBundle, folder: Path, output: Path) -> None:
    sys.stdout = sys.stderr = open(os.devnull, "w")  # no progress bars, as on the server
    try:
        from monai.bundle import ConfigWorkflow

        overrides = {"dataset_dir": str(folder), "output_dir": str(output), **bundle.overrides}
        config = str(bundle.root / "configs" / "inference.json")
        workflow = ConfigWorkflow(
            config, workflow_type=None, logging_file=False, bundle_root=str(bundle.root), **overrides
        )
        workflow.initialize()
        workflow.run()  # loads the weights, and warms up
        evaluator = workflow.parser.get_parsed_content("evaluator")
        while True:
            connection.recv()
            started = time.perf_counter()
            evaluator.run()
            connection.send(time.perf_counter() - started)
    except EOFError:
        return
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
