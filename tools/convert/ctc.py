"""Cell Tracking Challenge datasets to NIfTI volumes and dataset.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common.datalist import write_dataset
from tools.command_line import as_verb, at_least, listed
from tools.convert.ctc_headers import check_frames
from tools.convert.ctc_layout import Frame, find_sequences
from tools.convert.datalist import assign_folds, chosen_units
from tools.convert.dataset import prepare_dataset, read_ids, read_image, write_unless_whole
from tools.convert.spacing import parse_spacing

__all__ = ["ctc"]


@as_verb(source=Path, destination=Path, spacing=parse_spacing, folds=at_least(1), test=listed)
def ctc(
    source: Path,
    destination: Path,
    *,
    spacing: tuple[float, float, float],
    folds: int = 5,
    test: Sequence[str] = (),
    name: str = "",
    licence: str = "unknown",
) -> dict[str, object]:
    """Convert a Cell Tracking Challenge dataset to NIfTI volumes and dataset.json, one frame in memory at a time.

    All headers are checked before anything is written; dataset.json comes last, so an interrupted run has none. A
    second run skips the files that are already there and whole. The label of a frame
    is its gold truth, else its silver truth, else its gold single slices. In the last case the item lists
    ``annotated_slices`` (from 0, along Z) and every other voxel of the label is unknown, not background, though it
    holds 0. A frame that has no more than markers has no label. One without any truth goes under testing.

    Parameters
    ----------
    source : Path
        Folder that holds the sequences 01, 02, ... and their _GT and _ST folders.
    destination : Path
        Folder to write images/, labels/, markers/ and dataset.json to.
    spacing : tuple of float
        Voxel spacing in micrometres as Z,Y,X; required. For 2D data, Z is the thickness to write down.
    folds : int
        Number of folds, by sequence.
    test : sequence of str
        Sequences that go under testing, such as 02,05, or all.
    name, licence : str
        Texts for dataset.json; the name defaults to the source folder's.

    Returns
    -------
    dict of str to object
        What was converted: sequences, frames, labelled, markers, training, testing, folds, dataset.

    Raises
    ------
    FileNotFoundError
        If there is no source folder.
    InputError
        If files do not belong together, a file is not a gray volume of its image's shape, an image holds NaN or
        infinity, a truth holds negative or too large ids, or the destination cannot be written.
    """
    sequences = find_sequences(source)
    frames = [frame for members in sequences.values() for frame in members]
    tested = chosen_units(sequences, test, source, kind="sequence")
    shapes = check_frames(frames)
    fold_of = assign_folds({f.sequence for f in frames if f.sequence not in tested and _has_truth(f)}, folds)
    datalist_path = prepare_dataset(destination, ("images", "labels", "markers"))
    datalist: dict[str, Any] = {"name": name or source.resolve().name, "licence": licence, "spacing": list(spacing)}
    datalist |= {"training": [], "testing": []}
    for frame in tqdm(frames, desc="convert ctc", unit="frame"):
        item = _convert_frame(frame, destination, shapes[frame.stem], spacing)
        trains = frame.sequence in fold_of and _has_truth(frame)
        datalist["training" if trains else "testing"].append(
            item | ({"fold": fold_of[frame.sequence]} if trains else {})
        )
    write_dataset(destination, **datalist)
    return {
        "sequences": len(sequences),
        "frames": len(frames),
        "labelled": sum(bool(frame.label_files) for frame in frames),
        "markers": sum(frame.markers is not None for frame in frames),
        "training": len(datalist["training"]),
        "testing": len(datalist["testing"]),
        "folds": len(set(fold_of.values())),
        "dataset": datalist_path,
    }


def _has_truth(frame: Frame) -> bool:
    return bool(frame.label_files or frame.markers)


def _convert_frame(
    frame: Frame, destination: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> dict[str, object]:
    """Write the volumes of one frame that are not whole yet; return its datalist item."""
    markers = [frame.markers] if frame.markers else []
    volumes: dict[str, tuple[str, list[Path], Callable[[], np.ndarray]]] = {
        "image": ("images", [frame.image], lambda: read_image(frame.image)),
        "label": ("labels", frame.label_files, lambda: _read_label(frame, shape)),
        "markers": ("markers", markers, lambda: read_ids(markers[0])),
    }
    item: dict[str, object] = {}
    for key, (folder, sources, read) in volumes.items():
        if sources:
            name = f"{folder}/{frame.stem}.nii.gz"
            item[key] = name
            write_unless_whole(destination / name, sources, read, shape, spacing)
    item |= {"sequence": frame.sequence, "frame": int(frame.digits)}
    if frame.label_source:
        item["label_source"] = frame.label_source
    if frame.annotated_slices:
        item["annotated_slices"] = list(frame.annotated_slices)
    return item


def _read_label(frame: Frame, shape: tuple[int, int, int]) -> np.ndarray:
    """Labels as (Z, Y, X), from a complete truth or from single slices."""
    if frame.complete_truth:
        return read_ids(frame.complete_truth)
    slices = {z: read_ids(path)[0] for z, path in frame.annotated_slices.items()}
    label = np.zeros(shape, np.result_type(*slices.values()))
    for z, ids in slices.items():
        label[z] = ids
    return label
