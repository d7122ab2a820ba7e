"""A verb imports what it needs and no more: MONAI alone takes seconds. Modules are looked at, never the clock."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.__main__ import VERBS
from tools.segment.lean_monai import LEFT_OUT

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "monai", "ignite", "mlflow", "torchvision", "pandas", "sklearn", "dask", "xarray", "zarr", "ome_zarr"}
CODE = """
import json, sys
from tools.__main__ import VERBS
from tools.command_line import run
for words in json.loads(sys.argv[1]):
    code = run(VERBS, words)
    found = sorted(set(json.loads(sys.argv[2])) & sys.modules.keys())
    assert code == 0 and not found, f"{words}: exit code {code}, imports {found}"
"""


def imports_none_of(names, *lines):
    """Run verbs one after the other in one new process, which may not have imported any of these afterwards.

    Nor may it have kept them from being imported later.
    """
    words = [json.dumps([list(map(str, line)) for line in lines]), json.dumps(sorted(names))]
    done = subprocess.run([sys.executable, "-c", CODE, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def cells(tmp_path):
    """A folder with one picture of two bright squares, and their labels."""
    labels = np.zeros((96, 96), np.uint8)
    labels[10:30, 10:30], labels[50:80, 40:70] = 1, 2
    (tmp_path / "images").mkdir()
    Image.fromarray(120 + 80 * (labels > 0).astype(np.uint8)).save(tmp_path / "images/cells.png")
    Image.fromarray(labels).save(tmp_path / "labels.png")
    return tmp_path


def test_help_of_no_verb_imports_what_is_slow():
    imports_none_of(HEAVY, ["--help"], *([*verb.split(), "--help"] for verb in VERBS))


def test_a_call_that_a_server_answers_starts_without_scipy():
    code = "import sys, tools.segment.commands, tools.segment.remote; "
    code += "assert not {'scipy.ndimage', 'scipy.sparse'} & sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=600).returncode == 0


def test_conversion_score_and_overlay_do_without_torch_and_monai(sequence, cells, tmp_path):
    sequence("01")
    truth, out = tmp_path / "source/01_GT", tmp_path / "out"
    (tmp_path / "source/01_RES").mkdir()
    shutil.copy(truth / "SEG/man_seg000.tif", tmp_path / "source/01_RES/mask000.tif")
    imports_none_of(
        HEAVY,
        ["convert", "ctc", tmp_path / "source", out, "--spacing", "2,1,1"],
        ["score", truth, tmp_path / "source/01_RES"],
        ["overlay", cells / "images/cells.png", cells / "labels.png", tmp_path / "overlay.png"],
    )


@pytest.mark.slow
def test_segmenting_a_picture_imports_no_engine_for_large_images_and_not_all_that_monai_takes_along(cells, tmp_path):
    imports_none_of(
        {"dask", "distributed", "xarray", "ome_zarr", "fastapi_offline", "uvicorn", "nd2", "czifile", *LEFT_OUT},
        ["segment", "swinunet_livecell", cells / "images", tmp_path / "results"],
    )
