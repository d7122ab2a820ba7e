"""Size invariance of sam_myelin: the same fibres in smaller and larger pixels, whose size is told or not.

Each image is resampled by a factor and segmented; its result is brought back to the image's own pixels and scored
there. ours: the size of the new pixels is told. other: it is not, and the bundle estimates the magnification. ratio:
how far both are from what the image itself gives when its pixels' size is told.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from tqdm import tqdm

from benchmarks.bundles import about, dataset, load_network, open_config
from benchmarks.harness import Row, goal
from common.datalist import Item
from common.metrics.ratios import dice_ratio, f1_ratio
from common.reading.pictures import read_pixels

MYELIN_VALUE = 127
NEAR = {"Dice of myelin": 0.02, "F1 of fibres": 0.05}
WAYS = (True, False)  # whether the size of pixels is told


def compare(
    folder: Path, *, dataset_dir: str = "", fold: str = "", factors: str = "0.5,0.75,1,1.5,2", checkpoint: str = ""
) -> Iterator[str | list[Row]]:
    """Options: dataset_dir, of ``tools convert myelin``; fold, instead of testing; factors; checkpoint."""
    data = dataset("sam_myelin", dataset_dir, folder)
    items = [item for item in data.training if str(item.fold) == fold] if fold else list(data.testing)
    if not items:
        raise ValueError(f"{data.path}: no image in fold {fold or 'testing'}; give another --fold")
    yield about(data, items)
    parser = open_config("sam_myelin", ckpt_path=checkpoint)
    parts = {name: parser.get_parsed_content(name) for name in ("inferer", "preprocessing")}
    parts["network"] = load_network(parser)
    names = {"_target_": "sam_myelin.evaluation.modality_of", "_mode_": "callable"}
    modality_of = ConfigParser({"names": names}).get_parsed_content("names")
    scales = sorted({1.0, *map(float, factors.split(","))}, key=lambda factor: (factor != 1, factor))
    sums: dict[tuple[str, float, bool], np.ndarray] = defaultdict(lambda: np.zeros((len(NEAR), 2)))
    numbers: dict[str, int] = defaultdict(int)
    for item in tqdm(items, desc="images"):
        kind = modality_of(item.image)
        numbers[kind] += 1
        for factor in scales:
            for told in WAYS:
                sums[kind, factor, told] += _ratios(parts, item, factor, told)
    for kind, number in sorted(numbers.items()):
        scores = {key[1:]: above / below for key, (above, below) in _turned(sums, kind)}
        yield [
            _row(f"{kind} x {factor:g} (n = {number}): {name}", place, scores, factor, limit)
            for factor in scales
            for place, (name, limit) in enumerate(NEAR.items())
        ]


def _turned(sums: dict[tuple[str, float, bool], np.ndarray], kind: str) -> Iterator[tuple[tuple, np.ndarray]]:
    return ((key, pairs.T) for key, pairs in sums.items() if key[0] == kind)


def _row(what: str, place: int, scores: dict[tuple[float, bool], np.ndarray], factor: float, limit: float) -> Row:
    own = scores[1.0, True][place]
    values = [scores[factor, told][place] for told in WAYS]
    off = [value - own for value in values]
    reached = max(map(abs, off)) <= limit
    return Row(
        what, *(f"{value:.3f}" for value in values), f"{off[0]:+.3f}, {off[1]:+.3f}", goal(f"{limit:g}", reached)
    )


def _ratios(parts: dict[str, Any], item: Item, factor: float, told: bool) -> np.ndarray:
    """Numerator and denominator of the Dice of myelin and of F1, of one resampled image."""
    given = {"image": str(item.image), "pixel_size_um": item.entry["pixel_size_um"]}
    read = parts["preprocessing"].transforms[0](given)["image"]
    shape = tuple(read.shape[1:])
    size = [round(side * factor) for side in shape]
    pixels = read.as_tensor()[None]
    if factor != 1:
        pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
    pixel_size_um = item.entry["pixel_size_um"] * shape[0] / size[0] if told else math.nan
    found = parts["inferer"](MetaTensor(pixels, meta={"pixel_size_um": pixel_size_um}), parts["network"])
    labels, tissue = F.interpolate(found.as_tensor().float(), shape, mode="nearest-exact")[0].int().numpy()
    truth = read_pixels(item.file("label")).astype(np.int32)
    return np.array(
        [dice_ratio(tissue == MYELIN_VALUE, read_pixels(item.file("myelin"))), f1_ratio(labels, truth)], float
    )
