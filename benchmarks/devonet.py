"""Nuclei as instances: SEG and time of both DevoNet bundles against a classical pipeline.

SEG is pooled over the reference objects of the volumes that are crowded alike. ours: both networks with the loading of
their weights, watershed, probabilities and tables. other: two thresholds, then a watershed from the maxima of the
distance transform, on one core; its settings were chosen by coordinate descent on SEG over the 55 training volumes of
BBBC050, where they reach 0.665, and no test embryo was looked at. Time: from image files to label files, without the
start of Python.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_li
from skimage.measure import label
from skimage.morphology import h_maxima, remove_small_objects
from skimage.segmentation import watershed
from tqdm import tqdm

from benchmarks.bundles import dataset, open_config, testing_data
from benchmarks.harness import Row, speed
from common.labels.seg import count_overlaps, match
from tools.convert.nifti import write_volume

CROWDING = {"all": (0, np.inf), "<= 4": (0, 4), "5-16": (5, 16), "> 16": (17, np.inf)}


def compare(
    folder: Path, *, dataset_dir: str = "", ckpt_nsn: str = "", ckpt_ndn: str = ""
) -> Iterator[str | list[Row]]:
    """Options: dataset_dir, with labelled volumes under testing; ckpt_nsn, ckpt_ndn, other weights."""
    data = dataset("devonet_ndn", dataset_dir, folder).folder
    items, about = testing_data("devonet_ndn", str(data), folder)
    yield about
    ours, foreground = folder / "ours", folder / "foreground"
    seconds = _run("devonet_nsn", "inference", data, foreground, ckpt_path=ckpt_nsn, save_probability=True)
    seconds += _run("devonet_ndn", "instances", data, ours, ckpt_path=ckpt_ndn, foreground_dir=str(foreground))
    seconds /= len([*ours.glob("*_instances.nii.gz")])
    other = _run_each(items, folder / "other", lambda item: segment_classically(*_read(item["image"])))
    ious = {way: _score(items, folder / way) for way in ("ours", "other")}
    yield [*_seg_rows(ious), speed("time per volume", seconds, other)]


def segment_classically(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Bright nuclei of a volume (Z, Y, X), spacing in µm, one object each: int32 labels.

    Foreground is what, after smoothing, is brighter than Li's threshold of the volume and than its own surroundings.
    Its smoothed distance transform has one h-maximum per nucleus, from which a watershed floods it.
    """
    if image.min() == image.max():
        return np.zeros(image.shape, np.int32)
    smooth = ndimage.gaussian_filter(image.astype(np.float32), np.divide(1.1, spacing))
    smooth -= smooth.min()
    surroundings = ndimage.gaussian_filter(smooth, np.divide(7.0, spacing))
    bright = ndimage.binary_fill_holes((smooth > 1.1 * threshold_li(smooth)) & (smooth > surroundings))
    foreground = remove_small_objects(bright, max_size=int(100 / np.prod(spacing)))  # µm³
    distance = ndimage.distance_transform_edt(foreground, sampling=spacing)
    distance = ndimage.gaussian_filter(distance, np.divide(0.8, spacing)) * foreground
    # in C order: scikit-image's watershed floods a copy of markers in Fortran order, and returns them unflooded
    markers = np.ascontiguousarray(label(h_maxima(distance, 0.2)), dtype=np.int32)
    return watershed(-distance, markers, mask=foreground).astype(np.int32)


def _run(bundle: str, config: str, data: Path, output: Path, **overrides: object) -> float:
    """Seconds that a bundle's config runs for, on all images under testing."""
    parser = open_config(bundle, config, dataset_dir=str(data), output_dir=str(output), **overrides)
    started = time.perf_counter()
    parser.get_parsed_content("run")
    return time.perf_counter() - started


def _run_each(items: Sequence[Mapping], folder: Path, segment: Callable[[Mapping], np.ndarray]) -> float:
    """Seconds per volume of a way, from image files to label files in a new folder."""
    folder.mkdir()
    started = time.perf_counter()
    for item in tqdm(items, desc=folder.name, unit="volume"):
        write_volume(_result(item, folder), segment(item), _read(item["image"])[1])
    return (time.perf_counter() - started) / len(items)


def _score(items: Sequence[Mapping], folder: Path) -> list[np.ndarray]:
    """For each volume the IoU of every reference object with its match, 0 without one."""
    pairs = [(_read(item["label"])[0], _read(_result(item, folder))[0]) for item in items]
    return [match(count_overlaps(*pair)).ious for pair in pairs]


def _seg_rows(ious: Mapping[str, Sequence[np.ndarray]]) -> list[Row]:
    """SEG pooled over the reference objects of the volumes that are crowded alike."""
    counts, rows = np.array([len(values) for values in ious["ours"]]), []
    for name, (lowest, highest) in CROWDING.items():
        (chosen,) = np.nonzero((counts >= lowest) & (counts <= highest))
        if counts[chosen].sum():
            ours, other = (np.concatenate([values[index] for index in chosen]).mean() for values in ious.values())
            what = f"SEG, nuclei per volume {name}: {len(chosen)} volumes, {counts[chosen].sum()} nuclei"
            rows.append(Row(what, f"{ours:.4f}", f"{other:.4f}", f"{ours - other:+.4f}"))
    return rows


def _read(path: str | Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """A volume (Z, Y, X) and its spacing in µm."""
    image = nib.load(path)
    return np.ascontiguousarray(np.asanyarray(image.dataobj).T), tuple(map(float, image.header.get_zooms()[2::-1]))


def _result(item: Mapping[str, str], folder: Path) -> Path:
    return folder / f"{Path(item['image']).name.removesuffix('.nii.gz')}_instances.nii.gz"
