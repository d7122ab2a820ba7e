"""The queue before the process that segments, which a stand-in is for."""

from concurrent.futures import Future

import pytest

from tests.tools.serve.conftest import StandIn, noise, png, until
from tools.serve.dispatcher import Dispatcher
from tools.serve.failures import Failure
from tools.serve.jobs import Job, Limits


@pytest.fixture
def queue(tmp_path):
    """A dispatcher, its workers so far, and a function that submits a job."""
    limits, workers = Limits(max_queue=2), []
    (tmp_path / "a.png").write_bytes(png(noise(0)))

    def start() -> StandIn:
        workers.append(StandIn(limits))
        return workers[-1]

    def submit() -> Future:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return dispatcher.submit(Job("images", tmp_path / "a.png", folder))

    dispatcher = Dispatcher(start, limits)
    yield dispatcher, workers, submit
    dispatcher.close()


def test_no_more_wait_than_may(queue):
    dispatcher, (worker,), submit = queue
    worker.gate.clear()
    submit()
    until(lambda: dispatcher.is_busy and not dispatcher.num_waiting)
    waiting = [submit(), submit()]
    with pytest.raises(Failure, match="2 images are waiting already"):
        submit()
    worker.gate.set()
    assert all(future.result(20).mask.is_file() for future in waiting)


def test_job_that_has_just_ended_is_not_told_in_the_place_of_the_next(queue):
    dispatcher, (worker,), submit = queue
    worker.gate.clear()
    running, ended = submit(), Future()
    until(lambda: dispatcher.is_busy)
    ended.set_running_or_notify_cancel()
    dispatcher.leave(ended)
    assert not worker.num_interrupted
    ended.set_result(None)
    worker.gate.set()
    assert running.result(20).mask.is_file()


def test_worker_that_died_between_two_images_is_replaced_before_the_next(queue):
    _, workers, submit = queue
    workers[0].is_alive = False
    assert submit().result(20).mask.is_file()
    assert len(workers) == 2 and not workers[0].jobs
