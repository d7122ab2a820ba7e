"""A process that holds a bundle's network, so that a viewer neither waits for it nor ends with it."""

from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from common.errors import InputError
from tools.lifeline import end_with_parent
from tools.segment.description import describe
from tools.segment.results import Result

__all__ = ["Cancelled", "SegmentingProcess"]


class Cancelled(Exception):
    """Somebody ended the process."""


class SegmentingProcess:
    """Segments one image after another; the network of the last bundle is kept."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def segment(
        self, bundle: str, image: Path, folder: Path, options: Mapping[str, str], overrides: Mapping[str, object]
    ) -> Result:
        """As `LoadedBundle.segment`, with a bundle's name.

        InputError if the image cannot be segmented. Cancelled if `end` was called meanwhile.
        """
        if self._connection is None:
            raise TypeError("start the process first")
        try:
            self._connection.send((bundle, image, folder, dict(options), dict(overrides)))
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise Cancelled from error
        if isinstance(answer, str):
            raise InputError(answer)
        return answer

    def end(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def start(self) -> None:
        """Start the process, unless it lives; it ends with the thread that calls this."""
        if self._process is not None and self._process.is_alive():
            return
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_answer, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _answer(connection: Connection) -> None:
    """Segment what is asked for until the other side is gone."""
    end_with_parent()
    from tools.segment.loaded import load

    held, loaded = "", None
    with suppress(EOFError):
        while True:
            bundle, image, folder, options, overrides = connection.recv()
            try:
                if loaded is None or held != bundle:
                    held, loaded = bundle, load(describe(bundle))
                connection.send(loaded.segment(image, folder, options, overrides=overrides, name="the layer"))
            except Exception as error:  # whatever it is, the viewer shows it
                connection.send(str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}")
