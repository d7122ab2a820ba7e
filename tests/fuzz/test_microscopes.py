"""Files of microscopes that strangers send."""

import functools
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.fuzz.conftest import mutated
from tests.tools.formats.raw_files import WRITERS, drawn, write_czi, write_lsm
from tools.formats.microscopes import list_images, read
from tools.formats.scenes import Pick

pytestmark = pytest.mark.filterwarnings("ignore")


@functools.cache
def contents(name: str) -> list[bytes]:
    """Valid files of a format."""
    written = []
    for number, sizes in enumerate([{"channels": 2, "depth": 2}, {"times": 2}]):
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / name
            WRITERS[name](path, drawn(**sizes))
            if path.is_dir():
                path = Path(shutil.make_archive(str(Path(temporary) / "zipped"), "zip", temporary, name))
            written.append(path.read_bytes())
            if name == "a.czi" and number == 0:
                write_czi(path.with_name("packed.czi"), drawn(**sizes), compression="zstd1:ExplicitLevel=1")
                written.append(path.with_name("packed.czi").read_bytes())
    return written


def read_images(path: Path) -> None:
    for _, pick in list_images(path, Pick(channel="0"))[:4]:
        read(path, pick)


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "a.oif"])
def test_microscopes(fuzz, name):
    fuzz(mutated(contents(name)), f"-{name}", read_images)


def test_lsm(fuzz, tmp_path):
    write_lsm(tmp_path / "a.lsm", drawn(channels=3, depth=2))
    fuzz(mutated([(tmp_path / "a.lsm").read_bytes()]), ".lsm", read_images)
