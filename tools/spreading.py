"""Many jobs in this process, in several ones on this machine, or on a Dask cluster."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from common.errors import InputError

__all__ = ["Spread", "one_by_one", "open_cluster"]

Job = TypeVar("Job")
Spread = Callable[[Callable[[Any], object], Iterable[Any]], Iterator[tuple[Any, Exception | None]]]
"""Calls a function with every job, wherever it likes; gives each job back when it is done, with what it failed of."""

TRIES_AGAIN = 2  # of a job whose process died
ANSWER_S = 10  # that a scheduler may take


def one_by_one(function: Callable[[Job], object], jobs: Iterable[Job]) -> Iterator[tuple[Job, Exception | None]]:
    """Call a function in this process; see `Spread`."""
    for job in jobs:
        try:
            function(job)
        except Exception as error:
            yield job, error
        else:
            yield job, None


@contextmanager
def open_cluster(workers: int | None = None, scheduler: str = "") -> Iterator[Spread]:
    """Where jobs go; in this process where neither workers nor a scheduler are given.

    Parameters
    ----------
    workers : int, optional
        Processes that are started on this machine for as long as the block runs.
    scheduler : str
        Address of a Dask scheduler that runs already, such as ``tcp://10.0.0.1:8786``. Its workers see the same files
        under the same paths, and have this toolbox.

    Raises
    ------
    InputError
        If Dask is missing, no scheduler answers, or it has other versions.
    """
    if not workers and not scheduler:
        yield one_by_one
        return
    try:
        import dask
        import distributed
    except ModuleNotFoundError as error:
        raise InputError('--workers and --scheduler need a package: pip install "dask[distributed]"') from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters to a user is told here
    threads = str(max(1, (os.cpu_count() or 1) // (workers or 1)))
    settings = {
        "distributed.scheduler.allowed-failures": 0,  # they are counted here
        "distributed.worker.daemon": False,  # a training starts processes of its own
        "distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS": threads,
        "distributed.nanny.pre-spawn-environ.MKL_NUM_THREADS": threads,
    }
    with dask.config.set(settings):
        if scheduler:
            with _client(scheduler) as client:  # which counts by itself
                yield lambda function, jobs: _spread(client, function, jobs, 0)
            return
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=None,
            dashboard_address="127.0.0.1:0",  # with None it takes 8787, and complains where that is taken
            silence_logs=50,
        )
        with cluster, distributed.Client(cluster) as client:
            yield lambda function, jobs: _spread(client, function, jobs, TRIES_AGAIN)


def _client(scheduler: str) -> Any:
    """A client of a running scheduler whose workers are as this process."""
    import distributed

    try:
        client = distributed.Client(scheduler, timeout=ANSWER_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"--scheduler {scheduler}: no Dask scheduler answers there; start one with: dask scheduler"
        ) from error
    try:
        client.get_versions(check=True)
    except ValueError as error:
        client.close()
        found = " ".join(str(error).split())
        raise InputError(f"--scheduler {scheduler}: has other versions than this process; {found}") from error
    return client


def _spread(
    client: Any, function: Callable[[Job], object], jobs: Iterable[Job], tries_again: int
) -> Iterator[tuple[Job, Exception | None]]:
    """`Spread` over a cluster.

    There are no more jobs under way than living processes: Dask blames the death of a process on all jobs that wait for
    it, too.
    """
    import distributed

    waiting = deque((job, 0) for job in jobs)
    futures: dict[Any, tuple[Job, int]] = {}
    done = distributed.as_completed()
    while waiting or futures:
        while waiting and len(futures) < max(1, sum(client.nthreads().values())):
            job, deaths = waiting.popleft()
            future = client.submit(function, job, pure=False)
            futures[future] = job, deaths
            done.add(future)
        future = next(done)
        job, deaths = futures.pop(future)
        error = future.exception()
        future.release()
        if not isinstance(error, distributed.KilledWorker):
            yield job, error
        elif deaths < tries_again:
            waiting.append((job, deaths + 1))
        else:
            yield job, InputError("its process died again and again, perhaps for lack of memory")
