"""What blocks found, put together: masks and objects of the whole image, written block by block."""

import functools
import itertools
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.tables import write_table
from tools.formats.saving import About
from tools.segment.blocks.cutting import Block, overlap, within
from tools.segment.blocks.joining import number_through, same_objects
from tools.segment.blocks.plan import Plan
from tools.segment.results import IN_BLOCKS, MISSING

__all__ = ["put_together"]

CHUNK_PX = {2: (1024, 1024), 3: (64, 256, 256)}


def put_together(plan: Plan, destination: Path, stem: str) -> list[Path]:
    """Write the results of all blocks that are done as OME-Zarr, the mask that counts last; what was written.

    They are ``<stem>_<kind>.ome.zarr``, and a table ``<stem>_<kind>.csv``. What blocks that are not done cover is 0,
    and their places stand in an attribute of the store. InputError if they cannot be written.
    """
    from tools.formats.label_zarr import write_parts  # slow to import

    done = [block for block in plan.blocks if plan.is_done(block)]
    missing = [block.place for block in plan.blocks if block not in done]
    remarks = {MISSING: missing} if missing else {}
    kinds = {plan.mask_kind: "mask", plan.classes_kind: "classes", plan.labels_kind: "labels"}
    wanted = sorted(kinds.keys() - {""}, key=lambda kind: kind == plan.bundle.mask_kind)
    paths = []
    for kind in wanted:
        path = destination / f"{stem}_{kind}{IN_BLOCKS}"
        if kinds[kind] == "labels":
            present, numbers, num_objects = _number(plan, done)
            dtype = np.dtype(next(kind for kind in (np.uint16, np.uint32) if num_objects <= np.iinfo(kind).max))
            parts = _labels(plan, done, present, numbers)
            about = About(plan.image.name, plan.spacing, plan.bundle.object_name)
        else:
            dtype, parts = np.dtype(np.uint8), _planes(plan, done, kinds[kind])
            about = About(plan.image.name, plan.spacing, kind)
        built = plan.folder / path.name  # with which goes what a killed process leaves of it
        try:
            if kinds[kind] == "labels" and plan.table_kind:
                paths.append(destination / f"{stem}_{plan.table_kind}.csv")
                write_table(paths[-1], *_table(plan, done, present, numbers))
            write_parts(built, plan.shape, dtype, parts, about, chunks=_chunks(plan), remarks=remarks)
            shutil.rmtree(path, ignore_errors=True)
            built.rename(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
        paths.append(path)
    return paths


def _planes(plan: Plan, done: Sequence[Block], name: str) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    for block in done:
        with np.load(plan.result(block)) as arrays:
            yield tuple(slice(*side) for side in block.core), arrays[name]


def _table(
    plan: Plan, done: Sequence[Block], present: Sequence[np.ndarray], numbers: Sequence[np.ndarray]
) -> tuple[list[str], list[list[float]]]:
    """Columns, and a row per object, of the block whose core holds most of it."""
    columns: list[str] = []
    best: dict[int, tuple[int, list[float]]] = {}
    for block, old, new in zip(done, present, numbers, strict=True):
        with np.load(plan.result(block)) as arrays:
            columns, rows, labels = arrays["columns"].tolist(), arrays["rows"].tolist(), arrays["labels"]
        sizes = np.bincount(labels[within(block.core, block.region)].ravel())
        place = columns.index("id")
        row_of = {int(row[place]): row for row in rows}
        for label, number in zip(old.tolist(), new.tolist(), strict=True):
            if sizes[label] > best.get(number, (0, None))[0]:
                best[number] = int(sizes[label]), row_of[label]
                best[number][1][place] = number
    return columns, [best[number][1] for number in sorted(best)]


def _labels(
    plan: Plan, done: Sequence[Block], present: Sequence[np.ndarray], numbers: Sequence[np.ndarray]
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    for block, old, new in zip(done, present, numbers, strict=True):
        core = _found(plan, block)[within(block.core, block.region)]
        table: np.ndarray = np.zeros(int(core.max(initial=0)) + 1, np.uint32)
        table[old] = new
        yield tuple(slice(*side) for side in block.core), table[core]


def _number(plan: Plan, done: Sequence[Block]) -> tuple[list[np.ndarray], list[np.ndarray], int]:
    """Labels in the core of every block, the number of each in the whole image, and the highest of these."""
    places = {block.core: number for number, block in enumerate(done)}
    counts = [len({block.core[axis] for block in plan.blocks}) for axis in range(len(plan.shape))]
    found = functools.lru_cache(maxsize=2)(lambda number: _found(plan, done[number]))
    present, pairs = [], []
    for number, block in enumerate(done):
        core = found(number)[within(block.core, block.region)]
        present.append(np.unique(core[core > 0]))
        for neighbour in _later_neighbours(plan.blocks, counts, block):
            other = places.get(neighbour.core)
            common = None if other is None else overlap(block, neighbour)
            if other is not None and common is not None:
                parts = [found(one)[within(common, done[one].region)] for one in (number, other)]
                pairs.append((number, other, same_objects(*parts)))
    return present, *number_through(present, pairs)


def _found(plan: Plan, block: Block) -> np.ndarray:
    with np.load(plan.result(block)) as arrays:
        return arrays["labels"]


def _later_neighbours(blocks: Sequence[Block], counts: Sequence[int], block: Block) -> Iterator[Block]:
    """Those of the up to 26 around a block that come after it; there are so many along every axis."""
    at = np.unravel_index(block.number, counts)
    for offset in itertools.product((-1, 0, 1), repeat=len(counts)):
        where = [int(place) + step for place, step in zip(at, offset, strict=True)]
        if all(0 <= place < count for place, count in zip(where, counts, strict=True)):
            number = int(np.ravel_multi_index(where, counts))
            if number > block.number:
                yield blocks[number]


def _chunks(plan: Plan) -> tuple[int, ...]:
    """Of the store: so that blocks are whole chunks, where they are not of odd sizes."""
    cores = [stop - start for start, stop in plan.blocks[0].core]
    chunks = []
    for core, wanted in zip(cores, CHUNK_PX[len(cores)], strict=True):
        number = math.ceil(core / wanted)
        exact = next((core // parts for parts in range(number, 2 * number + 1) if core % parts == 0), None)
        chunks.append(exact or min(core, wanted))
    return tuple(chunks)
