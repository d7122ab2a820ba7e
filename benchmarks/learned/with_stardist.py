"""StarDist from random weights, in 3D for volumes and in 2D for pictures.

References
----------
.. [1] Schmidt et al. (2018), doi:10.1007/978-3-030-00934-2_30
.. [2] Weigert et al. (2020), doi:10.1109/WACV45572.2020.9093435
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from csbdeep.utils import normalize
from keras.callbacks import Callback
from keras.utils import set_random_seed
from peer import Budget, Example, main
from stardist import calculate_extents, fill_label_holes
from stardist.models import Config2D, Config3D, StarDist2D, StarDist3D

logger = logging.getLogger(__name__)
SEED, STEPS = 0, 100  # steps that StarDist calls an epoch
RANDOM = np.random.default_rng(SEED)
KINDS = {2: StarDist2D, 3: StarDist3D}


def train(kept: list[Example], held_out: list[Example], output: Path, budget: Budget) -> None:
    """As StarDist's notebooks do, to the end of the budget; the held-out fold then chooses both thresholds."""
    set_random_seed(SEED)
    (images, labels), validation = _arrays(kept), _arrays(held_out)
    model = KINDS[images[0].ndim](_config(labels), name=output.name, basedir=str(output.parent))
    model.prepare_for_training()
    model.callbacks.append(_StopInTime(budget))
    model.train(images, labels, validation, augmenter=_augmented, epochs=10_000, steps_per_epoch=STEPS)
    logger.info("trained for %.1f minutes", budget.used / 60)
    model.optimize_thresholds(*validation)


def load(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What finds objects in an image with the weights and thresholds in a folder."""
    kind = KINDS[json.loads((folder / "config.json").read_text())["n_dim"]]
    model = kind(None, name=folder.name, basedir=str(folder.parent))
    return lambda image: model.predict_instances(_normalized(image))[0]


class _StopInTime(Callback):
    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget = budget

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.model.stop_training = self.budget.left <= 0


def _config(labels: list[np.ndarray]) -> Config2D | Config3D:
    """With half of the default's channels and small patches: on a CPU, more steps of them learned more in a given time.

    The cells of pictures are so large that a coarse grid is enough.
    """
    common = {
        "n_rays": 32,
        "unet_n_filter_base": 16,
        "net_conv_after_unet": 64,
        "train_checkpoint": None,
        "train_tensorboard": False,
    }
    if labels[0].ndim == 2:
        return Config2D(**common, grid=(4, 4), train_patch_size=(256, 256), train_batch_size=4)
    extents = np.median([calculate_extents(each) for each in labels], axis=0)
    anisotropy = tuple(float(extent) for extent in extents.max() / extents)
    return Config3D(**common, grid=(1, 2, 2), anisotropy=anisotropy, train_patch_size=(32, 64, 64), train_batch_size=1)


def _arrays(examples: list[Example]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [_normalized(each.image) for each in examples], [fill_label_holes(each.labels) for each in examples]


def _normalized(image: np.ndarray) -> np.ndarray:
    return normalize(image, 1, 99.8)


def _augmented(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirrored and turned in the plane, brighter or darker, of more or less contrast."""
    turns, flips = RANDOM.integers(4), np.flatnonzero(RANDOM.random(image.ndim) < 0.5)
    image, labels = (np.flip(np.rot90(array, turns, axes=(-2, -1)), flips) for array in (image, labels))
    return image * RANDOM.uniform(0.6, 2) + RANDOM.uniform(-0.2, 0.2), labels


if __name__ == "__main__":
    main(train, load)
