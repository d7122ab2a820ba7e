"""The process that holds the networks and segments one image after another."""

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from common.errors import InputError, causes, find_write_error
from tools.lifeline import end_with_parent
from tools.segment.description import Description
from tools.segment.results import Result
from tools.serve.data_folder import find_image
from tools.serve.failures import CLIENT_CLOSED_REQUEST, Failure, no_room
from tools.serve.jobs import Job, Limits
from tools.serve.uploads import check_work

__all__ = ["Worker"]

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 600.0
CHECK_S = 30.0  # for the header of an image
GIVEN_UP = Failure(CLIENT_CLOSED_REQUEST, "given up, since the client has disconnected")
TOO_LARGE = "the image takes more memory than there is for one, at the resolution that the bundle works at; crop it"
READY, CHECKED = "ready", "checked"


class Worker:
    """A process with the networks of some bundles, in as many threads as the machine has cores if not told otherwise.

    InputError if a bundle cannot be loaded.
    """

    def __init__(
        self, bundles: Sequence[Description], limits: Limits | None = None, threads: int | None = None
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._stopping = threading.Lock()  # of two threads that close a connection at once, one closes another's file
        self._process = context.Process(
            target=_serve, args=(other, list(bundles), limits or Limits(), threads), daemon=True
        )
        self._process.start()
        other.close()
        loaded = self._receive(START_TIMEOUT_S, "loading the bundles")
        if isinstance(loaded, BaseException):
            self.stop()
            raise loaded

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def run(self, job: Job, timeout_s: float) -> Result:
        """Segment an image.

        Failure 413, 415 or 422 if the image cannot be used, 500 if something else goes wrong; 503 and 504 if the
        process crashed or took too long: it is then gone, and has to be replaced.
        """
        try:
            self._connection.send(job)
            answer = self._receive(min(timeout_s, CHECK_S), "reading the header of the image")
            if answer == CHECKED:
                answer = self._receive(timeout_s, "segmenting the image")
        except (OSError, EOFError) as error:
            self.stop()
            raise Failure(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the process that segments crashed at this image and is being replaced; try a smaller image",
                retry_after_s=30,
            ) from error
        if isinstance(answer, BaseException):
            raise answer
        result: Result = answer
        return result

    def interrupt(self) -> None:
        """Give up the image that is being segmented, whose client has gone: `run` then raises 499 within seconds."""
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGUSR1)

    def stop(self, grace_s: float = 0) -> None:
        """End the process; it has ``grace_s`` seconds to end by itself, which frees what it shares with this one."""
        with self._stopping:
            if grace_s and self._process.is_alive():
                with suppress(OSError):
                    self._connection.send(None)
                self._process.join(grace_s)
            if self._process.is_alive():
                self._process.kill()
            self._process.join()
            self._connection.close()

    def _receive(self, timeout_s: float, what: str) -> Any:
        if not self._connection.poll(timeout_s):
            self.stop()
            raise Failure(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"{what} took longer than {timeout_s:g} seconds and was stopped; send a smaller image",
            )
        return self._connection.recv()


def _serve(connection: Connection, bundles: Sequence[Description], limits: Limits, threads: int | None) -> None:
    """Body of the process: load, say so, then answer jobs until the other side is gone."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, stream=sys.stderr)
    # nobody watches the progress bars of a server
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    interruption = _Interruption()
    end_with_parent()
    try:
        import torch

        from tools.segment.loaded import LoadedBundle
        from tools.segment.sources import choose_image
        from tools.serve.pictures import write_view

        if threads:
            torch.set_num_threads(threads)
        loaded = {}
        for bundle in bundles:
            loaded[bundle.name] = LoadedBundle(bundle)
    except Exception as error:
        message = _find_message(error)
        connection.send(InputError(message))
        return
    _limit_memory(limits.max_memory_bytes)
    connection.send(READY)
    gc.collect()
    gc.freeze()  # so that collecting after each image, whose engines are cycles, takes milliseconds
    while (job := _receive_job(connection)) is not None:
        try:
            with interruption:
                if job.data_dir:
                    find_image(job.data_dir, str(job.image))
                check_work(job.image, loaded[job.bundle].bundle, job.options, limits)
                options = choose_image(job.image, loaded[job.bundle].bundle, job.options)
                connection.send(CHECKED)
                result = loaded[job.bundle].segment(job.image, job.folder, options, stem=job.stem)
                if job.view:
                    write_view(result.image, job.view)
            answer: Result | Failure = result
        except _Interrupted:
            answer = GIVEN_UP
        except Failure as failure:
            answer = failure
        except InputError as error:
            told = str(error).replace(f"{job.image}", "the image")
            answer = no_room() if find_write_error(error) else Failure(HTTPStatus.UNPROCESSABLE_ENTITY, told)
        except Exception as error:
            # some code catches everything and raises what it makes of it, as Python's search for a module does
            answer = GIVEN_UP if interruption.has_come else _as_failure(error, job.bundle)
        connection.send(answer)
        gc.collect()
    gc.unfreeze()  # what stays frozen to the end is reported as leaked


def _limit_memory(max_bytes: int) -> None:
    """Let this process take no more than so much beyond what it has, so that an image cannot take the machine's.

    Not with a GPU, whose driver claims addresses for all of its memory and the machine's.
    """
    statm = Path("/proc/self/statm")
    if not statm.is_file() or Path("/dev/nvidiactl").exists():
        return
    import resource

    page_bytes = os.sysconf("SC_PAGE_SIZE")
    present = int(statm.read_text().split()[0]) * page_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = present + max_bytes if hard == resource.RLIM_INFINITY else min(present + max_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _as_failure(error: Exception, bundle: str) -> Failure:
    """The answer to an error that no bundle foresaw."""
    if any(isinstance(cause, MemoryError) or "can't allocate memory" in str(cause) for cause in causes(error)):
        return Failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
    if find_write_error(error):
        return no_room()
    logger.error("%s: %s", bundle, error, exc_info=error)
    return Failure(HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong; see the server's log")


class _Interrupted(BaseException):
    """The client of an image has gone; no ``except Exception`` of what segments it holds this up."""


class _Interruption:
    """Raises `_Interrupted` where a signal arrives inside a block, and forgets it elsewhere: the image is done then."""

    def __init__(self) -> None:
        self._is_inside = False
        self.has_come = False
        signal.signal(signal.SIGUSR1, self._raise)

    def __enter__(self) -> None:
        self._is_inside, self.has_come = True, False

    def __exit__(self, *error: object) -> None:
        self._is_inside = False

    def _raise(self, *signalled: object) -> None:
        if self._is_inside:
            self._is_inside, self.has_come = False, True
            raise _Interrupted


def _receive_job(connection: Connection) -> Job | None:
    """The next job; None when there will be none."""
    try:
        return connection.recv()
    except (EOFError, KeyboardInterrupt):
        return None


def _find_message(error: BaseException) -> str:
    """The innermost words of what went wrong while a bundle was loaded."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{error}".split()) or type(error).__name__
