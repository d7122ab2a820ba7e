"""The server against the bare inference loop: requests per second, latency, memory, and whether answers are right."""

from __future__ import annotations

import io
import logging
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
from fire.decorators import SetParseFns
from PIL import Image
from tqdm import tqdm

from tools.bench.bare_loop import bare_loop
from tools.bench.table import Row, as_text
from tools.command_line import reject, whole_number
from tools.errors import InputError
from tools.serve.interfaces import INTERFACES, describe_bundle
from tools.serve.results import read_mask
from tools.serve.samples import sample_images

__all__ = ["growth", "latency_rows", "serve"]

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 4
START_S = 300
WARM_UP = 0.1  # share of the requests after which memory is first read
TARGET_RATIO, TARGET_GROWTH = 0.9, 0.05


@SetParseFns(bundle=str, dataset_dir=str, num_requests=str, clients=str)
def serve(
    *extra,
    bundle: str = "swinunet_livecell",
    dataset_dir: str = "",
    num_requests: str = "500",
    clients: str = "8",
    **unknown,
) -> str:
    """Print requests per second of the server against the bundle's own loop, latencies and memory.

    Server and loop take turns. Every answer is compared with what the loop wrote for that image.

    Parameters
    ----------
    bundle : str
        Name of the bundle.
    dataset_dir : str
        Folder of images that the bundle reads; synthetic ones if not given.
    num_requests : int
        Requests in all.
    clients : int
        That ask at the same time.
    """
    reject(unknown, serve, extra)
    if bundle not in INTERFACES:
        raise InputError(f"--bundle {bundle}: choose one of {', '.join(INTERFACES)}")
    num_requests = whole_number("num_requests", num_requests, minimum=ROUNDS)
    clients = whole_number("clients", clients, minimum=1)
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as name:
        folder = Path(dataset_dir) if dataset_dir else Path(name, "images")
        if not dataset_dir:
            sample_images(bundle, folder)
        suffixes = INTERFACES[bundle].suffixes
        images = sorted(path for path in folder.iterdir() if path.name.lower().endswith(suffixes))
        if not images:
            raise InputError(f"{folder}: no image ({', '.join(suffixes)}) to send")
        return as_text(_measure(bundle, folder, images, Path(name, "results"), num_requests, clients))


def growth(samples: Sequence[float]) -> float:
    """Part by which the last of some readings of memory, a tenth of them, lie above the first, by their medians."""
    count = max(1, len(samples) // 10)
    return statistics.median(samples[-count:]) / statistics.median(samples[:count]) - 1


def latency_rows(seconds: Sequence[float], clients: int) -> list[Row]:
    """Median and 95th percentile of what clients waited."""
    return [
        Row(f"latency with {clients} clients, {name}", f"{np.percentile(seconds, share):.2f} s")
        for name, share in (("median", 50), ("p95", 95))
    ]


def _measure(
    bundle: str, folder: Path, images: Sequence[Path], results: Path, num_requests: int, clients: int
) -> list[Row]:
    described = describe_bundle(ROOT / "bundles" / bundle)
    loop_rates, server_rates, latencies, memory = [], [], [], []
    with _server(bundle, clients) as (url, process), bare_loop(described, folder, results) as loop:
        loop.run()
        expected = [_expected(results, image, described.mask_kind) for image in images]
        bar = tqdm(total=num_requests, desc="requests", unit="request")
        with ThreadPoolExecutor(clients) as pool, httpx.Client(base_url=url, timeout=600) as client, bar:

            def ask(number: int) -> float:
                image = images[number % len(images)]
                started = time.perf_counter()
                answer = client.post("/seg_mask", files={"image": image.read_bytes()})
                seconds = time.perf_counter() - started
                _check(answer, expected[number % len(images)], image, results)
                memory.append(_memory(process))
                bar.update()
                return seconds

            for part in np.array_split(np.arange(num_requests), ROUNDS):
                loop_rates.append(len(images) / loop.run())
                started = time.perf_counter()
                latencies += pool.map(ask, part.tolist())
                server_rates.append(len(part) / (time.perf_counter() - started))
    ratio = statistics.median(np.divide(server_rates, loop_rates))
    grown = growth(memory[int(WARM_UP * len(memory)) :])
    ours, other = (f"{statistics.median(rates):.2f} / s" for rates in (server_rates, loop_rates))
    return [
        Row(f"{bundle}: images per second, server against loop", ours, other, f"{ratio:.2f} x",
            f">= {TARGET_RATIO:g} x", _met(ratio >= TARGET_RATIO)),
        *latency_rows(latencies, clients),
        Row(f"memory of the server over {num_requests} requests: growth after the first tenth", f"{grown:.1%}", "",
            f"peak {max(memory) / (1 << 30):.2f} GiB", f"< {TARGET_GROWTH:.0%}", _met(grown < TARGET_GROWTH)),
        Row(f"answers that differ from the loop's masks, of {num_requests}", "0", "", "", "0", "yes"),
    ]  # fmt: skip


@contextmanager
def _server(bundle: str, clients: int) -> Iterator[tuple[str, psutil.Process]]:
    """A running server with room for all clients, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tools", "serve", bundle, "--port", str(port), "--backend", "torch"]
    process = subprocess.Popen([*command, "--max_queue", str(2 * clients)], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_S
        while not _is_up(url):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start: {' '.join(command)}")
            time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def _memory(process: psutil.Process) -> int:
    """Resident bytes of the server and of the process that segments."""
    return sum(part.memory_info().rss for part in [process, *process.children(recursive=True)])


def _expected(results: Path, image: Path, kind: str) -> np.ndarray:
    stem = image.name.removesuffix(".gz").rsplit(".", 1)[0]
    (path,) = (path for path in results.glob(f"{stem}_{kind}.*") if path.suffix != ".csv")
    return read_mask(path)[0]


def _check(answer: httpx.Response, expected: np.ndarray, image: Path, results: Path) -> None:
    if answer.status_code != 200:
        raise RuntimeError(f"{image.name}: {answer.status_code} {answer.text[:200]}")
    suffix = ".png" if answer.headers["content-type"] == "image/png" else ".nii.gz"
    if suffix == ".png":
        found = np.asarray(Image.open(io.BytesIO(answer.content)))
    else:
        with tempfile.NamedTemporaryFile(suffix=suffix, dir=results) as file:
            file.write(answer.content)
            file.flush()
            found = read_mask(Path(file.name))[0]
    if not np.array_equal(found, expected):
        raise RuntimeError(f"{image.name}: the server's mask differs from the loop's")


def _met(is_met: bool) -> str:
    return "yes" if is_met else "no"
