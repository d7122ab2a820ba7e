"""Segment Anything for myelin: decoder steps on kept embeddings, boxes of many fibres, and embeddings per second."""

from __future__ import annotations

import logging
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fire.decorators import SetParseFns
from monai.bundle import ConfigParser
from PIL import Image

from common.errors import InputError
from tools.bench.device import describe_device
from tools.bench.in_turns import ratio_row, time_in_turns
from tools.bench.linking import draw_drifting_discs
from tools.bench.progress import progress_on_stderr
from tools.bench.table import Row, as_text
from tools.bench.testing_items import read_testing_items
from tools.command_line import reject, whole_number
from tools.convert.myelin import convert_myelin
from tools.sample.myelin import write_sample

__all__ = ["boxes_by_loop", "compare_boxes", "compare_steps", "sam"]

logger = logging.getLogger(__name__)

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "sam_myelin"
CONFIG = BUNDLE / "configs" / "inference.json"
OURS, METAS = "vit_tiny", ("vit_b", "vit_l", "vit_h")
META_SIZE = 1024
CALLABLES = {
    "freeze": "network.freeze_for_training",
    "normalise": "normalisation.normalise",
    "to_input": "normalisation.to_input",
    "boxes_of": "prompts.boxes_of",
    "soft_targets": "targets.soft_targets",
}
STEPS_TARGET = BOXES_TARGET = 10
DISCS = {"num_objects": 1000, "size": 1024}
SAMPLE = "synthetic nerve (python -m tools sample sam_myelin)"
ABOUT_STEPS = (
    "a step: masks of the prompts of one image, loss, gradients and an optimiser's step of what is trained; the image\n"
    "encoder is frozen. Prompts are boxes of fibres, the same in both ways. Random weights, which are as fast.\n"
    "ours: the image's embedding is read from disk, where an earlier epoch left it. other: the image encoder computes\n"
    "it again. The more prompts an image has, the larger the decoder's part of the work, and the smaller the gain."
)
ABOUT_BOXES = (
    "on discs in memory. other: for each object a mask of the whole image, and numpy's nonzero of it. The boxes are\n"
    "equal, which is checked here."
)
ABOUT_EMBEDDINGS = "images in memory, one at a time, in float32; larger images are cut into tiles of this size."


@SetParseFns(dataset_dir=str, variant=str, image_size=str, num_images=str, num_prompts=str, rounds=str)
def sam(
    *extra,
    dataset_dir: str = "",
    variant: str = "vit_tiny",
    image_size: str = "",
    num_images: str = "4",
    num_prompts: str = "8",
    rounds: str = "3",
    **unknown,
) -> str:
    """Print what kept embeddings, boxes in one pass and the image encoder of sam_myelin take.

    Parameters
    ----------
    dataset_dir : str
        Dataset with labelled images under testing; without it a synthetic sample is made.
    variant : str
        vit_tiny, vit_b, vit_l or vit_h; with random weights.
    image_size : int
        Side of the network's input in pixels; for vit_tiny that of inference.json if not given, 1024 for the others.
    num_images : int
        Images of an epoch, at most.
    num_prompts : int
        Prompts of each image, at most; one prompt per image is measured besides.
    rounds : int
        Times that everything is done in each way.
    """
    reject(unknown, sam, extra)
    if variant not in (OURS, *METAS):
        raise InputError(f"--variant {variant}: unknown; give one of {', '.join((OURS, *METAS))}")
    size = whole_number("image_size", image_size or str(_usual_size(variant)), minimum=16)
    if size % 16 or (variant in METAS and size != META_SIZE):
        raise InputError(f"--image_size {size}: give {META_SIZE}, or for {OURS} a multiple of 16")
    num_images = whole_number("num_images", num_images, minimum=1)
    most_prompts = whole_number("num_prompts", num_prompts, minimum=1)
    rounds = whole_number("rounds", rounds, minimum=1)
    with progress_on_stderr(), tempfile.TemporaryDirectory(prefix="bench-sam-") as folder:
        name, items = _data(dataset_dir, Path(folder))
        items = items[:num_images]
        parts = _Parts(variant, size, Path(folder, "embeddings"))
        steps = [compare_steps(parts, items, num_prompts=number, rounds=rounds) for number in sorted({1, most_prompts})]
        tables = {
            ABOUT_STEPS: sum(steps, []),
            ABOUT_BOXES: compare_boxes(parts.functions["boxes_of"], _discs(), rounds=rounds),
            ABOUT_EMBEDDINGS: [_throughput(parts, items, rounds=rounds)],
        }
        about = [
            f"data: {name}: n = {len(items)}",
            f"device: {describe_device()}",
            f"network: {variant}, {size} x {size} px",
        ]
    return "\n".join([*about, *(f"\n{as_text(rows)}\n\n{note}" for note, rows in tables.items())])


class _Parts:
    """The bundle's network, loss and functions, put together by a config as a run of the bundle does it."""

    def __init__(self, variant: str, image_size: int, folder: Path) -> None:
        name = BUNDLE.name
        config = {
            "imports": ["$import sys"],
            "findable": f"$sys.path.insert(0, {str(BUNDLE)!r})",
            "network": {"_target_": f"{name}.network.SamMyelin", "variant": variant, "image_size": image_size},
            "loss": {"_target_": f"{name}.losses.PromptLoss"},
            "cache": {
                "_target_": f"{name}.embeddings.EmbeddingCache",
                "folder": str(folder),
                "variant": variant,
                "image_size": image_size,
                "weights_hash": "random",
            },
            **{key: {"_target_": f"{name}.{path}", "_mode_": "callable"} for key, path in CALLABLES.items()},
        }
        parser = ConfigParser(config)
        parser.get_parsed_content("findable")
        self.functions = {key: parser.get_parsed_content(key) for key in CALLABLES}
        self.loss, self.cache = (parser.get_parsed_content(key) for key in ("loss", "cache"))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = self.functions["freeze"](parser.get_parsed_content("network")).to(self.device).eval()
        self.image_size = image_size

    @torch.no_grad()
    def embed(self, image: np.ndarray) -> torch.Tensor:
        """Embedding (256, h, w), on the device."""
        pixels, _ = self.functions["normalise"](image, size=self.image_size)
        return self.network.encode(pixels[None].to(self.device))[0]


@dataclass(frozen=True)
class _Example:
    """An image (Y, X) or (Y, X, 3), boxes (k, 4) in the network's input, and targets (k, 1, S / 4, S / 4)."""

    image: np.ndarray
    boxes: torch.Tensor
    targets: torch.Tensor


def compare_steps(parts: _Parts, items: Sequence[Mapping[str, Path]], *, num_prompts: int, rounds: int) -> list[Row]:
    """Time of training steps on kept embeddings, and with the image encoder computing them.

    Parameters
    ----------
    parts : _Parts
    items : sequence of mapping
        Paths under ``image`` and ``label``.
    num_prompts : int
        Largest number of prompts of an image.
    rounds : int
        Epochs in each way, in turns.

    Returns
    -------
    list of Row

    Raises
    ------
    RuntimeError
        If an embedding that should be on disk is not.
    """
    examples = [_example(parts, item, num_prompts) for item in items]
    for example in examples:
        parts.cache.get(example.image, parts.embed)
    trained = [weight for weight in parts.network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def step(embedding: torch.Tensor, example: _Example) -> None:
        optimizer.zero_grad()
        logits = parts.network(embedding[None].to(parts.device).float(), example.boxes[None].to(parts.device))
        loss = parts.loss(logits, example.targets[None].to(parts.device))
        loss.backward()
        optimizer.step()
        loss.item()  # waits for a GPU

    ways = {
        "ours": lambda example: step(parts.cache.get(example.image, _not_kept), example),
        "full": lambda example: step(parts.embed(example.image), example),
    }
    seconds = time_in_turns(ways, examples, rounds=rounds, desc=f"steps, {num_prompts} prompts")
    mean = np.mean([len(example.boxes) for example in examples])
    epochs = {way: np.multiply(times, len(examples)) for way, times in seconds.items()}
    what = f"training, prompts per image {mean:g}, images {len(examples)}: time per epoch"
    return [ratio_row(what, epochs["ours"], epochs["full"], target=STEPS_TARGET)]


def boxes_by_loop(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids (k,) and boxes (k, 4) of all objects, (x, y, x, y), first and last pixel inside; a mask of each."""
    ids, boxes = np.unique(labels[labels > 0]), []
    for label in ids:
        y, x = np.nonzero(labels == label)
        boxes.append([x.min(), y.min(), x.max(), y.max()])
    return ids, np.array(boxes)


def compare_boxes(
    boxes_of: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], labels: np.ndarray, *, rounds: int
) -> list[Row]:
    """Time of finding the boxes of all objects, against `boxes_by_loop`.

    Parameters
    ----------
    boxes_of : callable
        The bundle's: from a label map to ids and boxes.
    labels : ndarray of int, shape (Y, X)
    rounds : int
        Times that it is done in each way, in turns.

    Returns
    -------
    list of Row

    Raises
    ------
    RuntimeError
        If the boxes differ.
    """
    expected = boxes_by_loop(labels)
    if not all(map(np.array_equal, boxes_of(labels), expected)):
        raise RuntimeError("boxes_of finds other boxes than the loop; one is wrong")
    seconds = time_in_turns({"ours": boxes_of, "loop": boxes_by_loop}, [labels], rounds=rounds, desc="boxes")
    what = f"boxes of {len(expected[0])} objects in {labels.shape[0]} x {labels.shape[1]} px: time"
    return [ratio_row(what, seconds["ours"], seconds["loop"], target=BOXES_TARGET)]


def _throughput(parts: _Parts, items: Sequence[Mapping[str, Path]], *, rounds: int) -> Row:
    images = [_read(item["image"]) for item in items]
    seconds = time_in_turns({"ours": lambda image: parts.embed(image).cpu()}, images, rounds=rounds, desc="embeddings")
    return Row("embeddings: images per second", f"{1 / statistics.median(seconds['ours']):.2f}")


def _example(parts: _Parts, item: Mapping[str, Path], num_prompts: int) -> _Example:
    """An image with prompts for fibres that are spread evenly over the ids."""
    image, labels = _read(item["image"]), _read(item["label"])
    _, fit = parts.functions["normalise"](image, size=parts.image_size)
    ids, boxes = parts.functions["boxes_of"](labels)
    if not len(ids):
        raise InputError(f"{item['label']}: no fibre in it; give --dataset_dir with fibres in every image of testing")
    chosen = np.linspace(0, len(ids) - 1, min(num_prompts, len(ids))).round().astype(int)
    nothing = np.zeros(labels.shape, bool)
    targets = parts.functions["soft_targets"](labels, nothing, ids[chosen], boxes[chosen], fit, part="fibre")
    prompts = parts.functions["to_input"](boxes[chosen], fit)
    return _Example(image, torch.from_numpy(prompts), torch.from_numpy(targets))


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error}); convert the data again") from error


def _not_kept(image: np.ndarray) -> torch.Tensor:
    raise RuntimeError("an embedding that was kept is not found again; the times would not be of decoder steps alone")


def _usual_size(variant: str) -> int:
    """Side of a variant's input in pixels."""
    if variant in METAS:
        return META_SIZE
    parser = ConfigParser()
    parser.read_config(CONFIG)
    return parser.get_parsed_content("image_size")


def _discs() -> np.ndarray:
    return draw_drifting_discs(1, **DISCS)[0]


def _data(dataset_dir: str, folder: Path) -> tuple[str, list[dict[str, Path]]]:
    """Name and labelled testing items of a dataset; a synthetic one is made where none is given."""
    dataset = Path(dataset_dir) if dataset_dir else folder / "dataset"
    if not dataset_dir:
        logger.info("making a synthetic sample")
        write_sample(folder / "source")
        convert_myelin(folder / "source", dataset, test=["sub-04"], name=SAMPLE)
    name, items = read_testing_items(dataset)
    items = [item for item in items if "label" in item]
    if not items:
        raise InputError(f"{dataset}: no labels under testing; convert with truth and --test")
    return name, items
