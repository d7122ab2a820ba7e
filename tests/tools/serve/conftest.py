"""A server with a stand-in for the process that segments, on a port of this machine."""

import io
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import psutil
import pytest
import uvicorn
from PIL import Image

from common.errors import InputError
from tests.processes import ROOT, free_port
from tools.segment.description import Description
from tools.segment.inputs import prepare_image
from tools.segment.results import Result
from tools.segment.sources import choose_image
from tools.serve.app import create_app
from tools.serve.connections import Connection
from tools.serve.dispatcher import Dispatcher
from tools.serve.failures import Failure
from tools.serve.jobs import Job, Limits
from tools.serve.page import mount_page
from tools.serve.pictures import write_view
from tools.serve.uploads import check_work

IMAGES = Description("images", Path("images"), "a threshold", 2, "mask", (".png", ".tif", ".tiff"), ("boxes", "points"))
VOLUMES = Description("volumes", Path("volumes"), "a threshold", 3, "mask", (".nii.gz", ".nii"), ("spacing",))
BUNDLES = {bundle.name: bundle for bundle in (IMAGES, VOLUMES)}
THRESHOLD = 127


class StandIn:
    """Where an image is bright, instead of `Worker`; ``gate`` holds it back while it is cleared."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.gate, self.is_alive, self.jobs, self.num_at_once = threading.Event(), True, [], 0
        self.num_interrupted = 0
        self.gate.set()
        self.before: Callable[[Job], None] = lambda job: None

    def run(self, job: Job, timeout_s: float) -> Result:
        self.num_at_once += 1
        assert self.num_at_once == 1, "two images at once"
        try:
            check_work(job.image, BUNDLES[job.bundle], job.options, self.limits)
            options = choose_image(job.image, BUNDLES[job.bundle], job.options)
            self.jobs.append(job)
            assert self.gate.wait(30)
            self.before(job)
            bundle = BUNDLES[job.bundle]
            image = prepare_image(job.image, bundle, job.folder / "images", options)
            (job.folder / "results").mkdir()
            if bundle.num_axes == 2:
                mask = job.folder / "results" / "image_mask.png"
                with Image.open(image) as picture:
                    Image.fromarray((np.asarray(picture) > THRESHOLD) * np.uint8(255)).save(mask)
            else:
                mask = job.folder / "results" / "image_mask.nii.gz"
                volume = nib.load(image)
                bright = (np.asarray(volume.dataobj) > THRESHOLD).astype(np.uint8)
                nib.save(nib.Nifti1Image(bright, volume.affine), mask)
            if job.view:
                write_view(image, job.view)
            return Result(image, mask, (mask,), 0.01)
        except InputError as error:
            raise Failure(422, str(error).replace(f"{job.image}", "the image")) from error
        finally:
            self.num_at_once -= 1

    def interrupt(self) -> None:
        self.num_interrupted += 1
        self.gate.set()

    def stop(self, grace_s: float = 0) -> None:
        self.is_alive = False
        self.gate.set()


@dataclass
class Server:
    url: str
    port: int
    dispatcher: Dispatcher
    worker: StandIn

    def post(self, content: bytes, query: str = "", name: str = "a.png", headers=None, **fields) -> httpx.Response:
        files = {"image": (name, content)}
        return httpx.post(f"{self.url}/seg_mask{query}", files=files, data=fields, headers=headers, timeout=60)

    def post_path(self, image_path: str, **fields) -> httpx.Response:
        return httpx.post(f"{self.url}/seg_mask", json={"image_path": image_path, **fields}, timeout=60)

    def is_idle(self) -> bool:
        return not self.dispatcher.is_busy and not self.dispatcher.num_waiting


@contextmanager
def running(
    limits: Limits,
    data_dir: Path | None = None,
    page_folder: Path | None = None,
    samples: dict[str, list[Path]] | None = None,
    token: str = "",
    settings: dict[str, dict] | None = None,
    corrections: Path | None = None,
) -> Iterator[Server]:
    worker = StandIn(limits)
    dispatcher = Dispatcher(lambda: worker, limits)
    app = create_app(dispatcher, BUNDLES, data_dir=data_dir, token=token, settings=settings or {})
    if page_folder:
        app = mount_page(app, samples or {}, page_folder, corrections)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", http=Connection, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        yield Server(f"http://127.0.0.1:{port}", port, dispatcher, worker)
        worker.gate.set()
        server.should_exit = True
        thread.join(30)


@contextmanager
def server_process(folder: Path, *words: str, under: Sequence[str] = ()) -> Iterator[tuple[str, psutil.Process]]:
    """A server as users start it: its URL and its process, whose log and temporary files are in the folder.

    ``under`` is a command that starts it.
    """
    port, log = free_port(), folder / "log"
    (folder / "tmp").mkdir()
    with log.open("w") as file:
        command = [*under, sys.executable, "-m", "tools", "serve", *words, "--port", str(port)]
        process = psutil.Popen(
            command, cwd=ROOT, stdout=file, stderr=file, env=os.environ | {"TMPDIR": f"{folder}/tmp"}
        )
    try:
        until(lambda: is_up(f"http://127.0.0.1:{port}") or process.poll() is not None, 300)
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that has to happen."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def noise(seed: int, shape: tuple[int, ...] = (20, 30)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def server() -> Iterator[Server]:
    with running(Limits(max_upload_bytes=4 << 20, max_memory_bytes=20 << 20, max_queue=4, timeout_s=20)) as server:
        yield server
