"""Bundles beside threshold, distance transform and watershed, and beside other networks: docs/peers.md.

Settings of the classical pipelines were chosen on training images of the same data, with which they run on one core.
Scores are pooled over all images unless a row says otherwise. Time is what processors worked for an image, all threads
together (median): of an image in memory for the classical pipeline and for other networks, and from file to files for
the bundle, whose network is loaded. Memory is the largest of a process that segments: all images for other networks,
one image for the bundle.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_li, threshold_multiotsu
from skimage.measure import label, regionprops
from skimage.morphology import h_maxima, remove_small_holes, remove_small_objects
from skimage.segmentation import watershed
from tqdm import tqdm

from benchmarks.bundles import SCORES, segmented, testing_data, tools_command
from benchmarks.harness import as_time, run_measured
from common.labels.objects import match_objects
from common.names import stem
from tools.segment.description import describe
from tools.segment.loaded import load
from tools.segment.results import find_mask, read_mask

TEXTURE_PX, CELL_PX, MIN_CELL_PX = 2.0, 20, 300
MIN_AXON_PX = 30
CROWDING = {"up to 4": (1, 4), "5 to 16": (5, 16), "more than 16": (17, np.inf)}  # objects of an image


def nuclei(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Bright nuclei of a volume (Z, Y, X), spacing in µm, one object each: int32 labels.

    Foreground is what, after smoothing, is brighter than Li's threshold of the volume and than its own surroundings.
    Its smoothed distance transform has one h-maximum per nucleus, from which a watershed floods it. The settings were
    chosen by coordinate descent on SEG over the 55 training volumes of BBBC050, where they reach 0.665, and no test
    embryo was looked at.
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


def cells(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Cells of a picture (Y, X) in phase contrast, labelled: they have texture, the background has none."""
    gray = image.astype(np.float32)
    texture = np.sqrt(gaussian((gray - gaussian(gray, 3 * TEXTURE_PX)) ** 2, TEXTURE_PX))
    mask = texture > threshold_li(texture)
    mask = remove_small_holes(remove_small_objects(mask, max_size=MIN_CELL_PX), max_size=MIN_CELL_PX)
    depth = gaussian(ndimage.distance_transform_edt(mask), TEXTURE_PX)
    summits = peak_local_max(
        depth,
        footprint=np.ones((2 * CELL_PX + 1, 2 * CELL_PX + 1), bool),
        labels=mask.astype(np.int32),
        exclude_border=False,
    )
    markers = np.zeros(depth.shape, np.int32)
    markers[tuple(summits.T)] = np.arange(1, len(summits) + 1)
    return watershed(-depth, markers, mask=mask)


def fibres(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Nerve fibres of an electron micrograph (Y, X), axon and sheath under one label: int32 labels.

    The darkest or the brightest of three classes of gray (multi-Otsu) is myelin, what it encloses are axons, and a
    watershed gives each the myelin around it, as far as 0.8 of its radius. Of both classes, after little and much
    smoothing, the one counts that encloses most. Chosen of 12 settings on the 18 training images of AxonDeepSeg's data.
    """
    best = np.zeros(image.shape, np.int32), np.zeros(image.shape, bool)
    for sigma in (1.0, 4.0):
        smooth = gaussian(image.astype(np.float32), sigma, preserve_range=True)
        dark, bright = threshold_multiotsu(smooth, 3)
        for sheath in (smooth < dark, smooth > bright):
            enclosed = label(ndimage.binary_opening(ndimage.binary_fill_holes(sheath) & ~sheath), connectivity=1)
            odd = [one.label for one in regionprops(enclosed) if one.area < MIN_AXON_PX or one.solidity < 0.6]
            axons = label(np.where(np.isin(enclosed, odd), 0, enclosed), connectivity=1)
            if np.count_nonzero(axons) > np.count_nonzero(best[0]):
                best = axons.astype(np.int32), sheath
    axons, sheath = best
    distance = ndimage.distance_transform_edt(axons == 0)
    whole = watershed(distance, axons, mask=(axons > 0) | sheath)
    reach = 0.8 * np.sqrt(np.bincount(axons.ravel()) / np.pi)
    return np.where(distance <= reach[whole], whole, 0)


CLASSICAL: dict[str, Callable[[np.ndarray, Sequence[float]], np.ndarray]] = {
    "nuclei": nuclei,
    "maskrcnn_2p5d": nuclei,
    "swinunet_livecell": cells,
    "sam_myelin": fibres,
}


class Peer(NamedTuple):
    """What benchmarks/learned wrote to a folder: labels, and what they took by name of the image, of the process."""

    folder: Path
    seconds: Mapping[str, float]
    peak_bytes: int

    def read(self, image: Path) -> tuple[np.ndarray, float]:
        """Labels of an image, and their seconds."""
        name = stem(image)
        if name not in self.seconds:
            raise ValueError(f"{self.folder}: no labels of {image.name}; predict this dataset with the peer")
        return read_mask(find_mask(self.folder.iterdir(), name, "labels"))[0], self.seconds[name]


def compare(
    folder: Path, *, bundle: str = "swinunet_livecell", dataset_dir: str = "", num_images: int = 100, results: str = ""
) -> Iterator[str | list[dict[str, str]]]:
    """Options: bundle; dataset_dir, labels under testing; num_images; results of benchmarks/learned, NAME=FOLDER,..."""
    if bundle not in CLASSICAL:
        raise ValueError(f"--bundle {bundle}: choose one of {', '.join(CLASSICAL)}")
    described, peers = describe(bundle), read_peers(results)
    items, about = testing_data("devonet_nsn" if bundle == "nuclei" else bundle, dataset_dir, folder, num_images)
    yield about
    network, output = load(described), folder / "results"
    output.mkdir()
    kind = described.mask_kind if described.mask_kind != "mask" else "instances"
    found: dict[str, list[np.ndarray]] = {way: [] for way in ("ours", "classical", *peers)}
    seconds: dict[str, list[float]] = {way: [] for way in found}
    truths = []
    for item in tqdm(items, desc=bundle):
        path = Path(item["image"])
        image, spacing = read_mask(path)
        started = time.process_time()
        found["classical"].append(CLASSICAL[bundle](image, spacing))
        between = time.process_time()
        found["ours"].append(segmented(network, path, output, kind))
        seconds["classical"].append(between - started)
        seconds["ours"].append(time.process_time() - between)
        for name, peer in peers.items():
            labels, taken = peer.read(path)
            found[name].append(labels)
            seconds[name].append(taken)
        truths.append(read_mask(Path(item["label"]))[0])
    alone = run_measured(tools_command("segment", bundle, items[0]["image"], folder / "alone"))
    peaks = {"ours": alone.peak} | {name: peer.peak_bytes for name, peer in peers.items()}
    yield [
        *score(found, truths),
        _row("time per image", {way: as_time(float(np.median(taken))) for way, taken in seconds.items()}),
        _row("peak memory", {way: f"{peaks[way] / 1e9:.2f} GB" if way in peaks else "" for way in found}),
    ]


def read_peers(results: str) -> dict[str, Peer]:
    """By name, from the text NAME=FOLDER,NAME=FOLDER."""
    folders = {name: Path(place) for name, _, place in (word.partition("=") for word in results.split(",") if word)}
    return {name: Peer(place, **json.loads((place / "used.json").read_text())) for name, place in folders.items()}


def score(found: Mapping[str, Sequence[np.ndarray]], truths: Sequence[np.ndarray]) -> list[dict[str, str]]:
    """A row for each score, with a column for each way that found labels; they are in the order of the truths."""
    numbers, rows = np.array([len(np.unique(truth[truth > 0])) for truth in truths]), []
    for title, ratio in (SCORES | {"AP50, TP/(TP+FP+FN)": ap50_ratio}).items():
        parts = {
            way: np.array([ratio(*pair) for pair in zip(labels, truths, strict=True)]) for way, labels in found.items()
        }
        rows.append(_row(title, {way: _pooled(part) for way, part in parts.items()}))
        for name, (lowest, highest) in CROWDING.items() if title == "SEG" else ():
            chosen = (numbers >= lowest) & (numbers <= highest)
            if chosen.any() and not chosen.all():
                pooled = {way: _pooled(part[chosen]) for way, part in parts.items()}
                rows.append(_row(f"SEG, {chosen.sum()} images with {name} objects", pooled))
        means = {way: f"{np.mean(part[:, 0] / part[:, 1]):.4f}" for way, part in parts.items()}
        rows.append(_row(f"{title}, mean per image", means))
    return rows


def ap50_ratio(result: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """Objects that are matched at an IoU above 0.5, and those of either image, a pair counted once."""
    num_pairs, num_found, num_true = match_objects(result, truth, 0.5)
    return num_pairs, num_found + num_true - num_pairs


def _pooled(part: np.ndarray) -> str:
    return f"{part[:, 0].sum() / part[:, 1].sum():.4f}"


def _row(what: str, columns: Mapping[str, str]) -> dict[str, str]:
    return {"what": what, **columns}
