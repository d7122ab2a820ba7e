"""What every learned peer does alike: read a converted dataset, train, predict, and write labels with what they took.

A peer is a script beside this one, in an environment of its own (stardist.txt,
cellpose.txt): it imports nothing of the project.
"""

import argparse
import json
import logging
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

logger = logging.getLogger(__name__)
EVERY = 4  # held-out volumes: those of one embryo are alike
SPACING = "spacing.json"  # beside the weights: the grid that they were trained on


class Example(NamedTuple):
    """An image with its labels, both (Z, Y, X) or (Y, X); spacing in µm, empty for a picture."""

    image: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, ...]


class Budget:
    """Minutes that processors may work, all threads together, from now on: other work on the machine costs none."""

    def __init__(self, minutes: float) -> None:
        self.seconds, self.started = 60 * minutes, time.process_time()

    @property
    def used(self) -> float:
        """Seconds."""
        return time.process_time() - self.started

    @property
    def left(self) -> float:
        """Seconds, negative if it is overdrawn."""
        return self.seconds - self.used


Train = Callable[[list[Example], list[Example], Path, Budget], None]
Load = Callable[[Path], Callable[[np.ndarray], np.ndarray]]


def main(train: Train, load: Load) -> None:
    """Command line of a peer.

    Parameters
    ----------
    train : callable
        From the examples to learn from, those of the held-out fold (for thresholds only), a new folder for the weights,
        and the budget.
    load : callable
        From that folder to what turns an image into labels.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stdout)
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train", help="from random weights, on all folds but one")
    prediction = verbs.add_parser("predict", help="labels of the images under testing")
    for verb in (training, prediction):
        verb.add_argument("dataset_dir", type=Path)
    training.add_argument("output", type=Path, help="new folder for the weights")
    training.add_argument("--minutes", type=float, default=20.0, help="that processors work, all threads together")
    training.add_argument("--fold", type=int, default=0, help="held out, to choose thresholds on")
    prediction.add_argument("model", type=Path, help="folder of the weights")
    prediction.add_argument("output", type=Path, help="new folder for the labels")
    given = parser.parse_args()
    if given.verb == "predict":
        predict(given.dataset_dir, load(given.model), json.loads((given.model / SPACING).read_text()), given.output)
        return
    given.output.mkdir(parents=True)
    items = _items(given.dataset_dir, "training")
    kept, held_out = ([_read(item) for item in items if (item["fold"] == given.fold) is held] for held in (False, True))
    held_out = held_out[::EVERY] if kept[0].spacing else held_out
    logger.info("%d images to learn from, %d held out; %g minutes", len(kept), len(held_out), given.minutes)
    (given.output / SPACING).write_text(json.dumps(kept[0].spacing))
    train(kept, held_out, given.output, Budget(given.minutes))


def predict(
    dataset_dir: Path, segment: Callable[[np.ndarray], np.ndarray], spacing: tuple[float, ...], output: Path
) -> None:
    """Write the labels of the images under testing, each as ``<stem>_labels`` beside ``used.json``.

    Volumes are resampled to ``spacing``, and their labels back. What was used are seconds that processors worked for
    each image, without its reading and writing, and the largest memory of the process in bytes.
    """
    output.mkdir(parents=True)
    seconds = {}
    for item in _items(dataset_dir, "testing"):
        example, name = _read(item), Path(item["image"]).name
        stem, ending = name.split(".", 1)
        started = time.process_time()
        factors = np.divide(example.spacing, spacing) if spacing else np.ones(example.image.ndim)
        labels = _resampled(segment(_resampled(example.image, factors, 1)), 1 / factors, 0).astype(np.int32)
        seconds[stem] = time.process_time() - started
        if labels.shape != example.image.shape:
            raise ValueError(f"{name}: labels {labels.shape} for an image {example.image.shape}")
        path = output / f"{stem}_labels.{ending}"
        if example.spacing:
            nib.save(nib.Nifti1Image(labels.T, nib.load(item["image"]).affine), path)
        else:
            tifffile.imwrite(path.with_suffix(".tif"), labels)
        logger.info("%s: %d objects, %.1f s", name, len(np.unique(labels)) - 1, seconds[stem])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    (output / "used.json").write_text(json.dumps({"seconds": seconds, "peak_bytes": peak}))


def _items(dataset_dir: Path, section: str) -> list[dict]:
    """Labelled items of a section of dataset.json, with their paths in full."""
    items = json.loads((dataset_dir / "dataset.json").read_text(encoding="utf-8"))[section]
    return [item | {key: dataset_dir / item[key] for key in ("image", "label")} for item in items if "label" in item]


def _read(item: dict) -> Example:
    image, labels = (_pixels(item[key]) for key in ("image", "label"))
    is_volume = item["image"].name.endswith(".nii.gz")
    zooms = nib.load(item["image"]).header.get_zooms()[2::-1] if is_volume else ()
    return Example(image.astype(np.float32), labels.astype(np.int32), tuple(map(float, zooms)))


def _pixels(path: Path) -> np.ndarray:
    if path.name.endswith(".nii.gz"):
        return np.ascontiguousarray(np.asanyarray(nib.load(path).dataobj).T)
    return tifffile.imread(path) if path.suffix in (".tif", ".tiff") else np.array(Image.open(path))


def _resampled(array: np.ndarray, factors: np.ndarray, order: int) -> np.ndarray:
    return ndimage.zoom(array, factors, order=order, mode="nearest", grid_mode=True)
