"""Requests of all kinds to a real server, and what they leave of its memory and of its disk.

By hand, with more requests than the test sends: ``python -m tests.tools.serve.endurance 500``.
"""

import gzip
import io
import json
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import psutil
import tifffile

from tests.tools.formats.raw_files import WRITERS, drawn
from tests.tools.serve.conftest import png, server_process, until
from tests.tools.serve.test_page import circle

BUNDLE = "devonet_nsn"  # the smallest
NUM_CLIENTS = 4
SPACING = (1.75, 0.8, 0.8)
WARM_UP = 150  # requests until all of its threads have begun
WORDS = [BUNDLE, "--max_upload_mb", "8", "--max_memory_gb", "1", "--timeout_s", "120"]


@dataclass(frozen=True)
class Kind:
    """A kind of request: what is sent, and what may be answered."""

    content: bytes
    fields: dict[str, str]
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Figures:
    """MiB of the server and of its worker after the warm-up and at the end, answers by status, and what is left."""

    before: tuple[float, float]
    after: tuple[float, float]
    codes: dict[int, int]
    left: list[str]

    def growth(self) -> tuple[float, float]:
        server, worker = (after / before - 1 for before, after in zip(self.before, self.after, strict=True))
        return server, worker


def volume(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4000, shape).astype(np.uint16)


def nifti(pixels: np.ndarray) -> bytes:
    return gzip.compress(nib.Nifti1Image(pixels.T, np.diag([*SPACING[::-1], 1.0])).to_bytes())


def tiff(pixels: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, photometric="minisblack", **options)
    return stream.getvalue()


def all_kinds(folder: Path) -> dict[str, Kind]:
    small, spaced = volume((6, 24, 24), 0), {"spacing": "1.75,0.8,0.8"}
    kinds = {
        "nifti": Kind(nifti(small), {}, (200,)),
        "tiff": Kind(tiff(small), spaced, (200,)),
        "large": Kind(nifti(volume((16, 96, 96), 1)), {}, (200,)),
        "no spacing": Kind(tiff(small), {}, (422,)),
        "picture": Kind(png(np.zeros((9, 9), np.uint8)), {}, (422,)),
        "text": Kind(b"hello", {}, (415,)),
        "unknown field": Kind(nifti(small), {"colour": "1"}, (422,)),
        "too much memory": Kind(tiff(small), {"spacing": "90,90,90"}, (413,)),
        "too large": Kind(bytes(9 << 20), {}, (413,)),
        "cut nifti": Kind(nifti(small)[:-2000], {}, (415, 422)),
        "cut tiff": Kind(tiff(small)[:-2000], spaced, (415, 422)),
        "pages in a circle": Kind(circle(False), spaced, (415,)),
        "damaged zlib": Kind(damaged(tiff(small, compression="zlib")), spaced, (200, 415, 422)),
    }
    for name in ("a.czi", "a.lif", "a.nd2", "a.oib", "a.ome.tif"):
        WRITERS[name](folder / name, drawn(channels=2, depth=5), spacing=SPACING)
        content = (folder / name).read_bytes()
        kinds[name] = Kind(content, {"channel": "GFP"}, (200,))
        kinds[f"{name} without a channel"] = Kind(content, {}, (422,))
        kinds[f"{name} damaged"] = Kind(damaged(content), {"channel": "GFP"}, (200, 413, 415, 422))
    return kinds


def damaged(content: bytes) -> bytes:
    changed, draw = bytearray(content), random.Random(len(content))
    for _ in range(20):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return content[:16] + bytes(changed[16:])  # still of its format


def files_in(folder: Path) -> set[str]:
    """All files; torch makes an empty folder for what it compiles, which it does not."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def memory(server: psutil.Process) -> tuple[float, float]:
    """MiB that are the server's own, and the worker's."""
    workers = [child for child in server.children() if "spawn_main" in " ".join(child.cmdline())]
    worker = max(workers, key=lambda child: child.memory_info().rss)
    return server.memory_info().rss / 2**20, worker.memory_info().rss / 2**20


def ask(url: str, name: str, kind: Kind, is_page: bool) -> int:
    """Status of an answer, which has to be of those that may come."""
    files = {"image": (name, kind.content)}
    if not is_page:
        try:
            answer = httpx.post(f"{url}/seg_mask", files=files, data=kind.fields, timeout=200)
        except (httpx.WriteError, httpx.ReadError):  # what is too large need not be received whole
            assert 413 in kind.codes, name
            return 413
        assert answer.status_code in kind.codes, (name, answer.status_code, answer.text[:300])
        return answer.status_code
    answer = httpx.post(f"{url}/results", files=files, data=kind.fields, timeout=200)
    told = json.loads(answer.text.splitlines()[-1]) if answer.status_code == 200 else {}
    assert (told.get("state") == "done") <= (200 in kind.codes), (name, told)
    if "id" in told:
        assert httpx.get(f"{url}/results/{told['id']}/outlines/0").status_code == 200
        httpx.post(f"{url}/results/{told['id']}/forget")
    return answer.status_code


def endure(
    num_requests: int, folder: Path, *, warm_up: int, tell: Callable[[str], None] = lambda line: None
) -> Figures:
    """Send requests of mixed kinds by `NUM_CLIENTS` clients at once, ``warm_up`` more of them before."""
    kinds = list(all_kinds(folder).items())
    draw = random.Random(0)

    def chosen(number: int) -> tuple[str, Kind, bool]:
        name, kind = kinds[number % len(kinds)] if number < len(kinds) else draw.choice(kinds)
        return name, kind, number % 5 == 4 and "too large" not in name

    codes: Counter[int] = Counter()
    with server_process(folder, *WORDS) as (url, server), ThreadPoolExecutor(NUM_CLIENTS) as clients:
        until(lambda: httpx.get(f"{url}/health").json()["queue"]["running"] == 0, 60)
        present = files_in(folder / "tmp")
        figures = []
        for count in (warm_up, num_requests):
            todo = [chosen(number) for number in range(count)]
            for number, code in enumerate(clients.map(lambda one: ask(url, *one), todo)):
                codes[code] += 1
                if number % 50 == 49:
                    tell(f"{number + 1} of {count}: {memory(server)} MiB")
            figures.append(memory(server))
        assert httpx.get(f"{url}/health").json()["workers_replaced"] == 0
        left = files_in(folder / "tmp") - present
    return Figures(figures[0], figures[1], dict(codes), sorted(left | files_in(folder / "tmp")))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends, too
    with tempfile.TemporaryDirectory() as temporary:
        result = endure(int(sys.argv[1]), Path(temporary), warm_up=WARM_UP, tell=print)
        print(result, "growth", result.growth())
