"""An image from its blocks to its results."""

import functools
import itertools
import logging
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import numpy as np
from tqdm import tqdm

from common.errors import InputError, find_input_error, find_write_error
from common.files import replacing
from common.json_file import read_json
from tools.formats.regions import Regions
from tools.segment.blocks.assembly import put_together
from tools.segment.blocks.cutting import Block
from tools.segment.blocks.intensity import LOOKED_AT, gray_sample, on_grid
from tools.segment.blocks.plan import Plan, cut_as_looked, open_image, places_to_look
from tools.segment.description import Description
from tools.spreading import Spread

__all__ = ["segment_in_blocks"]

logger = logging.getLogger(__name__)

MARGIN_PX = 12  # beyond which a spline does not see


def segment_in_blocks(plan: Plan, destination: Path, stem: str, spread: Spread, terminal: TextIO) -> str:
    """Segment those blocks of an image that are not done yet, and put all of them together.

    The results, ``<stem>_<kind>.ome.zarr``, go to a folder that exists; ``terminal`` is the file that shows the
    progress. Gives which block failed first, why, and how many did, empty if none; the log lists all. They are empty in
    the results, and tried again by the next call. InputError if the image cannot be read, nothing can be written, or
    all blocks failed.
    """
    from tools.segment.work import segment_block

    for network in plan.bundle.networks:
        _sample(plan, network)
    if plan.bundle.blocks is not None and plan.bundle.blocks.look:
        plan = cut_as_looked(plan, _look(plan, spread, stem, terminal))
    todo = [block for block in plan.blocks if not plan.is_done(block)]
    failures, left = [], dict.fromkeys(todo)
    done = spread(functools.partial(segment_block, plan), todo)
    for block, error in tqdm(done, total=len(todo), desc=stem, unit="block", file=terminal):
        del left[block]
        _forget_windows(plan, left)
        if error is None:
            continue
        if find_write_error(error) is not None:
            raise error  # every block would fail
        failures.append(f"{block.place}: {_reason(plan, error)}")
        logger.error("%s: %s", plan.image, failures[-1])
        if len(failures) == len(plan.blocks):
            raise InputError(f"{plan.image}: {failures[0]} (all {len(failures)} blocks failed)")
    put_together(plan, destination, stem)
    if failures:
        told = f"{len(failures)} of {len(plan.blocks)} blocks failed, which are empty in the result"
        return f"{plan.image}: {failures[0]} ({told}; the same command tries them again)"
    shutil.rmtree(plan.folder)
    return ""


def _forget_windows(plan: Plan, left: Iterable[Block]) -> None:
    """Remove what is kept of windows that no block sees that is left; these are in order."""
    for network in plan.bundle.networks:
        if plan.windows(network).is_dir():
            following = next(iter(left), None)
            first = math.inf if following is None else plan.part(network, following)["start"][0]
            for path in plan.windows(network).glob("[0-9]*.npy"):
                if int(path.name.split("_")[0]) < first:
                    path.unlink()


def _sample(plan: Plan, network: Description) -> None:
    """Look at all of the image, part by part, for the gray values that stand for it."""
    path, ratios = plan.sample(network), plan.ratios(network)
    if path.is_file():
        return
    with open_image(plan.image, plan.bundle, plan.options, plan.folder) as regions:
        try:
            if all(math.isclose(ratio, 1) for ratio in ratios):
                parts = (regions.read(tuple(slice(*side) for side in block.core)) for block in plan.blocks)
                planes = itertools.chain.from_iterable(parts)  # of volumes; of pictures these are rows
                sample = gray_sample(planes, math.prod(plan.shape))
            else:
                values = (_resampled(plan, ratios, regions, block) for block in plan.blocks)
                sample = gray_sample(values, 1)
        except InputError as error:
            known = str(error)
            raise InputError(known if str(plan.image) in known else f"{plan.image}: {known}") from error
    with replacing(path) as partial:
        np.save(partial, sample)


def _look(plan: Plan, spread: Spread, stem: str, terminal: TextIO) -> Path:
    """What is decided for all blocks by the first part of the image that says enough, else by its middle."""
    from tools.segment.work import look_at

    places, read = places_to_look(plan), []
    for place in tqdm(places, f"{stem}: first look", unit="place", file=terminal, leave=False):
        ((_, error),) = spread(functools.partial(look_at, plan), [place])
        if error is not None:
            if find_write_error(error) is not None or isinstance(error, InputError):
                raise error
            raise InputError(f"{plan.image}: {place.place}: {_reason(plan, error)}") from error
        read.append(plan.look(place))
        if read_json(read[-1], "remove it")["is_sure"]:
            return read[-1]
    return read[0]


def _resampled(plan: Plan, ratios: list[float], regions: Regions, block: Block) -> np.ndarray:
    """Gray values of a block as the network gets them, four million of the whole image."""
    around = [
        (max(0, start - MARGIN_PX), min(length, stop + MARGIN_PX))
        for (start, stop), length in zip(block.core, plan.shape, strict=True)
    ]
    pixels = regions.read(tuple(slice(*side) for side in around))
    step = max(1, int(math.prod(plan.shape) / math.prod(ratios)) // LOOKED_AT)
    return on_grid(pixels, [start for start, _ in around], block.core, plan.shape, ratios, step)


def _reason(plan: Plan, error: BaseException) -> str:
    known = find_input_error(error)
    text = " ".join(str(known or error).split())[:300] or type(error).__name__
    return text.replace(f"{plan.image}: ", "") if known else f"{type(error).__name__}: {text}"
