"""Instances of nuclei by the two DevoNet bundles, against a classical pipeline on the same volumes."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from fire.decorators import SetParseFns
from monai.bundle import ConfigWorkflow
from nibabel.filebasedimages import ImageFileError
from scipy import ndimage
from skimage.segmentation import watershed
from tqdm import tqdm

from common.errors import InputError
from common.labels.seg import count_overlaps, match
from tools.bench.classical import segment_classically
from tools.bench.device import describe_device
from tools.bench.progress import progress_on_stderr
from tools.bench.table import align_columns
from tools.command_line import reject
from tools.convert.ctc import convert_ctc
from tools.convert.nifti import write_volume
from tools.sample.ctc import write_sample
from tools.sample.embryo import SPACING_UM

__all__ = ["as_table", "devonet", "score_volumes", "segment_from_markers"]

logger = logging.getLogger(__name__)

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
CROWDING = {"all": (0, np.inf), "<= 4": (0, 4), "5-16": (5, 16), "> 16": (17, np.inf)}
ABOUT_SECONDS = (
    "seconds: wall-clock time from image files to label files, over the number of volumes, without the start of "
    "Python.\n"
    "devonet: both networks with the loading of their weights, watershed, probabilities, tables of markers and nuclei; "
    "classical: on one core."
)
ABOUT_MARKERS = (
    "true markers: the foreground of devonet_nsn, split by the truth's markers instead of those of devonet_ndn."
)


@SetParseFns(dataset_dir=str, ckpt_nsn=str, ckpt_ndn=str)
def devonet(*extra, dataset_dir: str = "", ckpt_nsn: str = "", ckpt_ndn: str = "", **unknown) -> str:
    """Print SEG by crowding, and time, of the DevoNet bundles and of a classical pipeline, on the same volumes.

    Where all labelled volumes have markers, so is what the foreground would give with them: it tells how much is lost
    with the markers, how much with the foreground.

    Parameters
    ----------
    dataset_dir : str
        Dataset with labelled images under testing; without it a synthetic embryo is made.
    ckpt_nsn, ckpt_ndn : str
        Weights of devonet_nsn and devonet_ndn, instead of the shipped ones.
    """
    reject(unknown, devonet, extra)
    nsn, ndn = _weights("nsn", ckpt_nsn), _weights("ndn", ckpt_ndn)
    with progress_on_stderr(), tempfile.TemporaryDirectory(prefix="bench-devonet-") as folder:
        folder = Path(folder)
        dataset = Path(dataset_dir) if dataset_dir else _make_sample(folder)
        name, items, num_images = _labelled_items(dataset)
        foreground_seconds, both_seconds = _run_devonet(dataset, folder, nsn, ndn, num_images)
        seconds = {"devonet": both_seconds}
        seconds["classical"] = _run_each(items, folder / "classical", _classically)
        if all("markers" in item for item in items):
            splitting_seconds = _run_each(items, folder / "true markers", _with_true_markers)
            seconds["true markers"] = foreground_seconds + splitting_seconds
        ious = {way: score_volumes(items, folder / way) for way in seconds}
    about = [
        f"data: {name}: n = {len(items)}",
        f"device: {describe_device()}",
        f"weights: {nsn}, {ndn}",
    ]
    notes = [ABOUT_SECONDS] + ([ABOUT_MARKERS] if "true markers" in ious else [])
    return "\n".join([*about, "", as_table(ious, seconds), "", *notes])


def segment_from_markers(foreground: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """Split a foreground into one object per marker, by a watershed of its distance transform in plain voxels.

    Parameters
    ----------
    foreground : ndarray of bool, shape (Z, Y, X)
        Voxels of all nuclei.
    markers : ndarray of int, shape (Z, Y, X)
        0 is background, i the marker of nucleus i.

    Returns
    -------
    ndarray of int32, shape (Z, Y, X)
        Objects with the numbers of their markers. Connected foreground without a marker is background.
    """
    # in C order: scikit-image's watershed floods a copy of markers in Fortran order, and returns them unflooded
    seeds = np.where(foreground, markers, 0).astype(np.int32, order="C")
    return watershed(-ndimage.distance_transform_edt(foreground), seeds, mask=foreground).astype(np.int32)


def score_volumes(items: Sequence[Mapping[str, Path]], folder: Path) -> list[np.ndarray]:
    """IoU of every reference object with the result that covers more than half of it, as SEG defines it.

    Parameters
    ----------
    items : sequence of mapping
        Paths under ``image`` and ``label``.
    folder : Path
        Folder with ``<image stem>_instances.nii.gz`` of each.

    Returns
    -------
    list of ndarray of float, shape (number of reference objects,)
        One array per volume; 0 for an object that is not matched.

    Raises
    ------
    InputError
        If a label image is not one of integers from 0, or is not on the grid of its image.
    """
    ious = []
    for item in tqdm(items, desc=f"scoring {folder.name}", unit="volume"):
        (labels, _), (result, _) = _read(item["label"]), _read(_result(item, folder))
        try:
            ious.append(match(count_overlaps(labels, result)).ious)
        except ValueError as error:
            raise InputError(f"{item['label']}: {error}") from error
    return ious


def as_table(ious: Mapping[str, Sequence[np.ndarray]], seconds: Mapping[str, float]) -> str:
    """Aligned text: SEG of each way, pooled over the reference objects of the volumes that are crowded alike.

    Parameters
    ----------
    ious : mapping of str to sequence of ndarray
        Way -> IoU of the reference objects of each volume, as from `score_volumes`.
    seconds : mapping of str to float
        Way -> seconds per volume.

    Returns
    -------
    str
    """
    counts = np.array([len(values) for values in next(iter(ious.values()))])
    lines = [("SEG by nuclei per volume", "volumes", "nuclei", *ious)]
    for name, (lowest, highest) in CROWDING.items():
        chosen = np.flatnonzero((counts >= lowest) & (counts <= highest))
        pooled = [np.concatenate([np.zeros(0), *(values[index] for index in chosen)]) for values in ious.values()]
        lines.append((name, f"{len(chosen)}", f"{counts[chosen].sum()}", *map(_mean, pooled)))
    lines.append(("seconds per volume", "", "", *(f"{seconds[way]:.2f}" for way in ious)))
    return align_columns(lines)


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.4f}" if values.size else "-"


def _run_devonet(dataset: Path, folder: Path, nsn: Path, ndn: Path, num_images: int) -> tuple[float, float]:
    """Seconds per image of devonet_nsn alone and of both bundles; foregrounds and instances are left in the folder."""
    foreground = {"output_dir": str(folder / "foreground"), "ckpt_path": str(nsn), "save_probability": True}
    instances = {
        "output_dir": str(folder / "devonet"),
        "ckpt_path": str(ndn),
        "foreground_dir": foreground["output_dir"],
    }
    nsn_seconds = _run_bundle("devonet_nsn", "inference", dataset, foreground) / num_images
    ndn_seconds = _run_bundle("devonet_ndn", "instances", dataset, instances) / num_images
    return nsn_seconds, nsn_seconds + ndn_seconds


def _run_bundle(bundle: str, config: str, dataset: Path, overrides: Mapping[str, object]) -> float:
    """Seconds that a bundle's config runs for, on all images under testing."""
    root = BUNDLES / bundle
    workflow = ConfigWorkflow(
        str(root / "configs" / f"{config}.json"),
        workflow_type=None,
        logging_file=False,
        bundle_root=str(root),
        dataset_dir=str(dataset),
        **overrides,
    )
    workflow.initialize()
    started = time.perf_counter()
    workflow.run()
    return time.perf_counter() - started


def _run_each(items: Sequence[dict], folder: Path, segment: Callable[[dict, Path], tuple]) -> float:
    """Seconds per volume of a way, from image files to ``<image stem>_instances.nii.gz`` in a new folder."""
    folder.mkdir()
    started = time.perf_counter()
    for item in tqdm(items, desc=folder.name, unit="volume"):
        labels, spacing = segment(item, folder.parent)
        write_volume(_result(item, folder), labels, spacing)
    return (time.perf_counter() - started) / len(items)


def _classically(item: Mapping[str, Path], folder: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    image, spacing = _read(item["image"])
    return segment_classically(image, spacing), spacing


def _with_true_markers(item: Mapping[str, Path], folder: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    mask, spacing = _read(folder / "foreground" / f"{_stem(item['image'])}_mask.nii.gz")
    markers, _ = _read(item["markers"])
    if markers.shape != mask.shape:
        raise InputError(f"{item['markers']}: shape {markers.shape}, expected {mask.shape} as its image; convert again")
    return segment_from_markers(mask > 0, markers), spacing


def _read(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """A volume (Z, Y, X) and its spacing in µm."""
    try:
        image = nib.load(path)
        return np.ascontiguousarray(np.asanyarray(image.dataobj).T), tuple(map(float, image.header.get_zooms()[2::-1]))
    except (ImageFileError, EOFError) as error:
        raise InputError(f"{path}: not a whole NIfTI volume ({error}); convert the data again") from error


def _result(item: Mapping[str, Path], folder: Path) -> Path:
    return folder / f"{_stem(item['image'])}_instances.nii.gz"


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _make_sample(folder: Path) -> Path:
    """A synthetic embryo that grows from 7 to 19 nuclei."""
    logger.info("making a synthetic sample")
    write_sample(folder / "source", num_sequences=1, num_frames=5)
    name = "synthetic embryo (python -m tools sample devonet_nsn)"
    convert_ctc(folder / "source", folder / "sample", spacing=SPACING_UM, test=["01"], name=name)
    return folder / "sample"


def _labelled_items(dataset: Path) -> tuple[str, list[dict[str, Path]], int]:
    """Name of the dataset, paths of its completely labelled testing items, and the number of all testing items."""
    path = dataset / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        testing = content.get("testing", [])
        labelled = [item for item in testing if "label" in item and "annotated_slices" not in item]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: not a MONAI datalist ({error}); give a converted dataset") from error
    if not labelled:
        raise InputError(
            f"{path}: no completely labelled image under testing; there is nothing to compare with. Give another "
            "dataset_dir, or convert with --test"
        )
    keys = ("image", "label", "markers")
    items = [{key: dataset / item[key] for key in keys if key in item} for item in labelled]
    return content.get("name", dataset.name), items, len(testing)


def _weights(network: str, ckpt_path: str) -> Path:
    path = Path(ckpt_path) if ckpt_path else BUNDLES / f"devonet_{network}" / "models" / "model.pt"
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; train devonet_{network} first, or give --ckpt_{network}")
    return path.resolve()
