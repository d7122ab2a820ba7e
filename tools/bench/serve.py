"""The server against the bare inference loop: requests per second, latency, memory, and whether answers are right."""

from __future__ import annotations

import io
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from fire.decorators import SetParseFns
from PIL import Image
from tqdm import tqdm

from common.errors import InputError
from tools.bench.bare_loop import BareLoop, bare_loop
from tools.bench.device import describe_device
from tools.bench.http_server import RunningServer, running_server
from tools.bench.serve_rows import latency_rows, memory_rows, rate_row
from tools.bench.table import Row, as_text
from tools.bench.testing_items import read_testing_items
from tools.bundles import find_bundle
from tools.command_line import reject, whole_number
from tools.sample.formats import sample_images
from tools.segment.description import Description, describe_bundle
from tools.segment.inputs import identify
from tools.segment.results import find_mask, read_mask

__all__ = ["serve"]

ROUNDS = 5
SAMPLE = "synthetic images"
ABOUT = (
    "ours: POST /seg_mask by concurrent clients that keep their connections, everything from upload to mask.\n"
    "other: the bundle's own inference.json over a folder with the same images, which keeps its network, with the\n"
    "same overrides, backend and number of threads, in a process of its own. Both write all results to the disk.\n"
    "They take turns; requests per second are medians over the rounds, and of the ratio within a round.\n"
    "memory: resident, of the server and the process that segments together, read after every answer. other: medians\n"
    "of a tenth of the readings after the warm-up, ours: of the last tenth. Every pixel of every answer is compared."
)


@dataclass
class Measured:
    """What the rounds gave.

    Attributes
    ----------
    loop_rates, server_rates : list of float
        Images per second of each round.
    latencies : list of float
        Seconds of each request.
    memory : list of (int, int)
        Bytes after each request, of the process that answers and of the one that segments.
    different : list of str
        Images whose answer was not the loop's mask, one name for each such answer.
    """

    loop_rates: list[float] = field(default_factory=list)
    server_rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


@SetParseFns(bundle=str, dataset_dir=str, num_requests=str, clients=str, backend=str)
def serve(
    *extra,
    bundle: str = "swinunet_livecell",
    dataset_dir: str = "",
    num_requests: str = "500",
    clients: str = "8",
    backend: str = "auto",
    **unknown,
) -> str:
    """Print requests per second of the server against the bundle's own loop, latencies and memory.

    Server and loop take turns. Every answer is compared with what the loop wrote for that image.

    Parameters
    ----------
    bundle : str
        Name of the bundle.
    dataset_dir : str
        Folder of images that the bundle reads, or dataset whose testing images are sent; synthetic ones if not given.
    num_requests : int
        Requests in all.
    clients : int
        That ask at the same time.
    backend : str
        torch, onnx or auto, as for serve; the loop's, too.
    """
    reject(unknown, serve, extra)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request, across the progress bar
    num_requests = whole_number("num_requests", num_requests, minimum=ROUNDS)
    clients = whole_number("clients", clients, minimum=1)
    root = find_bundle(bundle).resolve()
    described = describe_bundle(root, backend=backend)
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as name:
        found = _find_images(Path(dataset_dir), described) if dataset_dir else sample_images(root, Path(name, "made"))
        images = _gather(found, Path(name, "images"))
        about = [
            f"images: {Path(dataset_dir).resolve().name if dataset_dir else SAMPLE}: n = {len(images)}",
            f"device: {describe_device()}; backend: {described.backend}",
            f"load of the machine before: {', '.join(f'{load:.2f}' for load in os.getloadavg())}",
        ]
        measured = _measure(described, images, Path(name, "results"), num_requests, clients)
    if measured.different:
        raise RuntimeError(
            f"{len(measured.different)} of {num_requests} answers differ from the loop's masks: "
            f"{', '.join(sorted(set(measured.different))[:9])}"
        )
    rows = [
        rate_row(f"{bundle}: requests per second, {clients} clients", measured.server_rates, measured.loop_rates),
        *latency_rows(measured.latencies, clients),
        *memory_rows(measured.memory),
        Row(f"answers that differ from the loop's masks, of {num_requests}", "0", target="0", met="yes"),
    ]
    return "\n".join([*about, f"\n{as_text(rows)}\n\n{ABOUT}"])


def _find_images(dataset_dir: Path, bundle: Description) -> list[Path]:
    if (dataset_dir / "dataset.json").is_file():
        return [item["image"] for item in read_testing_items(dataset_dir)[1]]
    if not dataset_dir.is_dir():
        raise InputError(f"--dataset_dir {dataset_dir}: no such folder")
    images = sorted(path for path in dataset_dir.iterdir() if path.name.lower().endswith(bundle.suffixes))
    if not images:
        raise InputError(f"{dataset_dir}: no image ({', '.join(bundle.suffixes)}) to send")
    return images


def _gather(images: Sequence[Path], folder: Path) -> list[Path]:
    """Links to images under other names, as the server sees them: without name, and whatever lies beside them."""
    folder.mkdir()
    links = []
    for number, image in enumerate(images):
        kind = identify(image)
        if kind is None:
            raise InputError(f"{image}: not an image; give a folder with PNG, TIFF or NIfTI")
        links.append(folder / f"{number:04d}.{kind}")
        links[-1].symlink_to(image.resolve())
    return links


def _measure(bundle: Description, images: Sequence[Path], results: Path, num_requests: int, clients: int) -> Measured:
    options = ["--backend", bundle.backend, "--max_queue", str(2 * clients)]
    with running_server(bundle.name, options) as server, bare_loop(bundle, images[0].parent, results) as loop:
        masks = [_expected(results, image, bundle.mask_kind) for image in images]
        measured = _in_rounds(server, loop, images, masks, num_requests, clients)
        if server.num_replaced():
            raise RuntimeError(f"{server.num_replaced()} times the process that segments crashed and was replaced")
    return measured


def _in_rounds(
    server: RunningServer,
    loop: BareLoop,
    images: Sequence[Path],
    masks: Sequence[np.ndarray],
    num_requests: int,
    clients: int,
) -> Measured:
    """Loop over all images and a part of the requests in turns; from round to round the other one is first."""
    measured = Measured()
    bar = tqdm(total=num_requests, desc="requests", unit="request")
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    with bar, ThreadPoolExecutor(clients) as pool, httpx.Client(base_url=server.url, timeout=600, limits=limits) as web:

        def ask(number: int) -> httpx.Response:
            image = images[number % len(images)]
            started = time.perf_counter()
            answer = web.post("/seg_mask", files={"image": image.read_bytes()})
            measured.latencies.append(time.perf_counter() - started)
            if answer.status_code != 200:
                raise RuntimeError(f"{image.name}: {answer.status_code} {answer.text[:200]}")
            measured.memory.append(server.memory())
            bar.update()
            return answer

        def ask_all(part: np.ndarray) -> None:
            started = time.perf_counter()
            answers = list(pool.map(ask, part.tolist()))
            measured.server_rates.append(len(part) / (time.perf_counter() - started))
            for number, answer in zip(part.tolist(), answers, strict=True):  # beside the clock: it takes cores
                if not np.array_equal(_read_answer(answer), masks[number % len(images)]):
                    measured.different.append(images[number % len(images)].name)

        for turn, part in enumerate(np.array_split(np.arange(num_requests), ROUNDS)):
            ways: list[Callable[[], None]] = [
                lambda: measured.loop_rates.append(len(images) / loop.run()),
                lambda part=part: ask_all(part),
            ]
            for way in ways[:: -1 if turn % 2 else 1]:
                way()
    return measured


def _expected(results: Path, image: Path, kind: str) -> np.ndarray:
    """What the loop wrote for an image."""
    return read_mask(find_mask(results, image.name.split(".")[0], kind))[0]


def _read_answer(answer: httpx.Response) -> np.ndarray:
    if answer.headers["content-type"] == "image/png":
        return np.asarray(Image.open(io.BytesIO(answer.content)))
    with tempfile.NamedTemporaryFile(suffix=".nii.gz") as file:
        file.write(answer.content)
        file.flush()
        return read_mask(Path(file.name))[0]
