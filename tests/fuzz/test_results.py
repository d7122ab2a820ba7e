"""Results and truths of strangers: scored, exported, drawn over their image, or taken for a bundle."""

import functools
import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import strategies as st

from common.datalist import write_dataset
from common.reading import nifti
from tests.fuzz.conftest import mutated
from tests.fuzz.test_images import PLANES, VOLUMES, tiff_bytes
from tools.error_analysis import errors
from tools.formats.ctc import ctc as export_ctc
from tools.overlay import overlay
from tools.score.commands import score
from tools.share.commands import verify

pytestmark = pytest.mark.filterwarnings("ignore")
LABELS = (PLANES // 64).astype(np.uint16)
STACK = tiff_bytes(LABELS, photometric="minisblack")
AFFINE = np.diag([0.5, 0.5, 2.0, 1.0])
VOLUME = nib.Nifti1Image(LABELS.T, AFFINE).to_bytes()
FLOATS = nib.Nifti1Image(LABELS.T.astype(np.float32), AFFINE).to_bytes()
FIRST_VOXEL = 352


def with_number(content: bytes, where: int, value: float) -> bytes:
    """A header with a number of 32 bit in it."""
    number = np.float32(value).tobytes()
    return content[:where] + number + content[where + len(number) :]


# of the NIfTI header: pixdim, first voxel, scale, quaternion, offsets, sform
NUMBERS = [*range(76, 108, 4), 108, 112, 116, *range(256, 328, 4)]
lying = st.builds(
    with_number,
    st.sampled_from([VOLUME, FLOATS]),
    st.sampled_from(NUMBERS),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-30, 1e30, 3e38]),
)
voxels = st.builds(
    with_number,
    st.just(FLOATS),
    st.integers(0, LABELS.size - 1).map(lambda number: FIRST_VOXEL + 4 * number),
    st.sampled_from([np.nan, np.inf, -1.0, 0.5, 1e30]),
)
volumes = st.one_of(lying, voxels, mutated([VOLUME, FLOATS, *VOLUMES]))
packed = st.one_of(volumes.map(gzip.compress), mutated([gzip.compress(VOLUME, mtime=0)]))
stacks = st.one_of(mutated([STACK, tiff_bytes(LABELS, photometric="minisblack", compression="zlib")]), volumes, packed)


def put(place: Path, content: Path | bytes) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        place.write_bytes(content)
    else:
        shutil.copyfile(content, place)
    return place


@pytest.mark.parametrize("lies", ["01_RES/mask000.tif", "01_GT/SEG/man_seg000.tif", "01_GT/TRA/man_track000.tif"])
def test_score(fuzz, tmp_path, lies):
    names = ("01_RES/mask000.tif", "01_GT/SEG/man_seg000.tif", "01_GT/TRA/man_track000.tif")

    def read(path: Path) -> None:
        for name in names:
            put(tmp_path / name, path if name == lies else STACK)
        score(tmp_path / "01_GT", tmp_path / "01_RES", detail=True)

    fuzz(stacks, ".tif", read)


@pytest.mark.parametrize("name", ["a.nii", "a.zip", "a/configs/metadata.json"])
def test_verify(fuzz, tmp_path, name):
    def read(path: Path) -> None:
        place = put(tmp_path / name, path)
        verify(str(tmp_path / "a" if place.suffix == ".json" else place))
        raise AssertionError("a volume was taken for a bundle")

    fuzz(st.one_of(volumes, packed), ".nii", read)


def on_disk(folder: Path, ending: str, *, lying_image: bool) -> Callable[[Path], tuple[Path, Path]]:
    """Function that puts a file beside what it belongs to; gives the image and the labels."""

    def place(path: Path) -> tuple[Path, Path]:
        good, bad = (f"{kind}{ending}" for kind in (("labels", "image") if lying_image else ("image", "labels")))
        put(folder / good, gzip.compress(VOLUME, mtime=0) if ending.endswith("gz") else VOLUME)
        put(folder / bad, path)
        return folder / f"image{ending}", folder / f"labels{ending}"

    return place


@pytest.mark.parametrize("lying_image", [False, True])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_labels_and_their_image(fuzz, tmp_path, ending, lying_image):
    place = on_disk(tmp_path, ending, lying_image=lying_image)

    def onto(path: Path) -> None:
        image, labels = place(path)
        nifti.read_volume_onto(labels, image)

    def draw(path: Path) -> None:
        image, labels = place(path)
        overlay(image, labels, tmp_path / "a.png", label=labels)

    fuzz(volumes if ending == ".nii" else packed, ending, onto, draw)


@pytest.mark.parametrize("part", ["image", "label", "result"])
def test_errors(fuzz, tmp_path, part):
    places = {
        "image": tmp_path / "data" / "images" / "a.nii.gz",
        "label": tmp_path / "data" / "labels" / "a.nii.gz",
        "result": tmp_path / "results" / "a_instances.nii.gz",
    }
    testing = [{"image": "images/a.nii.gz", "label": "labels/a.nii.gz"}]
    (tmp_path / "data").mkdir()
    write_dataset(tmp_path / "data", name="a", licence="", training=[], testing=testing)

    def read(path: Path) -> None:
        for name, place in places.items():
            put(place, path if name == part else gzip.compress(VOLUME, mtime=0))
        errors(tmp_path / "data", tmp_path / "results")

    fuzz(packed, ".nii.gz", read)


def test_export(fuzz, tmp_path):
    put(tmp_path / "data" / "01" / "t000.tif", STACK)
    export = functools.partial(export_ctc, tmp_path / "maps", tmp_path / "out", like=tmp_path / "data", overwrite=True)

    def read(path: Path) -> None:
        put(tmp_path / "maps" / "01_t000_instances.nii.gz", path)
        export()

    fuzz(packed, ".nii.gz", read)
