"""What is to be done to segment one image in blocks; torch is not needed for it."""

import itertools
import json
import math
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes

from common.errors import InputError
from common.files import prepare_output_dir, write_text
from common.json_file import read_json
from common.memory import total_memory
from common.reading import nifti, pictures, tiff
from common.reading.formats import identify
from tools.convert.spacing import check_spacing, parse_spacing
from tools.formats.microscopes import maker_of, open_scenes
from tools.formats.regions import Regions, open_regions
from tools.formats.scenes import PICKS, Pick, Spacing
from tools.segment.blocks.cutting import BYTES, Block, Grid, along_axes, choose_size, cut, span
from tools.segment.description import Description
from tools.segment.inputs import UNREADABLE
from tools.segment.sources import Source

__all__ = [
    *("TOLD_OF_PARTS", "Cutting", "Plan", "check_blocks", "cut_as_looked", "default_memory", "drop_if_empty"),
    *("open_image", "places_to_look", "plan_blocks", "work_folder"),
]

WINDOWS = "windows_"
TOLD_OF_PARTS = "part"  # key of an inference.json
SAME_UM = 1e-3  # spacings that MONAI does not resample for
MOST_SHEAR = 1e-3  # cosine of two axes, more than an affine of 32 bit is off
Affine = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Cutting:
    """How the user wants an image cut into blocks.

    Attributes
    ----------
    size : tuple of int
        Of the blocks, (Z, Y, X) or (Y, X); empty where it is chosen.
    memory : float
        In bytes, that one block may take; an image that needs more is cut.
    """

    size: tuple[int, ...] = ()
    memory: float = math.inf


@dataclass(frozen=True)
class Plan:
    """An image and its blocks; all that a process needs to segment one of them.

    Attributes
    ----------
    bundle : Description
    image : Path
    options : mapping of str to str
        As for `LoadedBundle.segment`, and ``scene``, ``channel``, ``time`` of a microscope's file.
    shape : tuple of int
    spacing : tuple of float or None
        As the results have it, (Z, Y, X) in µm.
    affine : tuple or None
        Of a volume as it is written for the bundle, from (X, Y, Z).
    blocks : tuple of Block
        Before a look at the image, as if the network saw it in its own size.
    cutting : Cutting
    folder : Path
        Where finished blocks are kept.
    run : str
        Of this command, for which a process keeps the network.
    looked : Path or None
        The file of what a look at the image has decided.
    """

    bundle: Description
    image: Path
    options: Mapping[str, str]
    shape: tuple[int, ...]
    spacing: Spacing
    affine: Affine | None
    blocks: tuple[Block, ...]
    cutting: Cutting
    folder: Path
    run: str
    looked: Path | None = None

    @property
    def mask_kind(self) -> str:
        """Of the mask that is put together; empty for none."""
        blocks = (self.bundle.foreground or self.bundle).blocks
        return blocks.mask if blocks else ""

    @property
    def labels_kind(self) -> str:
        """Of the objects that are put together; empty for none."""
        if self.bundle.foreground is not None:
            return self.bundle.mask_kind
        return self.bundle.blocks.labels if self.bundle.blocks else ""

    @property
    def classes_kind(self) -> str:
        """Of the classes that are put together; empty for none."""
        return self.bundle.blocks.classes if self.bundle.blocks else ""

    @property
    def table_kind(self) -> str:
        """Of the table of the objects; empty for none."""
        return self.bundle.blocks.table if self.bundle.blocks else ""

    def ratios(self, network: Description) -> list[float]:
        """How many pixels of the image one is that a network looks at, along every axis."""
        return _ratios(network, self.spacing)

    def sample(self, network: Description) -> Path:
        """The file of gray values that stand for all of the image."""
        return self.folder / f"gray_sample_{network.root.name}.npy"

    def part(self, network: Description, block: Block) -> dict[str, list[int]]:
        """What `common.resampling.VolumeSpacingd` and `common.inferers.VolumeInferer` are told of a block."""
        grid, halo = _grid(network, self.spacing, None), _halo(self.bundle, self.spacing, None)
        sides = zip(self.shape, block.core, halo, along_axes([grid], len(self.shape)), strict=True)
        spans = [span(length, *core, margin, windows) for length, core, margin, (windows,) in sides]
        return {
            "first": [first for first, _ in block.region],
            "start": [start for start, _ in spans],
            "stop": [stop for _, stop in spans],
        }

    def windows(self, network: Description) -> Path:
        """The folder of what the network gave for windows that several blocks see."""
        return self.folder / f"{WINDOWS}{network.root.name}"

    def look(self, place: Block) -> Path:
        """The file of what a part of the image says of the whole."""
        return self.folder / f"looked_{place.number}.json"

    def result(self, block: Block) -> Path:
        """The file of a block that is done, which is named after its place: a look may have cut others before."""
        place = "_".join(f"{start}-{stop}" for start, stop in (*block.core, *block.region))
        return self.folder / f"{block.number:06d}_{place}.npz"

    def is_done(self, block: Block) -> bool:
        """Whether there is a whole file of a block."""
        return zipfile.is_zipfile(self.result(block))


def default_memory() -> float:
    """Half of the machine's memory, in bytes; no limit if it is unknown."""
    return total_memory() / 2


def work_folder(destination: Path, stem: str) -> Path:
    """Where finished blocks of an image are kept until all are done."""
    return destination / f".blocks-{stem}"


def drop_if_empty(folder: Path) -> None:
    """Remove the folder of an image's blocks if none of them is done."""
    if not any(folder.glob("*.npz")):
        shutil.rmtree(folder, ignore_errors=True)


def check_blocks(bundle: Description) -> None:
    """Refuse a bundle that cannot be run in blocks, or not with these settings; InputError says why."""
    for one in bundle.networks:
        if one.blocks is None:
            raise InputError(
                f"{one.root.name}: cannot segment in blocks (its metadata.json has no toolbox: blocks); give smaller "
                "images, or a machine with more memory"
            )
        for key, value in one.blocks.only_with.items():
            if one.overrides.get(key, value) != value:
                raise InputError(
                    f"--{key} {one.overrides[key]}: {one.root.name} segments in blocks only with {value}; leave it out "
                    "or segment the whole image, with more --memory and no --blocks"
                )


def plan_blocks(
    bundle: Description,
    source: Source,
    destination: Path,
    options: Mapping[str, str],
    cutting: Cutting,
    *,
    save: Sequence[str] = (),
    run: str = "",
) -> Plan | None:
    """Where an image is to be cut; None where it is to be segmented as a whole.

    What blocks left at ``destination`` in an earlier call is used if the image and the blocks are the same. Options are
    those of the image, ``save`` formats that the labels are to be written in besides, for which they are read as a
    whole; ``run`` is of this command. InputError if a block size is given and the bundle or the image cannot be cut so,
    the image cannot be read, or the labels are too large for a further format.
    """
    if cutting.size:
        check_blocks(bundle)
        if len(cutting.size) != bundle.num_axes:
            given = ",".join(map(str, cutting.size))
            raise InputError(f"--blocks {given}: {bundle.name} takes {'Z,Y,X' if bundle.num_axes == 3 else 'Y,X'}")
    elif bundle.blocks is None or _pixels(source.path, options) * BYTES * _copies(bundle) <= cutting.memory:
        return None
    else:
        check_blocks(bundle)
    folder = work_folder(destination, source.stem)
    prepare_output_dir(folder)
    with open_image(source.path, bundle, options, folder) as regions:
        shape, affine = regions.shape, _affine(source.path, bundle, regions, options)
        spacing = _spacing(regions, affine, options)
    blocks = _cut(bundle, shape, spacing, cutting)
    if len(blocks) == 1 and not cutting.size:  # brought to the network's pixels it is small enough
        shutil.rmtree(folder)
        return None
    if save and math.prod(shape) * BYTES > cutting.memory:
        raise InputError(
            f"{source.path}: --save {','.join(save)} takes its labels as a whole, {math.prod(shape) * BYTES / 1e9:.3g} "
            "GB, more than --memory; give more, or take the OME-Zarr that is written anyway"
        )
    _remember(folder, source, {"shape": shape, "options": dict(options)})
    path, folder = source.path.resolve(), folder.resolve()
    return Plan(bundle, path, dict(options), shape, spacing, affine, blocks, cutting, folder, run)


def places_to_look(plan: Plan) -> list[Block]:
    """Parts of an image in which to look for what is decided only once: its middle, then those of its ninths."""
    side = plan.bundle.blocks.look if plan.bundle.blocks else 0
    lengths = [min(side, length) - (length - min(side, length)) % 2 for length in plan.shape]  # in the very middle
    places = []
    for ninth in itertools.product((3, 1, 5), repeat=len(lengths)):
        starts = [
            min(max(0, (part * whole - 3 * length) // 6), whole - length)
            for part, whole, length in zip(ninth, plan.shape, lengths, strict=True)
        ]
        places.append(tuple((start, start + length) for start, length in zip(starts, lengths, strict=True)))
    return [Block(number, place, place) for number, place in enumerate(dict.fromkeys(places))]


def cut_as_looked(plan: Plan, looked: Path) -> Plan:
    """The plan as a look at the image has it: cut by the windows that the network sees it in."""
    found = read_json(looked, "remove the folder that it is in")
    window = plan.bundle.blocks.window if plan.bundle.blocks else ()
    ratios = [own / of for own, of in zip(found["window_px"], window, strict=True)]
    return replace(plan, looked=looked, blocks=_cut(plan.bundle, plan.shape, plan.spacing, plan.cutting, ratios))


def _cut(
    bundle: Description,
    shape: tuple[int, ...],
    spacing: Spacing,
    cutting: Cutting,
    ratios: Sequence[float] | None = None,
) -> tuple[Block, ...]:
    halo, grids = _halo(bundle, spacing, ratios), _grids(bundle, spacing, ratios)
    size = cutting.size or choose_size(shape, halo, grids, copies=_copies(bundle, spacing), memory=cutting.memory)
    return tuple(cut(shape, size, halo, grids))


def open_image(
    path: Path, bundle: Description, options: Mapping[str, str], scratch: Path
) -> AbstractContextManager[Regions]:
    """`open_regions` of what the options pick."""
    return open_regions(path, num_axes=bundle.num_axes, scratch=scratch, pick=Pick.of(options))


def _remember(folder: Path, source: Source, settings: Mapping[str, object]) -> None:
    """Note down what the blocks are of; those of another image, or cut otherwise, are removed."""
    changed = source.path.stat()
    content = json.dumps({"image": source.path.name, "changed": changed.st_mtime_ns, **settings}, indent=2)
    path = folder / "plan.json"
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return
    for left in folder.iterdir():
        if left.suffix in (".npz", ".npy", ".json"):
            left.unlink()
        elif left.name.startswith(WINDOWS):
            shutil.rmtree(left)
    write_text(path, content)


def _pixels(path: Path, options: Mapping[str, str]) -> int:
    """Number of pixels of an image, from its header; 0 if it cannot be read, which is reported when it is segmented."""
    try:
        if maker_of(path) is not None or any(name in options for name in PICKS):
            with open_scenes(path) as scenes:
                scene = scenes[int(options.get("scene") or 0)]
                return math.prod(scene.size(axis) for axis in "ZYXS")
        kind = identify(path) or ""
        size_of = {"tiff": tiff.decoded_size, "nii": nifti.decoded_size, "nii.gz": nifti.decoded_size}
        return size_of.get(kind, pictures.decoded_size)(path)[0]
    except UNREADABLE:
        return 0


def _copies(bundle: Description, spacing: Spacing = (None, None, None)) -> float:
    """How many times the pixels of an image, in 32 bit, a run needs; more where it makes more pixels of it."""
    found = (one.blocks.copies / min(1.0, math.prod(_ratios(one, spacing))) for one in bundle.networks if one.blocks)
    return max(found, default=0.0)


def _ratios(bundle: Description, spacing: Spacing) -> list[float]:
    """How many pixels of an image a pixel of the network is, along every axis."""
    if not bundle.spacing:
        return [1.0] * bundle.num_axes
    return [
        wanted / own if own and abs(wanted - own) > SAME_UM else 1.0
        for wanted, own in zip(bundle.spacing, spacing, strict=True)
    ]


def _halo(bundle: Description, spacing: Spacing, ratios: Sequence[float] | None) -> tuple[int, ...]:
    """Of blocks; the ratios are those of pictures that a network sees magnified, see `_ratios`."""
    halos = [
        [
            math.ceil(side * ratio - 1e-6)
            for side, ratio in zip(one.blocks.halo, ratios or _ratios(one, spacing), strict=True)
        ]
        for one in bundle.networks
        if one.blocks
    ]
    return tuple(map(max, zip(*halos, strict=True)))


def _grids(bundle: Description, spacing: Spacing, given: Sequence[float] | None) -> list[Grid]:
    return [_grid(one, spacing, given) for one in bundle.networks if one.blocks]


def _grid(network: Description, spacing: Spacing, given: Sequence[float] | None) -> Grid:
    window = _window(network)
    part = float(network.blocks.overlap) if network.blocks else 0.0
    interval = tuple(max(1, int(side * (1 - part))) for side in window)  # as MONAI does
    return Grid(window, interval, tuple(given or _ratios(network, spacing)), TOLD_OF_PARTS in network.settings)


def _window(bundle: Description) -> tuple[int, ...]:
    """Windows of the network, as an override says or the metadata."""
    given = bundle.overrides.get("roi_size")
    if isinstance(given, int):
        return (given,) * bundle.num_axes
    if isinstance(given, (list, tuple)) and len(given) == bundle.num_axes:
        return tuple(int(side) for side in given)
    return bundle.blocks.window if bundle.blocks else ()


def _affine(path: Path, bundle: Description, regions: Regions, options: Mapping[str, str]) -> Affine | None:
    """Of a volume: its own, with the spacing that the user gives, else of the spacing alone."""
    if bundle.num_axes == 2:
        return None
    wanted = parse_spacing(options["spacing"]) if "spacing" in options else None
    if regions.affine is not None:
        affine = regions.affine
        steps = affine[:3, :3] / voxel_sizes(affine)
        if not np.allclose(steps.T @ steps, np.eye(3), atol=MOST_SHEAR):
            raise InputError(
                f"{path}: the axes of its voxels are not at right angles (a sheared affine), so it cannot be cut into "
                "blocks; give enough --memory for the whole volume, or save it without the shear"
            )
        if wanted is None:
            nifti.read_spacing(path)  # refuses what is not in micrometres
        else:
            affine = affine @ np.diag([*np.divide(wanted[::-1], voxel_sizes(affine)), 1.0])
    else:
        affine = np.diag([*(wanted or check_spacing(path, regions.spacing))[::-1], 1.0])
    return tuple(tuple(float(value) for value in row) for row in affine)


def _spacing(regions: Regions, affine: Affine | None, options: Mapping[str, str]) -> Spacing:
    if affine is not None:
        x, y, z = (float(step) for step in voxel_sizes(np.array(affine)))
        return z, y, x
    if "pixel_size_um" in options:
        size = float(options["pixel_size_um"])
        return None, size, size
    return regions.spacing
