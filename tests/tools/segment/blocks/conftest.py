"""A stand-in for a network: where an image is bright, in blocks that see enough the same as in the whole image."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from common.tables import write_table
from tools.segment.inputs import prepare_image
from tools.segment.results import Result

THRESHOLD = 140


def bright_objects(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mask and objects."""
    mask = pixels > THRESHOLD
    return mask, ndimage.label(mask)[0].astype(np.int32)


class StandIn:
    """In the place of `LoadedBundle` and `LoadedPair`.

    Attributes
    ----------
    seen : list of ndarray
        Gray values that each call was told to stand for the image.
    before : callable
        Called with the pixels of each call before anything is done.
    looked : list of ndarray
        Pixels of each call that was asked to decide something for the others.
    followed : list of str
        What each other call was told of that.
    is_sure : callable
        Given the pixels, what it says of a look at them.
    """

    def __init__(self, bundle):
        self.bundle, self.seen, self.before, self.num_loaded = bundle, [], lambda pixels: None, 0
        self.looked, self.followed, self.is_sure = [], [], lambda pixels: True

    def segment(self, image, folder, options, *, overrides, foreground_overrides=None, name="", stem="image"):
        prepared = prepare_image(image, self.bundle, folder / "images", options, stem)
        volume = nib.load(prepared) if self.bundle.num_axes == 3 else None
        pixels = tifffile.imread(prepared) if volume is None else np.asarray(volume.dataobj).T
        self.before(pixels)
        looked = Path(overrides.get("looked", "none"))
        if "looked" in overrides and not looked.exists():
            self.looked.append(pixels)
            looked.write_text(json.dumps({"window_px": [400, 400], "is_sure": self.is_sure(pixels)}))
        elif "looked" in overrides:
            self.followed.append(looked.name)
        if "gray_sample" in overrides:
            self.seen.append(np.load(overrides["gray_sample"]))
        mask, labels = bright_objects(pixels)
        files = []
        kinds = [("mask", mask.astype(np.uint8)), ("instances", labels)]
        if self.bundle.blocks and self.bundle.blocks.classes:
            kinds = [(self.bundle.blocks.classes, mask * np.uint8(127)), (self.bundle.blocks.labels, labels)]
        for kind, array in kinds:
            files.append(folder / "results" / f"{stem}_{kind}{'.tif' if volume is None else '.nii'}")
            if volume is None:
                tifffile.imwrite(files[-1], array)
            else:
                nib.save(nib.Nifti1Image(array.T, volume.affine), files[-1])
        if self.bundle.blocks and self.bundle.blocks.table:
            files.append(folder / "results" / f"{stem}_{self.bundle.blocks.table}.csv")
            ids, sizes = np.unique(labels[labels > 0], return_counts=True)
            centres = ndimage.center_of_mass(labels > 0, labels, ids)
            rows = [(int(one), *centre, int(size)) for one, centre, size in zip(ids, centres, sizes, strict=True)]
            write_table(files[-1], ("id", "y_px", "x_px", "area"), rows, digits=None)
        return Result(prepared, files[0], tuple(files), 0.0, stem)


@pytest.fixture
def stand_in(monkeypatch) -> StandIn:
    """What `load` gives; nothing of torch is imported."""
    network = StandIn(None)

    def load(bundle):
        network.bundle, network.num_loaded = bundle, network.num_loaded + 1
        return network

    module = types.ModuleType("tools.segment.loaded")
    module.load = load
    monkeypatch.setitem(sys.modules, "tools.segment.loaded", module)
    return network


@pytest.fixture
def picture(tmp_path) -> Callable[..., tuple[Path, np.ndarray]]:
    """Function that writes a picture of blobs, as TIFF."""

    def write(name="a.tif", shape=(640, 700), **options) -> tuple[Path, np.ndarray]:
        pixels = blobs(shape)
        tifffile.imwrite(tmp_path / name, pixels, photometric="minisblack", **options)
        return tmp_path / name, pixels

    return write


def blobs(shape: tuple[int, ...]) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), 2.5)
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)
