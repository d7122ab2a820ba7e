"""What the tests of all bundles share: the bundles themselves, and a small synthetic dataset for each."""

import os
import random
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tifffile
from hypothesis import settings
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:
    # before torch is imported, and for the commands that tests start: the workers share the cores, threads beyond that
    # only wait for each other
    os.environ["OMP_NUM_THREADS"] = str(
        max(1, len(os.sched_getaffinity(0)) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    )

from common.files import holding
from tools.command_line import run as run_tools
from tools.toolbox import read_toolbox

ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / "tests" / "bundles" / "test_contract.py"
BUNDLES = sorted(path.parent.parent for path in ROOT.glob("bundles/*/configs/metadata.json"))

# also a bundle that is not complete yet has tests of its package
for _package in sorted(ROOT.glob("bundles/*/*/__init__.py")):
    sys.path.append(str(_package.parents[1]))

settings.register_profile("any machine", deadline=None)  # which may be busy
settings.load_profile("any machine")

RAMP_SHAPE = (4, 6, 5)
SMALL = {"ctc": ["--num_frames", "1"], "livecell": ["--num_images", "8"], "crypts": ["--size", "768"]}
WORKER_BYTES = 5e9  # of a worker at its most, with the processes that its tests start


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Random numbers are a test's own, whatever its worker ran before; so are those of the fixtures made for it.

    Not the same for all: a network of a fixture that lives longer would be equal to one that a test makes.
    """
    seed = zlib.crc32(item.nodeid.encode())
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:  # many tests do without
        sys.modules["torch"].manual_seed(seed)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest stretches of work first, so that no worker is left with one: the contract, then slow files."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (item.path != CONTRACT, -slow[item.path]))
    for item in items:
        few = item.get_closest_marker("few")
        if few is not None and not {_name(value) for value in item.callspec.params.values()} & {*few.args}:
            item.add_marker("thorough")


def _name(value: object) -> str:
    """Of a parameter: a bundle's folder, or what it is called."""
    return value.name if isinstance(value, Path) else str(value)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many workers again as cores, since many tests wait for what they started, if each has its memory."""
    cores, memory = len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(cores, min(cores * 3 // 2, int(memory / WORKER_BYTES)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give ``pytest -n`` whole files to hand out, so that no fixture is made twice, and the contract by bundle."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFileAndBundle(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path, _, test = nodeid.partition("::")
            if path != CONTRACT.relative_to(ROOT).as_posix():
                return path
            return next((bundle.name for bundle in BUNDLES if bundle.name in test.partition("[")[2]), path)

    config.option.loadscopereorder = False  # in the order of collection, not by the number of tests
    return ByFileAndBundle(config, log)


@pytest.fixture(scope="session", params=BUNDLES, ids=lambda path: path.name)
def bundle(request: pytest.FixtureRequest) -> Path:
    """Root folder of every bundle in turn."""
    return request.param


@pytest.fixture(scope="session")
def dataset_dir(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic sample of the bundle's, converted as the quick start does it."""
    from tools.__main__ import VERBS

    folder = tmp_path_factory.mktemp(bundle.name)
    source, dataset = folder / "source", folder / "dataset"
    convert = read_toolbox(bundle).source
    assert run_tools(VERBS, ["sample", bundle.name, str(source), *SMALL.get(convert.format, [])]) == 0
    assert run_tools(VERBS, ["convert", convert.format, str(source), str(dataset), *convert.convert]) == 0
    return dataset


@pytest.fixture(scope="session")
def shipped_graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Function that exports a bundle to ONNX, once for all tests: the workers of xdist wait for the first that asks."""
    from tools.segment.onnx_export import export_bundle

    own = tmp_path_factory.getbasetemp()
    graphs = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "graphs"

    def export(bundle: Path) -> Path:
        path = graphs / bundle.name / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        with holding(path.parent):
            if not path.exists():
                export_bundle(bundle, path)
        return path

    return export


@pytest.fixture
def write_volume(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes an array (X, Y, Z) as NIfTI, with a spacing in (X, Y, Z) as on disk, or a whole affine."""

    def write(name: str, volume: np.ndarray, spacing: Any = (1.0, 1.0, 1.0)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(volume, spacing if np.ndim(spacing) == 2 else np.diag([*spacing, 1.0])), path)
        return path

    return write


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes an array to ``tmp_path/source/<name>`` as a gray TIFF, one page per slice."""

    def write(name: str, array: np.ndarray, **options) -> Path:
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, array, **{"photometric": "minisblack"} | options)
        return path

    return write


@pytest.fixture
def ramp() -> Callable[..., np.ndarray]:
    """Function that draws a volume in which no two voxels are equal, so that no swapped axis goes unseen."""

    def draw(shape: tuple[int, ...] = RAMP_SHAPE, dtype: str = "uint16", first: int = 1) -> np.ndarray:
        return np.arange(first, first + np.prod(shape)).reshape(shape).astype(dtype)

    return draw


@pytest.fixture
def write_image(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes an array as PNG or TIFF, by the name's ending; options are tifffile's."""

    def write(name: str, pixels: np.ndarray, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.fromarray(pixels).save(path)
        else:
            is_rgb = pixels.ndim == 3 and pixels.shape[-1] in (3, 4)
            tifffile.imwrite(path, pixels, **({"photometric": "rgb" if is_rgb else "minisblack"} | options))
        return path

    return write
