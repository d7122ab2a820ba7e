"""Bundles beside what scikit-image does without learning: threshold, distance transform, watershed.

The classical pipeline of nuclei is that of `devonet`; settings were chosen on training images of BBBC050 and T98G.
Scores are pooled over all images unless a row says otherwise. Seconds are those of an image in memory for the classical
pipeline, and from file to files for the bundle, whose network is loaded.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_li
from skimage.morphology import remove_small_holes, remove_small_objects
from skimage.segmentation import watershed
from tqdm import tqdm

from benchmarks.bundles import SCORES, segmented, testing_data
from benchmarks.devonet import segment_classically
from benchmarks.harness import Row, as_time
from tools.segment.description import describe
from tools.segment.loaded import load
from tools.segment.results import read_mask

TEXTURE_PX, CELL_PX, MIN_CELL_PX = 2.0, 20, 300


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


CLASSICAL: dict[str, Callable[[np.ndarray, Sequence[float]], np.ndarray]] = {
    "nuclei": segment_classically,
    "maskrcnn_2p5d": segment_classically,
    "swinunet_livecell": cells,
}


def compare(
    folder: Path, *, bundle: str = "swinunet_livecell", dataset_dir: str = "", num_images: int = 100
) -> Iterator[str | list[Row]]:
    """Options: bundle, nuclei, maskrcnn_2p5d or swinunet_livecell; dataset_dir, labels under testing; num_images."""
    if bundle not in CLASSICAL:
        raise ValueError(f"--bundle {bundle}: choose one of {', '.join(CLASSICAL)}")
    described = describe(bundle)
    items, about = testing_data("devonet_nsn" if bundle == "nuclei" else bundle, dataset_dir, folder, num_images)
    yield about
    network, output = load(described), folder / "results"
    output.mkdir()
    kind = "instances" if bundle != "nuclei" else described.mask_kind
    results: dict[str, list[np.ndarray]] = {"ours": [], "classical": []}
    seconds: dict[str, list[float]] = {"ours": [], "classical": []}
    truths = []
    for item in tqdm(items, desc=bundle):
        path = Path(item["image"])
        image, spacing = read_mask(path)
        started = time.perf_counter()
        results["classical"].append(CLASSICAL[bundle](image, spacing))
        between = time.perf_counter()
        results["ours"].append(segmented(network, path, output, kind))
        seconds["classical"].append(between - started)
        seconds["ours"].append(time.perf_counter() - between)
        truths.append(read_mask(Path(item["label"]))[0])
    rows = []
    for title, ratio in SCORES.items():
        parts = {
            way: np.array([ratio(*pair) for pair in zip(found, truths, strict=True)]) for way, found in results.items()
        }
        pooled = {way: part[:, 0].sum() / part[:, 1].sum() for way, part in parts.items()}
        each = {way: np.mean(part[:, 0] / part[:, 1]) for way, part in parts.items()}
        for name, score in ((title, pooled), (f"{title}, mean per image", each)):
            ours, other = score["ours"], score["classical"]
            rows.append(Row(name, f"{ours:.4f}", f"{other:.4f}", f"{ours - other:+.4f}"))
    yield [*rows, Row("time per image", *(as_time(float(np.median(seconds[way]))) for way in ("ours", "classical")))]
