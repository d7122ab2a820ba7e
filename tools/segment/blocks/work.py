"""One block of an image, segmented by a process that keeps the network and the image open; torch is imported here."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import nibabel as nib
import numpy as np

from common.errors import InputError
from common.files import replacing
from tools.formats.pictures import write_picture
from tools.formats.regions import Regions
from tools.segment import loaded
from tools.segment.blocks.cutting import Block, within
from tools.segment.blocks.plan import Plan, open_image
from tools.segment.results import STEM, Result, read_mask
from tools.segment.sources import PICKS
from tools.temporary import temporary_folder

__all__ = ["forget", "prepare", "segment_block"]


class _Kept:
    """What this process has loaded and opened: the network of one command, one image."""

    def __init__(self) -> None:
        self.run, self.folder = "", Path()
        self.loaded: loaded.Loaded | None = None
        self.regions: Regions | None = None
        self.opened = ExitStack()

    def network(self, plan: Plan) -> loaded.Loaded:
        if self.loaded is None or self.run != plan.run:
            self.loaded, self.run = loaded.load(plan.bundle), plan.run
        return self.loaded

    def image(self, plan: Plan) -> Regions:
        if self.regions is None or self.folder != plan.folder:
            self.close()
            self.regions = self.opened.enter_context(open_image(plan.image, plan.bundle, plan.options, plan.folder))
            self.folder = plan.folder
        return self.regions

    def close(self) -> None:
        self.opened.close()
        self.opened, self.regions = ExitStack(), None


_kept = _Kept()


def prepare(plan: Plan) -> None:
    """Load the network now, so that what is wrong with it is told once; InputError."""
    _kept.network(plan)


def forget() -> None:
    """Close the image."""
    _kept.close()


def segment_block(plan: Plan, block: Block) -> None:
    """Segment a block, and keep its mask (of its core) and its labels (of its region), whole or not at all.

    Parameters
    ----------
    plan : Plan
    block : Block
        One that is done already is left alone.

    Raises
    ------
    InputError
        If the bundle refuses it, or the image cannot be read there.
    """
    if plan.result(block).is_file():
        return
    pixels = _kept.image(plan).read(tuple(slice(*side) for side in block.region))
    network = _kept.network(plan)
    options = {key: value for key, value in plan.options.items() if key not in (*PICKS, "spacing")}
    with temporary_folder("segment") as folder:
        (folder / "results").mkdir()
        piece = _write(folder, plan, block, pixels)
        del pixels
        given = {"gray_sample": str(plan.sample)}
        result = network.segment(piece, folder, options, overrides=given, name=str(plan.image))
        arrays = {}
        if plan.mask_kind:
            mask = _read(result, plan.mask_kind, block)[within(block.core, block.region)]
            arrays["mask"] = (mask != 0).astype(np.uint8)
        if plan.labels_kind:
            labels = _read(result, plan.labels_kind, block)
            arrays["labels"] = labels.astype(np.uint16 if labels.max(initial=0) < 1 << 16 else np.uint32)
    with replacing(plan.result(block)) as partial:
        np.savez_compressed(partial, **arrays)


def _write(folder: Path, plan: Plan, block: Block, pixels: np.ndarray) -> Path:
    """What a block sees as a file that the bundle reads."""
    if plan.affine is None:
        path = folder / "piece.tif"
        write_picture(path, pixels, plan.spacing)
        return path
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize == 8:  # half precision is no NIfTI; the network takes 32 bit
        pixels = pixels.astype(np.float32)
    affine = np.array(plan.affine)
    affine[:3, 3] += affine[:3, :3] @ [start for start, _ in block.region[::-1]]
    image = nib.Nifti1Image(pixels.T, affine, dtype=pixels.dtype)
    image.header.set_xyzt_units("micron")
    path = folder / "piece.nii"
    nib.save(image, path)
    return path


def _read(result: Result, kind: str, block: Block) -> np.ndarray:
    paths = {file.name: file for file in result.files}
    found = next(
        (paths[name] for name in paths if name.startswith(f"{STEM}_{kind}.") and not name.endswith(".csv")), None
    )
    if found is None:
        raise InputError(f"{block.place}: the bundle wrote no {kind}, which its metadata.json promises")
    array = read_mask(found)[0]
    expected = tuple(stop - start for start, stop in block.region)
    if array.shape != expected:
        raise InputError(f"{block.place}: {kind} of {array.shape} pixels, expected {expected}")
    return array
