"""Which truth and result files belong together: names only, no pixels.

::

    01_GT/SEG/man_segTTT.tif        truth of frame TTT, of some or all of its objects; 01_ST: silver truth
    01_GT/SEG/man_seg_TTT_ZZZ.tif   truth of its single slice ZZZ, counted from 0
    01_GT/TRA/man_trackTTT.tif      one marker per object
    01_RES/maskTTT.tif              result
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError
from tools.convert.ctc_layout import MARKERS, SEGMENTATION, SLICE, files_by_number

__all__ = ["FrameFiles", "find_results"]

logger = logging.getLogger(__name__)

RESULT = re.compile(r"mask(\d{3,})\.tif")
TRUTH_FOLDER = re.compile(r"(\d{2,})_(GT|ST)")


@dataclass(frozen=True)
class FrameFiles:
    """The result of one frame and the truth that it is compared with; truth that does not exist is None or empty.

    ``slices`` maps a slice number to its file; it is empty where ``segmentation`` covers the frame.
    """

    sequence: str
    number: int
    result: Path
    segmentation: Path | None = None
    slices: Mapping[int, Path] = field(default_factory=dict)
    markers: Path | None = None


def find_results(truth: Path, results: Path) -> dict[str, list[FrameFiles]]:
    """Frames that have truth, with their results: frames by number, sequences by name.

    Folders are those of one sequence, such as ``01_GT`` and ``01_RES``; or of a dataset, in which every ``NN_GT`` (or,
    if there is none, every ``NN_ST``) goes with ``NN_RES``. FileNotFoundError or InputError if a folder, or the result
    of a frame that has truth, does not exist, there is no truth or no result, or two files stand for the same frame.
    """
    for folder in (truth, results):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder}: no such folder, expected a sequence such as 01_GT or 01_RES, or a dataset"
            )
    if _is_sequence(truth):
        return {_sequence_name(truth): _find_frames(truth, results)}
    folders = _truth_folders(truth)
    if not folders:
        raise InputError(
            f"{truth}: no truth found, expected SEG or TRA in it, or folders such as 01_GT; give one of them"
        )
    for sequence, folder in folders.items():
        if not (results / f"{sequence}_RES").is_dir():
            raise FileNotFoundError(
                f"{results / f'{sequence}_RES'}: no such folder, expected the results for {folder}; add them, "
                "or score single sequences"
            )
    return {sequence: _find_frames(folder, results / f"{sequence}_RES") for sequence, folder in folders.items()}


def _is_sequence(truth: Path) -> bool:
    return any((truth / name).is_dir() for name in ("SEG", "TRA"))


def _sequence_name(truth: Path) -> str:
    """01 for 01_GT; for other names, the name."""
    match = TRUTH_FOLDER.fullmatch(truth.resolve().name)
    return match[1] if match else truth.resolve().name


def _truth_folders(truth: Path) -> dict[str, Path]:
    """Truth folder of every sequence of a dataset: gold, or silver if there is no gold at all."""
    folders = {path: TRUTH_FOLDER.fullmatch(path.name) for path in sorted(truth.iterdir()) if path.is_dir()}
    found = {kind: {m[1]: path for path, m in folders.items() if m and m[2] == kind} for kind in ("GT", "ST")}
    if found["GT"] and found["ST"]:
        logger.info("%s: gold truth (_GT) is used; for silver truth score single sequences", truth)
    return found["GT"] or found["ST"]


def _find_frames(truth: Path, results: Path) -> list[FrameFiles]:
    """Frames of one sequence by number."""
    whole, slices = files_by_number(truth / "SEG", SEGMENTATION, SLICE)
    (markers,) = files_by_number(truth / "TRA", MARKERS)
    (found,) = files_by_number(results, RESULT)
    if not (whole or slices or markers):
        raise InputError(f"{truth}: no truth found, expected SEG/man_seg000.tif or TRA/man_track000.tif; add it")
    if not found:
        raise InputError(f"{results}: no result found, expected mask000.tif, mask001.tif, ...; add them")
    first = {numbers[:1]: path for files in (markers, slices, whole) for numbers, path in reversed(files.items())}
    digits = len(RESULT.sub(r"\1", next(iter(found.values())).name))
    for numbers, path in sorted(first.items()):
        if numbers not in found:
            raise FileNotFoundError(
                f"{results / f'mask{numbers[0]:0{digits}d}.tif'}: no such result, but there is {path}; "
                "add the result, an empty one where nothing was found"
            )
    for measure, folder, files in (("SEG", "SEG", whole or slices), ("DET", "TRA", markers)):
        if not files:
            logger.warning("%s: no truth there, so %s and OP_CSB are undefined", truth / folder, measure)
    if ignored := [path.name for numbers, path in found.items() if numbers not in first]:
        logger.info("%s: %d results without truth are left out, the first is %s", results, len(ignored), ignored[0])
    return [
        FrameFiles(
            _sequence_name(truth),
            numbers[0],
            result=found[numbers],
            segmentation=whole.get(numbers),
            slices={} if numbers in whole else {z: path for (frame, z), path in slices.items() if (frame,) == numbers},
            markers=markers.get(numbers),
        )
        for numbers in sorted(first)
    ]
