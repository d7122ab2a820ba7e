"""How far the nuclear models hold on volumes that are coarser, noisier or more blurred than those of the training.

Each volume of the test is changed, and so is its truth, by nearest neighbours where voxels become larger; results are
scored on the voxels of the changed volume, pooled over all volumes. Noise is Gaussian, as a share of the span from the
median to the 99.5th percentile; blur is Gaussian, in voxels. "other" is the score of the volumes as they are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.transform import resize
from tqdm import tqdm

from benchmarks.bundles import SCORES, segmented, testing_data
from benchmarks.harness import Row
from tools.convert.nifti import write_volume
from tools.segment.description import describe
from tools.segment.loaded import Loaded, load
from tools.segment.results import read_mask

# voxels larger by these factors (Z, Y, X)
COARSER = {"Z": (1, 0, 0), "Y and X": (0, 1, 1), "Z, Y and X": (1, 1, 1)}
FACTORS = (1.5, 2.0)
NOISE, BLUR_PX = 0.1, 1.0


def compare(
    folder: Path, *, bundle: str = "nuclei", dataset_dir: str = "", num_images: int = 6
) -> Iterator[str | list[Row]]:
    """Options: bundle, nuclei, devonet_nsn or maskrcnn_2p5d; dataset_dir, labels under testing; num_images, at most."""
    items, about = testing_data("devonet_nsn" if bundle == "nuclei" else bundle, dataset_dir, folder, num_images)
    yield about
    network = load(describe(bundle))
    scores = {"IoU": SCORES["IoU"]} if bundle == "devonet_nsn" else SCORES
    volumes = [(read_mask(Path(item["image"])), read_mask(Path(item["label"]))[0]) for item in items]
    plain: dict[str, float] = {}
    rows = []
    for change, variants in _changes(volumes):
        parts: dict[str, list] = {title: [] for title in scores}
        for number, (image, truth, spacing) in enumerate(tqdm(variants, desc=f"{bundle}, {change}", total=len(items))):
            found = _segmented(network, folder / f"{change}_{number}", image, spacing)
            for title, ratio in scores.items():
                parts[title].append(ratio(found, truth))
        pooled = {title: float(np.divide(*np.sum(pairs, axis=0))) for title, pairs in parts.items()}
        plain = plain or pooled
        rows += [
            Row(f"{title}, {change}", f"{score:.4f}", f"{plain[title]:.4f}", f"{score - plain[title]:+.4f}")
            for title, score in pooled.items()
        ]
    yield rows


def _changes(volumes: Sequence[tuple]) -> Iterator[tuple[str, Iterator[tuple]]]:
    """Each change by name, with the changed images, truths and spacings."""
    yield "as they are", ((image, truth, spacing) for (image, spacing), truth in volumes)
    for axes, which in COARSER.items():
        for factor in FACTORS:
            factors = np.where(which, factor, 1.0)
            yield f"{axes} {factor:g} times as coarse", (_coarser(*volume, factors) for volume in volumes)
    yield f"noise {NOISE:g}", ((_noisy(image), truth, spacing) for (image, spacing), truth in volumes)
    blurred = ((ndimage.gaussian_filter(image, BLUR_PX), truth, spacing) for (image, spacing), truth in volumes)
    yield f"blur {BLUR_PX:g}", blurred


def _coarser(image_and_spacing: tuple, truth: np.ndarray, factors: np.ndarray) -> tuple:
    image, spacing = image_and_spacing
    shape = np.maximum(np.round(image.shape / factors), 1).astype(int)
    small = resize(image.astype(np.float32), shape, order=1, anti_aliasing=True, preserve_range=True)
    labels = resize(truth, shape, order=0, anti_aliasing=False, preserve_range=True).astype(truth.dtype)
    return small, labels, tuple(np.multiply(spacing, image.shape) / shape)


def _noisy(image: np.ndarray) -> np.ndarray:
    dark, bright = np.percentile(image, (50, 99.5))
    return image + np.random.default_rng(0).normal(scale=NOISE * (bright - dark), size=image.shape).astype(np.float32)


def _segmented(network: Loaded, folder: Path, image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    folder.mkdir()
    path = folder / "volume.nii.gz"
    write_volume(path, image.astype(np.float32), spacing)
    return segmented(network, path, folder, network.bundle.mask_kind)
