"""Segmenting images or blocks in one process, which keeps the network and the image of the blocks."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from common.errors import InputError
from common.files import replacing
from tools.formats.pictures import write_picture
from tools.formats.regions import Regions
from tools.formats.scenes import PICKS
from tools.segment.blocks.cutting import Block, within
from tools.segment.blocks.plan import TOLD_OF_PARTS, Plan, open_image
from tools.segment.description import Description
from tools.segment.files import segment_file
from tools.segment.quiet import quiet
from tools.segment.results import STEM, Result, find_mask, read_mask
from tools.segment.sources import Source
from tools.temporary import temporary_folder

if TYPE_CHECKING:
    from tools.segment.loaded import Loaded
    from tools.segment.remote import Server

__all__ = ["UnusableNetworkError", "Whole", "forget", "look_at", "segment_block", "segment_whole"]


SPARE_BYTES = 16  # of a pixel, which what is kept of windows leaves on the disk for the results


class UnusableNetworkError(InputError):
    """Weights or a setting that a network cannot be loaded with: no image's fault, and the same for all of them."""


class _Kept:
    """The network of one command, and one image, that this process has loaded and opened."""

    def __init__(self) -> None:
        self.run, self.folder = "", Path()
        self.loaded: Loaded | None = None
        self.problem: InputError | None = None
        self.regions: Regions | None = None
        self.opened = ExitStack()

    def network(self, bundle: Description, run: str) -> Loaded:
        """The bundle's network; an error in it is found only once."""
        if self.run != run:
            from tools.segment.loaded import load

            self.run, self.loaded, self.problem = run, None, None
            try:
                self.loaded = load(bundle)
            except InputError as error:
                self.problem = UnusableNetworkError(str(error))
            gc.collect()
            gc.freeze()  # so that collecting after each image, whose engines are cycles, takes milliseconds
        if self.loaded is None:
            raise self.problem or InputError(f"{bundle.name}: cannot be loaded")
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


@dataclass(frozen=True)
class Whole:
    """Images that are segmented as a whole.

    Attributes
    ----------
    bundle : Description
    destination : Path
        Exists.
    options : mapping of str to str
        Of all images.
    save : tuple of str
        Further formats.
    run : str
        Of this command, for which a process keeps the network.
    server : Server, optional
        That segments them, instead of a network in this process.
    """

    bundle: Description
    destination: Path
    options: Mapping[str, str]
    save: tuple[str, ...]
    run: str
    server: Server | None = None


def segment_whole(whole: Whole, source: Source) -> None:
    """Segment one of the images; see `segment_file`."""
    with quiet(logging.WARNING):
        network = whole.server or _kept.network(whole.bundle, whole.run)
    with quiet():
        options = {**whole.options, **source.options}
        segment_file(network, source.path, whole.destination, options, stem=source.stem, save=whole.save)
    gc.collect()  # else the next image's pixels come on top of this one's


def forget() -> None:
    """Close the image and let the network go."""
    global _kept
    gc.unfreeze()
    _kept.close()
    _kept = _Kept()


def look_at(plan: Plan, place: Block) -> None:
    """Segment a part of an image for what its bundle decides by it, unless that is done; see `Plan.look`."""
    if not plan.look(place).is_file():
        with quiet(logging.WARNING):
            _kept.network(plan.bundle, plan.run)
        with quiet(), temporary_folder("segment") as folder:
            _segment(plan, place, folder, plan.look(place))


def segment_block(plan: Plan, block: Block) -> None:
    """Segment a block, unless that is done, and keep its mask (of its core) and its labels (of its region).

    InputError if the bundle refuses it, or the image cannot be read there.
    """
    if plan.is_done(block):
        return
    with quiet(logging.WARNING), temporary_folder("segment") as folder:  # a block says little about the image
        result = _segment(plan, block, folder, plan.looked)
        core, arrays = within(block.core, block.region), {}
        if plan.mask_kind:
            arrays["mask"] = (_read(result, plan.mask_kind, block)[core] != 0).astype(np.uint8)
        if plan.classes_kind:
            arrays["classes"] = _read(result, plan.classes_kind, block)[core]
        if plan.labels_kind:
            labels = _read(result, plan.labels_kind, block)
            arrays["labels"] = labels.astype(np.uint16 if labels.max(initial=0) < 1 << 16 else np.uint32)
        if plan.table_kind:
            arrays |= _table(result, plan.table_kind, block)
    with replacing(plan.result(block)) as partial:
        np.savez_compressed(partial, **arrays)
    gc.collect()


def _segment(plan: Plan, block: Block, folder: Path, looked: Path | None) -> Result:
    pixels = _kept.image(plan).read(tuple(slice(*side) for side in block.region))
    options = {key: value for key, value in plan.options.items() if key not in (*PICKS, "spacing")}
    network = _kept.network(plan.bundle, plan.run)
    (folder / "results").mkdir()
    piece = _write(folder, plan, block, pixels)
    del pixels
    known = [_known(plan, block, one) for one in plan.bundle.networks]
    given: dict[str, Any] = {"overrides": known[-1] | ({"looked": str(looked)} if looked else {})}
    if len(known) == 2:
        given["foreground_overrides"] = known[0]
    return network.segment(piece, folder, options, name=str(plan.image), **given)


def _known(plan: Plan, block: Block, network: Description) -> dict[str, object]:
    """What is known of the whole image, or by other blocks, as overrides of a network's config."""
    known: dict[str, object] = {"gray_sample": str(plan.sample(network))}
    if TOLD_OF_PARTS in network.settings:
        part: dict[str, object] = {**plan.part(network, block)}
        if disk_usage(plan.folder).free > SPARE_BYTES * math.prod(plan.shape):
            plan.windows(network).mkdir(exist_ok=True)
            part["windows"] = str(plan.windows(network))
        known[TOLD_OF_PARTS] = part
    return known


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
    try:
        found = find_mask(result.files, STEM, kind)
    except ValueError as error:
        raise InputError(f"{block.place}: the bundle wrote no {kind}, which its metadata.json promises") from error
    array = read_mask(found)[0]
    expected = tuple(stop - start for start, stop in block.region)
    if array.shape != expected:
        raise InputError(f"{block.place}: {kind} of {array.shape} pixels, expected {expected}")
    return array


def _table(result: Result, kind: str, block: Block) -> dict[str, np.ndarray]:
    """Columns and rows of the table of the objects, with their places in the image."""
    path = next(file for file in result.files if file.name == f"{STEM}_{kind}.csv")
    with path.open(encoding="utf-8") as file:
        columns = file.readline().strip().split(",")
        lines = file.readlines()
    rows = np.loadtxt(lines, delimiter=",", ndmin=2) if lines else np.empty((0, len(columns)))
    for axis, (start, _) in zip("zyx"[-len(block.region) :], block.region, strict=True):
        rows[:, columns.index(f"{axis}_px")] += start
    return {"columns": np.array(columns), "rows": rows}
