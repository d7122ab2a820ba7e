"""An image from its blocks to its results."""

from __future__ import annotations

import itertools
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
from tqdm import tqdm

from common.errors import InputError, find_input_error, find_write_error
from common.files import replacing
from tools.segment.blocks.assembly import put_together
from tools.segment.blocks.cutting import Block
from tools.segment.blocks.intensity import gray_sample
from tools.segment.blocks.plan import Plan, open_image

__all__ = ["Run", "one_by_one", "segment_in_blocks"]

logger = logging.getLogger(__name__)

Run = Callable[[Plan, Iterable[Block]], Iterator[tuple[Block, BaseException | None]]]
"""Segments blocks wherever it likes; gives every one back when it is done, with what it failed of."""


def one_by_one(plan: Plan, blocks: Iterable[Block]) -> Iterator[tuple[Block, BaseException | None]]:
    """Segment blocks in this process; see `Run`."""
    from tools.segment.blocks.work import forget, prepare, segment_block

    prepare(plan)
    for block in blocks:
        try:
            segment_block(plan, block)
        except Exception as error:
            yield block, error
        else:
            yield block, None
    forget()


def segment_in_blocks(plan: Plan, destination: Path, stem: str, run: Run, terminal: TextIO) -> list[str]:
    """Segment those blocks of an image that are not done yet, and put all of them together.

    Parameters
    ----------
    plan : Plan
    destination : Path
        Where ``<stem>_<kind>.ome.zarr`` go; it exists.
    stem : str
    run : Run
    terminal : file
        For the progress.

    Returns
    -------
    list of str
        Which blocks failed, and why. They are empty in the results, and tried again by the next call.

    Raises
    ------
    InputError
        If the image cannot be read, nothing can be written, or all blocks failed.
    """
    _sample(plan)
    todo = [block for block in plan.blocks if not plan.result(block).is_file()]
    failures = []
    progress = tqdm(run(plan, todo), total=len(todo), desc=stem, unit="block", file=terminal)
    for block, error in progress:
        if error is None:
            continue
        if find_write_error(error) is not None:
            raise error  # every block would fail
        failures.append(f"{block.place}: {_reason(plan, error)}")
        if len(failures) == len(plan.blocks):
            raise InputError(f"{plan.image}: {failures[0]} (all {len(failures)} blocks failed)")
    put_together(plan, destination, stem)
    if not failures:
        shutil.rmtree(plan.folder)
    return [f"{plan.image}: {failure}" for failure in failures]


def _sample(plan: Plan) -> None:
    """Look at all of the image, part by part, for the gray values that stand for it."""
    if plan.sample.is_file():
        return
    with open_image(plan.image, plan.bundle, plan.options, plan.folder) as regions:
        parts = (regions.read(tuple(slice(*side) for side in block.core)) for block in plan.blocks)
        planes = itertools.chain.from_iterable(parts)  # of volumes; of pictures these are rows
        try:
            sample = gray_sample(planes, int(np.prod(plan.shape)))
        except InputError as error:
            known = str(error)
            raise InputError(known if str(plan.image) in known else f"{plan.image}: {known}") from error
    with replacing(plan.sample) as partial:
        np.save(partial, sample)


def _reason(plan: Plan, error: BaseException) -> str:
    known = find_input_error(error)
    text = " ".join(str(known or error).split())[:300] or type(error).__name__
    return text.replace(f"{plan.image}: ", "") if known else f"{type(error).__name__}: {text}"
