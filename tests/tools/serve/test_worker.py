"""The real process with a real bundle: results, errors, a crash, a time-out."""

import dataclasses
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from common.errors import InputError
from tests.processes import finish, start_module
from tests.tools.serve.conftest import noise, png, until
from tools.bundles import all_bundles, find_bundle
from tools.convert.nifti import write_volume
from tools.runs.words import as_words
from tools.sample.formats import sample_images
from tools.segment.description import describe_bundle
from tools.segment.results import read_mask
from tools.serve.dispatcher import Dispatcher
from tools.serve.failures import Failure
from tools.serve.jobs import Job, Limits
from tools.serve.worker import Worker, _Interruption
from tools.toolbox import read_toolbox

pytestmark = pytest.mark.slow

BUNDLES = Path(__file__).parents[3] / "bundles"


@pytest.fixture(scope="module")
def dispatcher():
    bundles = [describe_bundle(bundle) for bundle in all_bundles()]
    dispatcher = Dispatcher(lambda: Worker(bundles), Limits(timeout_s=120))
    yield dispatcher
    dispatcher.close()


@pytest.fixture
def segment(dispatcher, tmp_path):
    counter = iter(range(1000))

    def run(bundle, image, **options):
        folder = tmp_path / f"job_{next(counter)}"
        folder.mkdir()
        return dispatcher.submit(Job(bundle, image, folder, options)).result(120)

    return run


@pytest.mark.few("crypt_unet", "devonet_nsn")
@pytest.mark.parametrize("name", [bundle.name for bundle in all_bundles()])
def test_result_is_that_of_the_bundle_run_by_monai(name, segment, tmp_path):
    (image, *_) = sample_images(find_bundle(name), tmp_path / "samples")
    served = segment(name, image)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / served.image.name).write_bytes(served.image.read_bytes())
    command = ["monai.bundle", "run", "--bundle_root", BUNDLES / name]
    command += ["--config_file", BUNDLES / name / "configs" / "inference.json"]
    command += ["--dataset_dir", folder, "--output_dir", tmp_path / "out"]
    finish(start_module(*command, *as_words(read_toolbox(BUNDLES / name).inference), cwd=tmp_path))
    expected, _ = read_mask(tmp_path / "out" / served.mask.name)
    found, _ = read_mask(served.mask)
    np.testing.assert_array_equal(found, expected)
    assert found.any(), "nothing is found in the sample that the page offers"
    assert {path.name for path in served.files} == {path.name for path in (tmp_path / "out").iterdir()}
    if served.table:
        assert len(served.table.read_text().splitlines()) - 1 > 0
    assert (served.table is not None) == (name != "devonet_nsn")


def test_boxes_and_points_choose_the_fibres(segment, tmp_path):
    (image, *_) = sample_images(find_bundle("sam_myelin"), tmp_path / "samples")
    labels, _ = read_mask(segment("sam_myelin", image, boxes="[[10, 10, 80, 80], [90, 90, 140, 150]]").mask)
    assert set(np.unique(labels)) <= {0, 1, 2}
    fibres, _ = read_mask(segment("sam_myelin", image).labels)
    depth = ndimage.distance_transform_edt(ndimage.minimum_filter(fibres, 3) == ndimage.maximum_filter(fibres, 3))
    y, x = np.unravel_index(np.where(fibres > 0, depth, 0).argmax(), depth.shape)
    chosen, _ = read_mask(segment("sam_myelin", image, points=f"[[{x}, {y}]]").labels)
    np.testing.assert_array_equal(chosen > 0, fibres == fibres[y, x])
    with pytest.raises(Failure, match="boxes: expected JSON") as caught:
        segment("sam_myelin", image, boxes="nonsense")
    assert caught.value.status == 422


def test_nan_volume_is_refused_in_the_words_of_the_bundle(segment, tmp_path):
    volume = np.full((4, 8, 8), np.nan, np.float32)
    write_volume(tmp_path / "a.nii.gz", volume, (2.0, 0.8, 0.8))
    with pytest.raises(Failure, match=r"^the image: holds NaN") as caught:
        segment("devonet_nsn", tmp_path / "a.nii.gz")
    assert caught.value.status == 422


def test_cut_image_is_refused_in_the_words_of_the_bundle(segment, tmp_path):
    (tmp_path / "a.png").write_bytes(png(noise(0, (64, 64)))[:2000])
    for bundle in ("sam_myelin", "swinunet_livecell"):
        with pytest.raises(Failure, match=r"(?i)^the image: .*truncated.*again$") as caught:
            segment(bundle, tmp_path / "a.png")
        assert caught.value.status == 422


def test_stack_of_pages_is_refused_by_a_bundle_of_images(segment, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(0, (3, 64, 64)), photometric="minisblack")
    with pytest.raises(Failure, match=r"^the image: 3 pages, expected one") as caught:
        segment("swinunet_livecell", tmp_path / "a.tif")
    assert caught.value.status == 422


def test_image_that_became_a_link_while_it_waited_is_not_opened(dispatcher, tmp_path):
    write_volume(tmp_path / "secret.nii.gz", noise(0, (4, 8, 8)), (1.75, 0.8, 0.8))
    (tmp_path / "data").mkdir()
    image = tmp_path / "data" / "a.nii.gz"
    image.symlink_to(tmp_path / "secret.nii.gz")
    job = Job("devonet_ndn", image, tmp_path / "job", data_dir=tmp_path / "data")
    with pytest.raises(Failure, match="outside the data folder"):
        dispatcher.submit(job).result(120)


def test_image_whose_client_has_gone_is_given_up(dispatcher, tmp_path):
    volume = np.random.default_rng(0).integers(0, 200, (32, 256, 256)).astype(np.uint16)
    write_volume(tmp_path / "large.nii.gz", volume, (1.75, 1.6, 1.6))
    (tmp_path / "job").mkdir()
    future = dispatcher.submit(Job("devonet_ndn", tmp_path / "large.nii.gz", tmp_path / "job"))
    until(lambda: (tmp_path / "job" / "images").exists(), 60)
    pid, started = dispatcher.worker.pid, time.monotonic()
    dispatcher.leave(future)
    with pytest.raises(Failure, match="the client has disconnected"):
        future.result(60)
    assert time.monotonic() - started < 30 and dispatcher.worker.pid == pid
    dispatcher.leave(future)  # of a job that is done: nothing


def test_worker_that_crashes_is_replaced(dispatcher, segment, tmp_path):
    (image, *_) = sample_images(find_bundle("swinunet_livecell"), tmp_path / "samples")
    before, pid = dispatcher.num_replaced, dispatcher.worker.pid
    threading.Thread(target=lambda: (until(lambda: dispatcher.is_busy), os.kill(pid, signal.SIGKILL))).start()
    with pytest.raises(Failure, match="crashed") as caught:
        for _ in range(100):
            segment("swinunet_livecell", image)
    assert caught.value.status == 503
    assert read_mask(segment("swinunet_livecell", image).mask)[0].size
    assert dispatcher.num_replaced == before + 1 and dispatcher.worker.pid != pid


def test_image_that_takes_too_long_is_stopped(tmp_path):
    bundle = describe_bundle(BUNDLES / "swinunet_livecell")
    (image, *_) = sample_images(bundle.root, tmp_path / "samples")
    worker = Worker([bundle])
    with pytest.raises(Failure, match="longer than 0.001 seconds") as caught:
        worker.run(Job(bundle.name, image, tmp_path), 0.001)
    assert caught.value.status == 504 and not worker.is_alive


@pytest.mark.parametrize(
    ("spacing", "told"),
    [
        ((1.75, 0.8, 0.8), "takes about 10463 MiB, expected at most 1024 MiB"),
        pytest.param((), "takes more memory than there is for one", marks=pytest.mark.thorough),
    ],
)
def test_volume_that_grows_beyond_the_memory_is_refused(tmp_path, spacing, told):
    write_volume(tmp_path / "a.nii.gz", noise(0, (4, 8, 8)), (100.0, 100.0, 100.0))
    assert (tmp_path / "a.nii.gz").stat().st_size < 5000
    bundle = describe_bundle(BUNDLES / "devonet_nsn")
    assert bundle.spacing == (1.75, 0.8, 0.8)
    # one that does not say what it works at is stopped when it has taken as much
    worker = Worker([dataclasses.replace(bundle, spacing=spacing)], Limits(max_memory_bytes=1 << 30))
    for _ in range(2):
        (tmp_path / "job").mkdir()
        with pytest.raises(Failure, match=told) as caught:
            worker.run(Job("devonet_nsn", tmp_path / "a.nii.gz", tmp_path / "job"), 300)
        assert caught.value.status == 413 and worker.is_alive
        shutil.rmtree(tmp_path / "job")
    worker.stop()


def test_weights_that_do_not_fit_are_told_at_the_start():
    other = {"ckpt_path": str(BUNDLES / "devonet_nsn" / "models" / "model.pt")}
    with pytest.raises(InputError, match="model.pt"):
        Worker([describe_bundle(BUNDLES / "swinunet_livecell", overrides=other)])


def test_interruption_is_known_also_from_code_that_catches_everything():
    before = signal.getsignal(signal.SIGUSR1)
    try:
        interruption = _Interruption()
        with pytest.raises(ImportError, match="as pydoc does"), interruption:
            try:
                os.kill(os.getpid(), signal.SIGUSR1)
            except BaseException as error:
                raise ImportError("as pydoc does") from error
        assert interruption.has_come
        with interruption:
            assert not interruption.has_come
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_two_threads_that_stop_it_close_its_connection_one_after_the_other(monkeypatch):
    """The second would close what another file has got as its number since."""
    worker, inside, most = Worker([describe_bundle(find_bundle("devonet_ndn"))]), [], []
    close = worker._connection.close

    def slow() -> None:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.2)
        inside.pop()
        close()

    monkeypatch.setattr(worker._connection, "close", slow)
    threads = [threading.Thread(target=worker.stop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1] and not worker.is_alive
