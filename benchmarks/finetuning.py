"""Fine-tuning with few images: what 0, 1, 2, 5 and 10 of a kind that the weights have not seen gain on others of it.

The images are those of a test, which the shipped weights were not trained on, changed in one way, so that they are of
another kind; their truth is as it was. Those that are tested on are of other units (embryos, groups of tiles, slides)
than those that are trained on. Where a test has too few of them, ``known`` trains on images that the weights have
seen, too, unchanged. Every training goes over as many images, some of them often where they are few, and
starts from the shipped weights. Each is done once: differences of a hundredth may be chance. ours: after fine-tuning;
other: the shipped weights as they are.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks.bundles import dataset, overrides_of, spread
from benchmarks.harness import Row
from common.datalist import DATALIST, Dataset, Item, write_dataset
from common.reading import nifti
from common.reading.images import is_volume, read_image
from tools.bundles import WEIGHTS, find_bundle
from tools.convert.nifti import write_volume
from tools.finetune import scores_of, training_from_shipped
from tools.formats.pictures import write_picture
from tools.runs.executor import run_steps
from tools.toolbox import read_toolbox

PHOTONS = 10  # at the brightest place of a dim image


def compare(
    folder: Path,
    *,
    bundle: str = "devonet_nsn",
    dataset_dir: str = "",
    change: str = "inverted",
    counts: str = "1,2,5,10",
    num_test: int = 4,
    known: bool = False,
    max_epochs: int = 2,
    overrides: str = "",
    output_dir: str = "",
) -> Iterator[str | list[Row]]:
    """Options: bundle; dataset_dir; change, one of inverted, blurred and dim; counts of images; and as follows.

    num_test, images to test on; known, to train on images under training; max_epochs, each over as many images as
    the largest count; overrides of train.json, as batch_size=2,patches_per_epoch=8; output_dir, where a call that was
    stopped goes on. The dataset has labelled images of several units under testing, or, with known, of one.
    """
    root, place = find_bundle(bundle), Path(output_dir or folder / "runs")
    if change not in CHANGES:
        raise ValueError(f"--change {change}: unknown; choose one of {', '.join(CHANGES)}")
    data = dataset(bundle, dataset_dir, folder)
    training, testing = ([item for item in items if item.is_complete] for items in (data.training, data.testing))
    if known:
        learned, tested = training, spread(testing, num_test)
    else:  # no weights were trained on the synthetic sample
        items = testing if dataset_dir else [*training, *testing]
        learned, tested = _split(items, read_toolbox(root).unit, num_test)
    numbers = [number for number in map(int, counts.split(",")) if number <= len(learned)]
    if not numbers:
        raise ValueError(f"{data.path}: {len(learned)} images to train on, fewer than --counts {counts}")
    tuned = {"max_epochs": str(max_epochs), **overrides_of(overrides)}
    source = ", which the weights know unchanged" if known else ""
    told = f"data: {data.name}, {change}: n = {len(tested)}; {max_epochs} epochs of {max(numbers)} images{source}"
    yield "; ".join(filter(None, (told, overrides)))
    before: dict[str, float] = {}
    rows = []
    for number in (0, *numbers):
        few = [*spread(learned, number)] * (max(numbers) // max(number, 1)) if number else []
        made = _write(data, few, tested, CHANGES[change], place / f"data_{number}")
        training = training_from_shipped(f"{number} images", root, made, place / str(number), tuned)
        steps = [training.train()] if number else []
        run_steps([*steps, training.evaluate("testing", weights=None if number else root / WEIGHTS)])
        scores = scores_of(training.folder / "testing", root)
        before = before or scores
        rows += [
            Row(f"{number} images: {title}", f"{score:.3f}", f"{before[title]:.3f}", f"{score - before[title]:+.3f}")
            for title, score in scores.items()
        ]
    yield rows


def inverted(pixels: np.ndarray) -> np.ndarray:
    """Dark for bright."""
    return pixels.max() - (pixels - pixels.min())


def blurred(pixels: np.ndarray) -> np.ndarray:
    """Out of focus: a Gaussian of 2 pixels in every plane."""
    return ndimage.gaussian_filter(pixels, [0] * (pixels.ndim - 2) + [2, 2])


def dim(pixels: np.ndarray) -> np.ndarray:
    """Few photons: shot noise of `PHOTONS` at the brightest place."""
    low, high = float(pixels.min()), float(pixels.max())
    photons = np.random.default_rng(0).poisson((pixels - low) / max(high - low, 1e-6) * PHOTONS)
    return (low + (photons / PHOTONS) * (high - low)).clip(low, high).astype(pixels.dtype)


Change = Callable[[np.ndarray], np.ndarray]
CHANGES: dict[str, Change] = {"inverted": inverted, "blurred": blurred, "dim": dim}


def _split(items: Sequence[Item], unit: str, num_test: int) -> tuple[list[Item], list[Item]]:
    """Images to train on and to test on; of no unit are some in both."""
    by_unit: dict[object, list[Item]] = {}
    for item in items:
        by_unit.setdefault(item.entry.get(unit, item.name), []).append(item)
    learned, tested = [*by_unit.values()], []
    while len(learned) > 1 and sum(map(len, tested)) < num_test:
        tested.append(learned.pop())
    return sum(learned, []), spread(sum(tested, []), num_test)


def _write(data: Dataset, training: Sequence[Item], testing: Sequence[Item], change: Change, folder: Path) -> Path:
    """A dataset of changed images, unless an earlier call wrote it."""
    if (folder / DATALIST).is_file():
        return folder
    entries = {item.name: _write_item(item, change, folder) for item in (*training, *testing)}
    learned, tested = ([entries[item.name] for item in items] for items in (training, testing))
    write_dataset(
        folder, name=f"{data.name}, changed", training=[entry | {"fold": 0} for entry in learned], testing=tested
    )
    return folder


def _write_item(item: Item, change: Change, folder: Path) -> dict[str, object]:
    """Copy all that belongs to an image, and change the image."""
    root = item.dataset.parent
    for path in item.entry.values():
        if isinstance(path, str) and (root / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if path != item.name:
                shutil.copyfile(root / path, folder / path)
    pixels = change(read_image(item.image))
    if is_volume(item.image):
        write_volume(folder / item.name, pixels, nifti.read_spacing(item.image))
        return dict(item.entry)
    picture = Path(item.name).with_suffix(".tif")
    write_picture(folder / picture, pixels)
    return item.entry | {"image": picture.as_posix()}
