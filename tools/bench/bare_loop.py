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

from tools.segment.description import Description

__all__ = ["BareLoop", "bare_loop"]

END_S = 30
READY = 0.0  # what the process sends when it has loaded and segmented everything once


class BareLoop:
    """A running process that segments the folder when it is told to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self) -> float:
        """Segment all images once; seconds it took."""
        self._connection.send(None)
        return self.receive()

    def receive(self) -> float:
        """The process's next message.

        Raises
        ------
        RuntimeError
            If it failed, or is gone.
        """
        try:
            message = self._connection.recv()
        except EOFError:
            message = "its process is gone"
        if isinstance(message, str):
            raise RuntimeError(f"the bare loop failed: {message}")
        return message


@contextmanager
def bare_loop(bundle: Description, folder: Path, output: Path) -> Iterator[BareLoop]:
    """Start the process, let it segment everything once, and end it with the block.

    Parameters
    ----------
    bundle : Description
        Its backend and overrides are the loop's, too.
    folder : Path
        Images that the bundle reads.
    output : Path
        Folder for the results, which are there from the beginning of the block.
    """
    context = multiprocessing.get_context("spawn")
    ours, other = context.Pipe()
    process = context.Process(target=_serve, args=(other, bundle, folder, output), daemon=True)
    process.start()
    other.close()
    try:
        loop = BareLoop(ours)
        loop.receive()
        yield loop
    finally:
        ours.close()  # tells it to end
        process.join(END_S)
        process.kill()
        process.join()


def _serve(connection: Connection, bundle: Description, folder: Path, output: Path) -> None:
    sys.stdout = sys.stderr = open(os.devnull, "w")  # no progress bars, as on the server
    try:
        from ignite.engine import Events
        from monai.bundle import ConfigWorkflow

        overrides = {"dataset_dir": str(folder), "output_dir": str(output), **bundle.overrides}
        configs = [str(path) for path in bundle.configs]
        workflow = ConfigWorkflow(
            configs, workflow_type=None, logging_file=False, bundle_root=str(bundle.root), **overrides
        )
        workflow.initialize()
        workflow.run()  # loads the weights, and warms up
        evaluator = workflow.parser.get_parsed_content("evaluator")
        for name in ("sam_loader", "checkpoint_loader"):  # which would load them again in each run
            loader = workflow.parser.get_parsed_content(name) if name in workflow.parser else None
            if loader is not None and evaluator.has_event_handler(loader, Events.STARTED):
                evaluator.remove_event_handler(loader, Events.STARTED)
        connection.send(READY)
        while True:
            connection.recv()
            started = time.perf_counter()
            evaluator.run()
            connection.send(time.perf_counter() - started)
    except EOFError:
        return
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
