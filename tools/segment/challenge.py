"""A dataset of the Cell Tracking Challenge to instances, tables and scores, by two bundles one after the other."""

import csv
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.datalist import Item, read_dataset
from common.errors import InputError
from common.files import write_text
from common.json_file import read_json
from common.reading.tiff import read_header
from tools.checksum import checksum
from tools.command_line import as_table
from tools.convert.ctc import ctc as convert_ctc
from tools.convert.ctc_layout import find_sequences
from tools.formats.ctc import ctc as export_ctc
from tools.overlay import overlay
from tools.score.commands import score_folders
from tools.score.summary import as_json, as_text, summarise_sequences
from tools.segment.description import Description
from tools.segment.files import segment_file
from tools.segment.quiet import quiet

__all__ = ["is_challenge", "segment_challenge"]

logger = logging.getLogger(__name__)

NUCLEI = ("_instances.nii.gz", "_nuclei.csv")
WEIGHTS = "weights.json"  # checksums of those that made the results
SEQUENCE = re.compile(r"\d{2,}(_GT|_ST)?")


def is_challenge(source: Path) -> bool:
    """Whether a folder is a dataset of the Cell Tracking Challenge, which holds 01, 01_GT, ....

    A single one of its sequences is none, which is logged where there is truth beside it.
    """
    if source.is_dir() and any(SEQUENCE.fullmatch(path.name) for path in source.iterdir() if path.is_dir()):
        return True
    if (source.parent / f"{source.resolve().name}_GT").is_dir():
        logger.warning("%s: read as single stacks; to compare with its truth, give the folder above", source)
    return False


def segment_challenge(
    bundle: Description, source: Path, destination: Path, *, spacing: tuple[float, float, float]
) -> str:
    """Segment a dataset of the Cell Tracking Challenge with two bundles, and score it where there is truth.

    Images whose results are there already are left out, so that an interrupted run continues. ``spacing`` is that of
    voxels in µm as (Z, Y, X). The destination gets ``dataset/`` (NIfTI), ``results/`` (masks, markers, instances,
    tables), ``NN_RES/``, ``scores.json`` where there is truth, ``overlay.png`` of the volume with the most nuclei.
    Tells what was done, and the scores. InputError if the source cannot be used, a step fails, or the destination holds
    results of other weights or of images that the source does not have.
    """
    sequences = find_sequences(source)
    frames = [frame for of_sequence in sequences.values() for frame in of_sequence]
    _check_volumes([frame.image for frame in frames])
    dataset, results = destination / "dataset", destination / "results"
    _check_same_images(results, {frame.stem for frame in frames})
    checksums = {one.root.name: checksum(one.weights) for one in bundle.networks}
    _check_same_weights(destination, checksums)
    convert_ctc(source, dataset, spacing=spacing, test=["all"])
    items = read_dataset(dataset).testing
    images = [item.image.resolve() for item in items]
    results.mkdir(parents=True, exist_ok=True)
    write_text(destination / WEIGHTS, json.dumps(checksums, indent=2) + "\n")
    _segment(bundle, _without_result(images, results), results)
    export_ctc(results, destination, like=source, overwrite=True)
    counts = np.array([_count_nuclei(results, image) for image in images])
    crowded = items[int(np.argmax(counts[:, 0]))]
    _draw(results, crowded, destination / "overlay.png")
    about = {
        "volumes": len(images),
        "nuclei": f"{counts[:, 0].sum()}, {counts[:, 1].sum()} of them foreground without a marker",
        "tables and volumes": results,
        "results as TIFF": ", ".join(str(destination / f"{sequence}_RES") for sequence in sequences),
        "picture": f"{destination / 'overlay.png'} ({_stem(crowded.image)})",
    }
    has_truth = any(frame.label_files or frame.markers for frame in frames)
    return "\n\n".join([as_table(about), *([_score(source, destination)] if has_truth else [])])


def _check_volumes(images: Sequence[Path]) -> None:
    """Refuse single slices."""
    for image in images:
        if read_header(image).shape[0] == 1:
            raise InputError(f"{image}: a single slice, expected a volume; these networks take volumes only")


def _check_same_images(results: Path, stems: set[str]) -> None:
    """Refuse a folder with results of images that the source does not have: they would be exported with the others."""
    for path in sorted(results.glob("*_instances.nii.gz")):
        if path.name.removesuffix("_instances.nii.gz") not in stems:
            raise InputError(f"{path}: of an image that is not in the source; choose another folder, or remove it")


def _check_same_weights(destination: Path, checksums: Mapping[str, str]) -> None:
    """Refuse to go on with results of other weights."""
    path = destination / WEIGHTS
    if path.is_file() and read_json(path, "remove it, or choose another folder") != checksums:
        raise InputError(f"{destination}: holds results of other weights; choose another folder, or remove it")


def _segment(bundle: Description, images: Sequence[Path], results: Path) -> None:
    if not images:
        return
    with quiet(logging.WARNING):
        from tools.segment.loaded import load

        loaded = load(bundle)
    with quiet() as terminal:
        for image in tqdm(images, desc=bundle.name, unit="volume", file=terminal):
            segment_file(loaded, image, results, {})


def _without_result(images: Sequence[Path], results: Path) -> list[Path]:
    """Images that lack a result, or are newer."""
    todo = []
    for image in images:
        files = [results / f"{_stem(image)}{kind}" for kind in NUCLEI]
        oldest = min((file.stat().st_mtime if file.is_file() else 0.0) for file in files)
        if oldest < image.stat().st_mtime:
            todo.append(image)
    return todo


def _count_nuclei(results: Path, image: Path) -> tuple[int, int]:
    """Number of nuclei of an image, and how many of them no marker began."""
    with (results / f"{_stem(image)}_nuclei.csv").open(encoding="utf-8", newline="") as file:
        began = [row["marker"] == "1" for row in csv.DictReader(file)]
    return len(began), began.count(False)


def _draw(results: Path, item: Item, picture: Path) -> None:
    label = item.file("label") if item.is_complete else None
    overlay(item.image, results / f"{_stem(item.image)}_instances.nii.gz", picture, label=label)


def _score(source: Path, destination: Path) -> str:
    scores, total = summarise_sequences(score_folders(source, destination))
    write_text(destination / "scores.json", as_json(scores, total) + "\n")
    return as_text(scores, total)


def _stem(image: Path) -> str:
    return image.name.removesuffix(".nii.gz")
