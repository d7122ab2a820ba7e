"""The server against the bundle's own loop on the same images: time, latency, memory, and whether answers are right.

ours: POST /seg_mask by concurrent clients that keep their connections, everything from upload to mask, of a server in a
process of its own. other: the bundle's own inference.json over a folder with the same images, which keeps its network,
with the same backend and number of threads. Both write all results to the disk. Memory: resident, of the server and the
process that segments together, read after every answer: at the end against after a tenth of them. Every pixel of every
answer is compared with what the loop wrote.
"""

import io
import logging
import socket
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

from benchmarks.bundles import open_loop, repeated, testing_data, tools_command
from benchmarks.harness import Row, goal, speed, take_turns
from tools.bundles import find_bundle
from tools.sample.formats import sample_images
from tools.segment.description import describe_bundle
from tools.segment.results import find_mask, read_mask

START_S, END_S = 300, 30


def compare(
    folder: Path, *, bundle: str = "swinunet_livecell", dataset_dir: str = "", backend: str = "auto",
    num_images: int = 100, clients: int = 8, rounds: int = 5,
) -> Iterator[str | list[Row]]:  # fmt: skip
    """Compare the server with the bare loop of inference.

    Options: bundle; dataset_dir, with images under testing, else synthetic ones; backend, torch, onnx or auto;
    num_images, requests of a round: images are sent again and again; clients, that ask at the same time.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request, across the progress bar
    root = find_bundle(bundle)
    served = describe_bundle(root, backend=backend)
    if dataset_dir:
        items, about = testing_data(bundle, dataset_dir, folder)
        found = [Path(item["image"]) for item in items]
    else:
        found = sample_images(root, folder / "made")
        about = f"data: synthetic images: n = {len(found)}"
    yield f"{about}; backend: {served.backend}"
    images = repeated(found, num_images, folder / "images")
    evaluator = open_loop(served, folder / "images", folder / "results")
    latencies, memory, answers = [], [], defaultdict(set)
    with (
        running_server(bundle, ["--backend", served.backend, "--max_queue", str(2 * clients)]) as (url, processes),
        ThreadPoolExecutor(clients) as pool,
        httpx.Client(base_url=url, timeout=600, limits=httpx.Limits(max_connections=clients)) as web,
    ):

        def ask(image: Path) -> None:
            started = time.perf_counter()
            answer = web.post("/seg_mask", files={"image": image.read_bytes()}).raise_for_status()
            latencies.append(time.perf_counter() - started)
            memory.append(sum(process.memory_info().rss for process in processes))
            answers[image].add((answer.headers["content-type"], answer.content))

        ways = {"ours": lambda images: list(pool.map(ask, images)), "loop": lambda _: evaluator.run()}
        seconds, _ = take_turns(ways, [images], rounds=rounds, desc="rounds")
    right = 0
    for image in images:
        expected = read_mask(find_mask((folder / "results").iterdir(), image.name.split(".")[0], served.mask_kind))[0]
        right += all(np.array_equal(_read(*answer), expected) for answer in answers[image])
    part = max(1, len(memory) // 10)
    first, last = np.median(memory[part : 2 * part]), np.median(memory[-part:])
    growth, sizes = last / first - 1, [f"{size / 2**20:.0f} MiB" for size in (last, first)]
    yield [
        speed(f"{bundle}: {num_images} images, {clients} clients", seconds["ours"], seconds["loop"], 0.9),
        *(Row(f"latency, {name}", f"{np.percentile(latencies, q):.2f} s") for name, q in (("median", 50), ("p95", 95))),
        Row(f"memory, end of {len(memory)} requests", *sizes, f"{growth:+.1%}", goal("< 5 %", growth < 0.05)),
        Row("images whose answers are all the loop's masks", f"{right}", target=goal("all", right == num_images)),
    ]


@contextmanager
def running_server(bundle: str, options: Sequence[str]) -> Iterator[tuple[str, list[psutil.Process]]]:
    """URL and processes of ``tools serve`` on a free port, which ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, command = f"http://127.0.0.1:{port}", tools_command("serve", bundle, "--port", port)
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        process, children = psutil.Process(server.pid), []
        try:
            end = time.monotonic() + START_S
            while not _is_up(url):
                if server.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise RuntimeError(f"the server did not start: {' '.join(command)}\n{log.read()[-1000:]}")
                time.sleep(0.2)
            children = process.children(recursive=True)
            yield url, [process, *children]
        finally:
            process.terminate()
            for left in psutil.wait_procs([process, *children], timeout=END_S)[1]:
                left.kill()
            server.wait()


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def _read(media_type: str, content: bytes) -> np.ndarray:
    if media_type == "image/png":
        return np.asarray(Image.open(io.BytesIO(content)))
    with tempfile.NamedTemporaryFile(suffix=".nii.gz" if "nifti" in media_type else ".tiff") as file:
        file.write(content)
        file.flush()
        return read_mask(Path(file.name))[0]
