"""Cell Tracking Challenge datasets to NIfTI volumes and dataset.json."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common.datalist import DATALIST, write_dataset
from common.errors import InputError
from common.reading.tiff import TiffHeader, read_header
from tools.command_line import OrAlone, as_verb, at_least, listed
from tools.convert.alignment import Offset, agreement, estimate_offset, move_labels
from tools.convert.ctc_layout import Frame, find_sequences
from tools.convert.dataset import (
    assign_folds,
    check_objects,
    chosen_units,
    read_ids,
    read_image,
    warn_of_copies,
    write_unless_whole,
    writing_dataset,
)
from tools.convert.spacing import parse_spacing

__all__ = ["ctc"]

NIFTI_MAX_EDGE = 32767


def _parse_align(text: str) -> str:
    """What to do about offsets: none, report, or move."""
    if text not in ("none", "report", "move"):
        raise ValueError("expected --align alone, or --align report")
    return text


@as_verb(
    source=Path,
    destination=Path,
    spacing=parse_spacing,
    folds=at_least(1),
    test=listed,
    align=OrAlone("move", _parse_align),
)
def ctc(
    source: Path,
    destination: Path,
    *,
    spacing: tuple[float, float, float],
    folds: int = 5,
    test: Sequence[str] = (),
    name: str = "",
    licence: str = "unknown",
    align: str = "none",
) -> dict[str, object]:
    """Convert a Cell Tracking Challenge dataset to NIfTI volumes and dataset.json, one frame in memory at a time.

    All headers are checked before anything is written; dataset.json comes last, so an interrupted run has none. A
    second run skips the files that are already there and whole. The label of a frame is its gold
    truth, else its silver truth, else its gold single slices. In the last case the item lists ``annotated_slices``
    (from 0, along Z), and every other voxel of the label is unknown, not background, though it holds 0. A frame with
    nothing but markers has no label. A frame without any truth goes under testing.

    Parameters
    ----------
    source : Path
        Folder that holds the sequences 01, 02, ... and their _GT and _ST folders.
    destination : Path
        Folder to write images/, labels/, markers/ and dataset.json to.
    spacing : tuple of float
        Size of a voxel in micrometres as Z,Y,X; required. For 2D data, Z is the thickness of the section.
    folds : int
        Number of folds, by sequence.
    test : sequence of str
        Sequences that go under testing, such as 02,05, or all.
    name, licence : str
        Texts for dataset.json; the name defaults to the source folder's.
    align : str
        report measures how far the truth of each sequence is shifted against its images, in parts of a voxel, and
        writes it here and into dataset.json; --align alone also moves the truth (never the image), unless the shift
        may be chance.

    Returns
    -------
    dict of str to object
        What was converted: sequences, frames, labelled, markers, training, testing, folds, the offset of every
        sequence that was measured, dataset.

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
    shapes = _check_frames(frames)
    warn_of_copies({frame.image: frame.sequence for frame in frames})
    fold_of = assign_folds({f.sequence for f in frames if f.sequence not in tested and _has_truth(f)}, folds)
    with writing_dataset(destination, ("images", "labels", "markers"), (f.stem for f in frames)) as folder:
        offsets = {} if align == "none" else _measure_offsets(sequences)
        moves = {name: offset.significant for name, offset in offsets.items() if offset and align == "move"}
        title = source.resolve().name + (", truth aligned" if any(map(any, moves.values())) else "")
        datalist: dict[str, Any] = {"name": name or title, "licence": licence, "spacing": list(spacing)}
        if offsets:
            datalist["alignment"] = {
                name: offset.as_fact() | {"moved_by": [round(value, 3) for value in moves.get(name, (0.0, 0.0, 0.0))]}
                for name, offset in offsets.items()
                if offset
            }
        datalist |= {"training": [], "testing": []}
        for frame in tqdm(frames, desc="convert ctc", unit="frame"):
            move = moves.get(frame.sequence, (0.0, 0.0, 0.0))
            item = _convert_frame(frame, folder, shapes[frame.stem], spacing, move)
            trains = frame.sequence in fold_of and _has_truth(frame)
            datalist["training" if trains else "testing"].append(
                item | ({"fold": fold_of[frame.sequence]} if trains else {})
            )
        write_dataset(folder, **datalist)
    return {
        "sequences": len(sequences),
        "frames": len(frames),
        "labelled": sum(bool(frame.label_files) for frame in frames),
        "markers": sum(frame.markers is not None for frame in frames),
        "training": len(datalist["training"]),
        "testing": len(datalist["testing"]),
        "folds": len(set(fold_of.values())),
        **{f"offset of {name}": _offset_text(offset, moves.get(name)) for name, offset in offsets.items()},
        "dataset": destination / DATALIST,
    }


def _check_frames(frames: Iterable[Frame]) -> dict[str, tuple[int, int, int]]:
    """Check the headers of every image, truth and marker file; image shape (Z, Y, X) by the frame's stem.

    InputError if a file is refused by `read_header`, a truth's shape differs from its image's or its dtype is not
    integer, or a slice lies outside its volume.
    """
    shapes = {}
    for frame in frames:
        image = read_header(frame.image)
        if image.dtype.kind not in "iuf" or (image.dtype.itemsize > 4 and image.dtype.kind != "f"):
            raise InputError(f"{frame.image}: pixels are {image.dtype}, expected 8, 16 or 32 bit gray; export it again")
        if max(image.shape) > NIFTI_MAX_EDGE:
            raise InputError(f"{frame.image}: shape {image.shape}, NIfTI holds at most {NIFTI_MAX_EDGE}; crop it")
        for path in [path for path in (frame.complete_truth, frame.markers) if path]:
            _check_truth(path, read_header(path, labels=True), frame, expected=image.shape)
        for z, path in frame.annotated_slices.items():
            if z >= image.shape[0]:
                raise InputError(f"{path}: slice {z}, but {frame.image} has {image.shape[0]} slices, counted from 0")
            _check_truth(path, read_header(path, labels=True), frame, expected=(1, *image.shape[1:]))
        shapes[frame.stem] = image.shape
    return shapes


def _check_truth(path: Path, header: TiffHeader, frame: Frame, *, expected: tuple[int, int, int]) -> None:
    """Refuse a truth of another shape than ``expected``, or whose values are not integers."""
    if header.shape != expected:
        raise InputError(
            f"{path}: shape {header.shape}, expected {expected} as in {frame.image}; export both on one pixel grid"
        )
    if header.dtype.kind not in "iu":
        raise InputError(f"{path}: labels are {header.dtype}, expected integers; export one whole number per object")


def _measure_offsets(sequences: dict[str, list[Frame]]) -> dict[str, Offset | None]:
    """Offset of every sequence with frames whose objects are all drawn."""
    offsets = {}
    for name, frames in tqdm(sequences.items(), desc="measure offsets", unit="sequence"):
        drawn = [(frame.image, truth) for frame in frames if (truth := frame.complete_truth)]
        # single slices cannot be moved along Z, and a sequence is moved as a whole
        if drawn and not any(frame.annotated_slices for frame in frames):
            offsets[name] = estimate_offset([agreement(read_image(image), read_ids(truth)) for image, truth in drawn])
    return offsets


def _offset_text(offset: Offset | None, move: tuple[float, float, float] | None) -> str:
    if offset is None:
        return "not found: no objects, or images and truth do not fit within three voxels"
    axes = ", ".join(
        f"{axis} {value:+.2f} ({low:+.2f} to {high:+.2f})"
        for axis, value, low, high in zip("ZYX", offset.voxels, offset.low, offset.high, strict=True)
    )
    done = "" if move is None else "; moved by " + " ".join(f"{value:+.2f}" for value in move)
    return f"{axes} voxels, {offset.num_objects} objects in {offset.num_frames} frames{done}"


def _has_truth(frame: Frame) -> bool:
    return bool(frame.label_files or frame.markers)


def _convert_frame(
    frame: Frame,
    destination: Path,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    move: tuple[float, float, float],
) -> dict[str, object]:
    """Write the volumes of one frame that are not whole yet, truth moved by ``move``; return its datalist item."""
    markers = [frame.markers] if frame.markers else []
    volumes: dict[str, tuple[str, list[Path], Callable[[], np.ndarray]]] = {
        "image": ("images", [frame.image], lambda: read_image(frame.image)),
        "label": ("labels", frame.label_files, lambda: move_labels(_read_label(frame, shape), move)),
        "markers": ("markers", markers, lambda: move_labels(read_ids(markers[0]), move)),
    }
    item: dict[str, object] = {}
    for key, (folder, sources, read) in volumes.items():
        if sources:
            name = f"{folder}/{frame.stem}.nii.gz"
            item[key] = name
            note = f"moved by {move}" if any(move) and key != "image" else ""
            write_unless_whole(destination / name, sources, read, shape, spacing, note)
    item |= {"sequence": frame.sequence, "frame": int(frame.digits)}
    if frame.label_source:
        item["label_source"] = frame.label_source
    if frame.annotated_slices:
        item["annotated_slices"] = list(frame.annotated_slices)
    return item


def _read_label(frame: Frame, shape: tuple[int, int, int]) -> np.ndarray:
    """Labels as (Z, Y, X), from a complete truth or from single slices."""
    if frame.complete_truth:
        ids = read_ids(frame.complete_truth)
        check_objects(frame.complete_truth, ids)
        return ids
    slices = {z: read_ids(path)[0] for z, path in frame.annotated_slices.items()}
    label = np.zeros(shape, np.result_type(*slices.values()))
    for z, ids in slices.items():
        label[z] = ids
    return label
