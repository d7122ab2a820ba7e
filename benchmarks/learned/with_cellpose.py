"""Cellpose 3 from random weights, in 2D, with its stitching for volumes.

References
----------
.. [1] Stringer et al. (2021), doi:10.1038/s41592-020-01018-x
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cellpose.dynamics import labels_to_flows
from cellpose.metrics import average_precision
from cellpose.models import CellposeModel
from cellpose.train import train_seg
from cellpose.transforms import normalize99
from cellpose.utils import fill_holes_and_remove_small_masks, stitch3D
from peer import Budget, Example, main

logger = logging.getLogger(__name__)
GRAY, PER_EPOCH = [0, 0], 8
DIAMETER, PATCH = {2: 30.0, 3: 17.0}, {2: 224, 3: 128}  # Cellpose's for cells and nuclei; what a slice nearly fills
PROBABILITIES, STITCHES = (-1.0, 0.0, 1.0), (0.1, 0.25, 0.4, 0.6)  # cellprob_threshold, stitch_threshold
EVERY = 3  # slices of a volume to learn from, since neighbours are alike


def train(kept: list[Example], held_out: list[Example], output: Path, budget: Budget) -> None:
    """As many epochs as the budget allows, then both thresholds on the held-out fold; a picture needs one of them."""
    ndim = kept[0].image.ndim
    model = CellposeModel(pretrained_model=False, diam_mean=DIAMETER[ndim])
    images, labels = _slices(kept)
    flows = labels_to_flows(labels, device=model.device)

    def fit(count: int, num_epochs: int) -> float:
        """Seconds that it took."""
        before = budget.used
        train_seg(
            model.net,
            images[:count],
            flows[:count],
            channels=GRAY,
            normalize=False,
            min_train_masks=1,
            nimg_per_epoch=PER_EPOCH,
            bsize=PATCH[ndim],
            n_epochs=num_epochs,
            save_path=output,
            model_name="weights",
        )
        return budget.used - before

    fit(PER_EPOCH, 1)  # warms up: the first epoch's rate is 0
    num_epochs = max(1, int(budget.left / fit(PER_EPOCH, 1)))
    logger.info("%d epochs of %d patches, from %d images", num_epochs, PER_EPOCH, len(images))
    fit(len(images), num_epochs)
    logger.info("trained for %.1f minutes", budget.used / 60)
    model.diam_labels = model.net.diam_labels.item()
    best = max(_choices(model, held_out))
    logger.info("AP50 %.3f on the held-out fold with cellprob_threshold %g, stitch_threshold %g", *best)
    (output / "thresholds.json").write_text(json.dumps(best[1:]))


def load(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What finds objects in an image with the weights and thresholds in a folder."""
    model = CellposeModel(pretrained_model=str(folder / "models" / "weights"))
    probability, stitch = json.loads((folder / "thresholds.json").read_text())
    return lambda image: _joined(_masks(model, image, probability), stitch)


def _slices(examples: list[Example]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures as they are, every third slice of a volume, if anything is in it."""
    found = []
    for each in examples:
        image, step = normalize99(each.image), EVERY if each.image.ndim == 3 else 1
        planes = zip(image, each.labels, strict=True) if each.image.ndim == 3 else [(image, each.labels)]
        found += [pair for pair in [*planes][::step] if pair[1].any()]
    images, labels = zip(*found, strict=True)
    return list(images), list(labels)


def _choices(model: CellposeModel, examples: list[Example]) -> list[tuple[float, float, float]]:
    """AP50 of each pair of thresholds, and the pair."""
    truths, found = [each.labels for each in examples], []
    for probability in PROBABILITIES:
        masks = [_masks(model, each.image, probability) for each in examples]
        for stitch in STITCHES if truths[0].ndim == 3 else STITCHES[:1]:
            labels = [_joined(each, stitch) for each in masks]
            found.append((float(average_precision(truths, labels, threshold=[0.5])[0].mean()), probability, stitch))
    return found


def _masks(model: CellposeModel, image: np.ndarray, probability: float) -> np.ndarray:
    """Labels of a picture, or of each slice of a volume on its own; the diameter is that of the training."""
    planes = [*normalize99(image)] if image.ndim == 3 else [normalize99(image)]
    settings = {"channels": GRAY, "normalize": False, "cellprob_threshold": probability}
    masks = model.eval(planes, min_size=-1 if image.ndim == 3 else 15, **settings)[0]
    return np.stack(masks).astype(np.int32) if image.ndim == 3 else masks[0]


def _joined(masks: np.ndarray, stitch: float) -> np.ndarray:
    """As Cellpose does with a ``stitch_threshold``: masks of neighbouring slices that overlap are one object."""
    if masks.ndim == 2:
        return masks
    return fill_holes_and_remove_small_masks(stitch3D(masks.copy(), stitch_threshold=stitch), min_size=15)


if __name__ == "__main__":
    main(train, load)
