"""From raw volumes of nuclei to instances, tables and scores: both DevoNet bundles, one after the other."""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import InputError
from common.files import replacing
from common.reading import nifti
from common.reading.tiff import read_header
from tools.bundles import all_bundles, find_bundle
from tools.checksum import checksum
from tools.command_line import as_table, as_verb
from tools.convert.ctc import ctc as convert_ctc
from tools.convert.ctc_layout import Frame, find_sequences
from tools.convert.spacing import parse_spacing
from tools.convert.stacks import find_stacks
from tools.convert.stacks import tiff as convert_stacks
from tools.formats.ctc import export_ctc
from tools.formats.labels import as_uint16, write_labels
from tools.overlay import overlay
from tools.score.commands import score_folders
from tools.score.summary import as_json, as_text, summarise_sequences
from tools.segment.description import Description, describe_bundle
from tools.segment.files import segment_file
from tools.segment.quiet import quiet
from tools.toolbox import read_toolbox

__all__ = ["devonet", "segment_nuclei"]

logger = logging.getLogger(__name__)

EXPECTED = "give a dataset of the Cell Tracking Challenge, a TIFF stack, or a folder of stacks"
FOREGROUND, NUCLEI = ("_prob.nii.gz", "_mask.nii.gz"), ("_instances.nii.gz", "_nuclei.csv")
SEQUENCE = re.compile(r"\d{2,}(_GT|_ST)?")


@as_verb(source=Path, destination=Path, spacing=parse_spacing, nsn_weights=Path, ndn_weights=Path)
def devonet(
    source: Path,
    destination: Path,
    *,
    spacing: tuple[float, float, float],
    nsn_weights: Path | None = None,
    ndn_weights: Path | None = None,
) -> str:
    """Nuclei as instances, with tables and scores: convert, segment (NSN), detect (NDN), watershed, export, score.

    Images whose results are there already are left out, so an interrupted run goes on.

    Parameters
    ----------
    source : str
        Dataset of the Cell Tracking Challenge, which holds 01, 01_GT, ...; or one TIFF stack, or a folder of them.
    destination : str
        Folder to write to.
    spacing : str
        Voxel spacing in micrometres as Z,Y,X; required.
    nsn_weights, ndn_weights : str
        Checkpoints to use instead of the shipped ones.
    """
    pair = _find_pair()
    weights = {
        bundle.name: given or bundle / "models" / "model.pt"
        for bundle, given in ((pair.foreground, nsn_weights), (pair.separating, ndn_weights))
    }
    return segment_nuclei(source, destination, spacing=spacing, weights=weights)


def segment_nuclei(
    source: Path, destination: Path, *, spacing: tuple[float, float, float], weights: dict[str, Path]
) -> str:
    """Run both bundles on raw volumes.

    Parameters
    ----------
    source : Path
        Dataset of the Cell Tracking Challenge, a TIFF stack, or a folder of stacks.
    destination : Path
        Folder to write to: ``dataset/`` (NIfTI), ``results/`` (masks, markers, instances, tables), ``NN_RES/`` (for
        single stacks ``instances/``), ``scores.json`` where there is truth, ``overlay.png`` of the volume with the most
        nuclei.
    spacing : tuple of float
        Voxel spacing in µm as (Z, Y, X).
    weights : dict of str to Path
        Name of each bundle -> checkpoint.

    Returns
    -------
    str
        What was done, and the scores where there is truth.

    Raises
    ------
    InputError
        If the source cannot be used, a checkpoint is missing, a step fails, or the destination holds results of other
        weights or of images that the source does not have.
    """
    pair = _find_pair()
    for path in weights.values():
        if not path.is_file():
            raise InputError(f"{path}: no such checkpoint; give one that exists, or leave the option out")
    sequences = _find_sequences(source)
    stacks = {} if sequences else find_stacks(source)
    _check_volumes([frame.image for frames in sequences.values() for frame in frames] or [*stacks.values()])
    dataset, results = destination / "dataset", destination / "results"
    _check_same_images(results, {frame.stem for frames in sequences.values() for frame in frames} or {*stacks})
    _check_same_weights(destination, weights)
    if sequences:
        convert_ctc(source, dataset, spacing=spacing, test=["all"])
    else:
        convert_stacks(source, dataset, spacing=spacing)
    items = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))["testing"]
    images = [(dataset / item["image"]).resolve() for item in items]
    results.mkdir(parents=True, exist_ok=True)
    _segment(pair, weights, images, results)
    if sequences:
        export_ctc(results, destination, like=source, overwrite=True)
    else:
        _export_stacks(images, results, destination / "instances", spacing)
    counts = np.array([_count_nuclei(results, image) for image in images])
    crowded = items[int(np.argmax(counts[:, 0]))]
    _draw(dataset, results, crowded, destination / "overlay.png")
    folders = [destination / f"{sequence}_RES" for sequence in sequences] or [destination / "instances"]
    about = {
        "volumes": len(images),
        "nuclei": f"{counts[:, 0].sum()}, {counts[:, 1].sum()} of them foreground without a marker",
        "tables and volumes": results,
        "results as TIFF": ", ".join(map(str, folders)),
        "picture": f"{destination / 'overlay.png'} ({_stem(Path(crowded['image']))})",
    }
    has_truth = any(frame.label_files or frame.markers for frames in sequences.values() for frame in frames)
    return "\n\n".join([as_table(about), *([_score(source, destination)] if has_truth else [])])


@dataclass(frozen=True)
class _Pair:
    """The bundle that finds the foreground, and the one whose config separates it into nuclei."""

    foreground: Path
    separating: Path
    config: str


def _find_pair() -> _Pair:
    for bundle in all_bundles():
        instances = read_toolbox(bundle).instances
        if instances:
            return _Pair(find_bundle(instances.foreground), bundle, instances.config)
    raise InputError("no bundle is there that separates the foreground of another: none has toolbox: instances")


def _find_sequences(source: Path) -> dict[str, list[Frame]]:
    """Sequences of a dataset of the Cell Tracking Challenge; none where the source is a stack or a folder of stacks."""
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; {EXPECTED}")
    if source.is_dir() and any(SEQUENCE.fullmatch(path.name) for path in source.iterdir() if path.is_dir()):
        return find_sequences(source)
    if source.is_dir() and not any(path.suffix.lower() in (".tif", ".tiff") for path in source.iterdir()):
        raise InputError(f"{source}: neither sequences 01, 02, ... nor TIFF stacks right inside it; {EXPECTED}")
    if (source.parent / f"{source.resolve().name}_GT").is_dir():
        logger.warning("%s: taken as single stacks; give the folder above it to have its truth compared", source)
    return {}


def _check_volumes(images: Sequence[Path]) -> None:
    """Refuse single slices."""
    for image in images:
        if read_header(image).shape[0] == 1:
            raise InputError(f"{image}: a single slice, expected a volume; these networks know volumes only")


def _check_same_images(results: Path, stems: set[str]) -> None:
    """Refuse a folder with results of images that the source does not have: they would be exported with the others."""
    for path in sorted(results.glob("*_instances.nii.gz")):
        if path.name.removesuffix("_instances.nii.gz") not in stems:
            raise InputError(f"{path}: of an image that is not in the source; choose another folder, or remove it")


def _check_same_weights(destination: Path, weights: dict[str, Path]) -> None:
    """Refuse to go on with results of other weights; note down these ones."""
    path = destination / "weights.json"
    checksums = {name: checksum(file) for name, file in weights.items()}
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != checksums:
            raise InputError(f"{destination}: holds results of other weights; choose another folder, or remove it")
        return
    try:
        destination.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(checksums, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{destination}: cannot be written ({error.strerror}); choose another folder") from error


def _segment(pair: _Pair, weights: Mapping[str, Path], images: Sequence[Path], results: Path) -> None:
    """Foreground, then nuclei, of each image that lacks them."""
    foreground = describe_bundle(pair.foreground, overrides={"ckpt_path": str(weights[pair.foreground.name].resolve())})
    separating = describe_bundle(pair.separating, overrides={"ckpt_path": str(weights[pair.separating.name].resolve())})
    instances = replace(separating, config=pair.config, mask_kind="instances")
    _run("segment", foreground, _without_result(images, results, *FOREGROUND), results, {"save_probability": True})
    _run("separate", instances, _without_result(images, results, *NUCLEI), results, {}, FOREGROUND[:1])


def _without_result(images: Sequence[Path], results: Path, *kinds: str) -> list[Path]:
    """Images that lack a result, or are newer."""
    todo = []
    for image in images:
        files = [results / f"{_stem(image)}{kind}" for kind in kinds]
        oldest = min((file.stat().st_mtime if file.is_file() else 0.0) for file in files)
        if oldest < image.stat().st_mtime:
            todo.append(image)
    return todo


def _run(
    step: str,
    bundle: Description,
    images: Sequence[Path],
    results: Path,
    overrides: Mapping[str, object],
    beside: Sequence[str] = (),
) -> None:
    """Run a bundle on images, with earlier results of theirs beside it."""
    if not images:
        return
    with quiet() as terminal:
        from tools.segment.loaded import LoadedBundle

        loaded = LoadedBundle(bundle)
        for image in tqdm(images, desc=f"{step} ({bundle.name})", unit="volume", file=terminal):
            earlier = [results / f"{_stem(image)}{kind}" for kind in beside]
            segment_file(loaded, image, results, {}, overrides=overrides, beside=earlier)


def _export_stacks(images: Sequence[Path], results: Path, folder: Path, spacing: tuple[float, float, float]) -> None:
    """Instance maps as 16 bit TIFF, one per stack."""
    for image in images:
        source = results / f"{_stem(image)}_instances.nii.gz"
        write_labels(folder / f"{_stem(image)}.tif", as_uint16(source, nifti.read_volume(source)), spacing)


def _count_nuclei(results: Path, image: Path) -> tuple[int, int]:
    """Number of nuclei of an image, and how many of them no marker began."""
    with (results / f"{_stem(image)}_nuclei.csv").open(encoding="utf-8", newline="") as file:
        began = [row["marker"] == "1" for row in csv.DictReader(file)]
    return len(began), began.count(False)


def _draw(dataset: Path, results: Path, item: dict[str, str], picture: Path) -> None:
    image = dataset / item["image"]
    label = dataset / item["label"] if "label" in item and "annotated_slices" not in item else None
    overlay(image, results / f"{_stem(image)}_instances.nii.gz", picture, label=label)


def _score(source: Path, destination: Path) -> str:
    scores, total = summarise_sequences(score_folders(source, destination))
    with replacing(destination / "scores.json") as partial:
        partial.write_text(as_json(scores, total) + "\n")
    return as_text(scores, total)


def _stem(image: Path) -> str:
    return image.name.removesuffix(".nii.gz")
