"""How long it takes to start: from the shell to the result of one image, against the import of MONAI alone.

Whole processes. import: python -c "import monai.bundle", without which no bundle runs. resident: `segment --server`, of
an image that a running `serve` segments.
"""

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.bundles import tools_command
from benchmarks.harness import Row, as_time, goal, speed, take_turns
from benchmarks.serve import running_server
from tools.bundles import find_bundle
from tools.sample.formats import sample_images

MONAI = [sys.executable, "-c", "import monai.bundle"]


def compare(folder: Path, *, bundle: str = "swinunet_livecell", rounds: int = 5) -> Iterator[list[Row]]:
    """Options: bundle; rounds."""
    image, number = sample_images(find_bundle(bundle), folder / "made")[0], count()

    def segment(*options: str) -> list[str]:
        return tools_command("segment", bundle, image, folder / f"results_{next(number)}", *options)

    with running_server(bundle, []) as (url, _):
        ways = {
            "segment": lambda _: _run(segment()),
            "import": lambda _: _run(MONAI),
            "resident": lambda _: _run(segment("--server", url)),
            "help": lambda _: _run(tools_command("segment", "--help")),
        }
        seconds, _ = take_turns(ways, [None], rounds=rounds, desc="starts")
    resident, listing = (float(np.median(seconds[way])) for way in ("resident", "help"))
    yield [
        speed(f"segment {bundle}, one image; import", seconds["segment"], seconds["import"], 1 / 1.1),
        speed("segment --server; import", seconds["resident"], seconds["import"]),
        Row("segment --server, one image", as_time(resident), target=goal("< 0.5 s", resident < 0.5)),
        Row("segment --help", as_time(listing), target=goal("< 1 s", listing < 1)),
    ]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
