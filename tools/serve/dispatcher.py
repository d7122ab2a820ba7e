"""The queue before the process that segments: one image after another, a crashed process replaced."""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus

from tools.serve.failures import Failure
from tools.serve.jobs import Job, Limits
from tools.serve.worker import Worker

__all__ = ["Dispatcher", "ending"]

logger = logging.getLogger(__name__)

FIRST_GUESS_S = 5.0  # of how long an image takes, before one was seen
SHARE_OF_GRACE = 0.2  # of the time to end, that a worker has to end by itself
AGAIN_S = 0.5  # until a job whose client has gone is told once more
MEMORY = 0.8  # weight of what was seen before, in the running mean


class Dispatcher:
    """Hands jobs to a worker in the order in which they came.

    ``start_worker`` starts the process that segments, and starts it again when it is gone.
    """

    def __init__(self, start_worker: Callable[[], Worker], limits: Limits) -> None:
        self.limits = limits
        self.num_done, self.num_replaced = 0, 0
        self.seconds_per_job = FIRST_GUESS_S
        self._start_worker = start_worker
        self._worker: Worker | None = start_worker()
        self._waiting: deque[tuple[Future, Job]] = deque()
        self._running: Future | None = None
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)
        self._thread.start()

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        return self._running is not None

    @property
    def worker(self) -> Worker | None:
        """The process that segments; None while it is being replaced."""
        return self._worker

    def retry_after_s(self) -> int:
        """When a place in the queue will likely be free."""
        return max(1, math.ceil(self.seconds_per_job))

    def full(self) -> Failure:
        """The answer to a request for which the queue has no place."""
        return Failure(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{self.limits.max_queue} images are waiting already; try again in a few seconds",
            retry_after_s=self.retry_after_s(),
        )

    def submit(self, job: Job) -> Future:
        """Queue a job; its future gives the `Result` or raises `Failure`. Cancelled, the job is not begun.

        Failure 429 if too many are waiting.
        """
        future: Future = Future()
        with self._changed:
            if self._is_closed:
                raise ending()
            if len(self._waiting) >= self.limits.max_queue:
                raise self.full()
            self._waiting.append((future, job))
            self._changed.notify()
        future.add_done_callback(self._forget)
        return future

    def leave(self, future: Future) -> None:
        """Give up a job whose client has gone: one that waits is not begun, one that runs ends within seconds.

        It is told so until it ends: a process that is only starting, or reads a header, does not hear of it.
        """
        if future.cancel() or future.done():
            return
        with self._changed:  # so that it is not the next job that is told
            if self._running is future and self._worker is not None:
                self._worker.interrupt()
        again = threading.Timer(AGAIN_S, self.leave, [future])
        again.daemon = True
        again.start()

    def position(self, future: Future) -> int:
        """How many jobs are before this one, the running one among them; 0 when it runs or is done."""
        with self._changed:
            places = [waiting for waiting, _ in self._waiting]
            return places.index(future) + self.is_busy if future in places else 0

    def close(self) -> None:
        """End the worker; clients that wait get an answer."""
        with self._changed:
            self._is_closed = True
            waiting, worker = list(self._waiting), self._worker
            self._waiting.clear()
            self._changed.notify()
        for future, _ in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(ending())
        if worker is not None:
            worker.stop(SHARE_OF_GRACE * self.limits.grace_s)

    def _forget(self, future: Future) -> None:
        """Free the place of a job that was cancelled while it waited."""
        if future.cancelled():
            with self._changed:
                self._waiting = deque(pair for pair in self._waiting if pair[0] is not future)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                future, job = self._waiting.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                self._running = future
            try:
                self._run(future, job)
            finally:
                with self._changed:
                    self._running = None

    def _run(self, future: Future, job: Job) -> None:
        try:
            worker = self._worker
            if worker is None or not worker.is_alive:  # it may have died between two images
                worker = self._replace()
            result = worker.run(job, self.limits.timeout_s)
        except Exception as error:
            future.set_exception(ending() if self._is_closed else error)
        else:
            self.num_done += 1
            self.seconds_per_job = MEMORY * self.seconds_per_job + (1 - MEMORY) * result.seconds
            future.set_result(result)
        if not self._is_closed and (self._worker is None or not self._worker.is_alive):
            try:
                self._replace()
            except Exception:
                logger.exception("the process that segments cannot be replaced; the next image tries again")

    def _replace(self) -> Worker:
        logger.warning("the process that segments is gone; starting another")
        if self._worker is not None:
            self._worker.stop()
        self._worker = None
        self._worker = self._start_worker()
        self.num_replaced += 1
        return self._worker


def ending() -> Failure:
    """The answer to who waits when the server has to stop."""
    return Failure(HTTPStatus.SERVICE_UNAVAILABLE, "the server is ending")
