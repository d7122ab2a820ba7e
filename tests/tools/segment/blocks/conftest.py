"""A stand-in for a network: where an image is bright, in blocks that see enough the same as in the whole image."""

import sys
import types
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from scipy import ndimage

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
    """

    def __init__(self, bundle):
        self.bundle, self.seen, self.before, self.num_loaded = bundle, [], lambda pixels: None, 0

    def segment(self, image, folder, options, *, overrides, foreground_overrides=None, name="", stem="image"):
        prepared = prepare_image(image, self.bundle, folder / "images", options, stem)
        volume = nib.load(prepared) if self.bundle.num_axes == 3 else None
        pixels = tifffile.imread(prepared) if volume is None else np.asarray(volume.dataobj).T
        self.before(pixels)
        if "gray_sample" in overrides:
            self.seen.append(np.load(overrides["gray_sample"]))
        mask, labels = bright_objects(pixels)
        files = []
        for kind, array in (("mask", mask.astype(np.uint8)), ("instances", labels)):
            files.append(folder / "results" / f"{stem}_{kind}{'.tif' if volume is None else '.nii'}")
            if volume is None:
                tifffile.imwrite(files[-1], array)
            else:
                nib.save(nib.Nifti1Image(array.T, volume.affine), files[-1])
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
