"""Phase contrast: drawing outlines, inference at native resolution, and ONNX Runtime, against the usual ways."""

from __future__ import annotations

import copy
import logging
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from fire.decorators import SetParseFns
from monai.bundle import ConfigParser
from torch import nn

from common.errors import InputError
from tools.bench.bundle_config import find_weights, network_with_weights, parse_config
from tools.bench.coco_drawing import compare_drawing, read_annotated
from tools.bench.device import describe_device
from tools.bench.in_turns import time_in_turns
from tools.bench.onnx_cpu import compare_onnx
from tools.bench.progress import progress_on_stderr
from tools.bench.side_by_side import iou
from tools.bench.squash import compare_ceilings, read_foreground
from tools.bench.table import Row, as_text
from tools.bench.testing_items import read_testing_items
from tools.command_line import reject, whole_number
from tools.convert.livecell import convert_livecell
from tools.sample.livecell import write_sample

__all__ = ["compare_inference", "livecell"]

logger = logging.getLogger(__name__)

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "swinunet_livecell"
CONFIG = BUNDLE / "configs" / "inference.json"
NO_SAVING = {"postprocessing#transforms#2#_disabled_": True}
NO_FLIPS = {"test_time_augmentation": False}
MODES = {"ours": "crop", "squash": "resize"}
SAMPLE = "synthetic phase contrast (python -m tools sample swinunet_livecell)"
ABOUT_DRAWING = (
    "from polygons in memory. ours: label maps as the converter draws them; foregrounds by pycocotools' merge and\n"
    "decode of all polygons at once. other: a loop over pycocotools' annToMask, which for label maps is told the\n"
    "order of the objects and need not find it. All pixels are equal, which is checked here."
)
ABOUT_INFERENCE = (
    "from the image's file to its probabilities at the original size, with preprocessing, inferer and postprocessing\n"
    "of inference.json, without its flips, which show the network everything four times; nothing is written.\n"
    "ours: mode crop, windows at native resolution.\n"
    "other: mode resize, the image squashed to one window and its probabilities resized back: the same network sees\n"
    "fewer pixels, so an image takes less time. What that costs is in the table too: the best that any network could\n"
    "reach at the original size is the truth itself after being resized and resized back."
)
ABOUT_ONNX = "logits in float32 on the CPU. other: eager PyTorch with the same weights and number of threads."


@SetParseFns(source_dir=str, dataset_dir=str, ckpt_path=str, squash_ckpt_path=str, num_images=str, rounds=str)
def livecell(
    *extra,
    source_dir: str = "",
    dataset_dir: str = "",
    ckpt_path: str = "",
    squash_ckpt_path: str = "",
    num_images: str = "100",
    rounds: str = "3",
    **unknown,
) -> str:
    """Print how drawing, inference and ONNX Runtime for swinunet_livecell compare with the usual ways.

    Parameters
    ----------
    source_dir : str
        Folder in LIVECell's layout, or plain COCO, to draw from; without it a synthetic sample is made.
    dataset_dir : str
        Dataset with images under testing, to segment; without it the synthetic sample. Labels tell what squashing
        costs.
    ckpt_path : str
        Weights to use instead of the shipped ones; the word none for random ones, which are as fast.
    squash_ckpt_path : str
        Weights that were trained with mode resize; with them the IoU of both ways is told.
    num_images : int
        Images to draw and to segment, at most; spread evenly over those that there are.
    rounds : int
        Times that everything is done in each way.
    """
    reject(unknown, livecell, extra)
    num_images = whole_number("num_images", num_images, minimum=1)
    rounds = whole_number("rounds", rounds, minimum=1)
    weights = {"ours": find_weights(BUNDLE, ckpt_path)}
    if squash_ckpt_path:
        if ckpt_path == "none" or squash_ckpt_path == "none":
            raise InputError("--squash_ckpt_path with random weights: both ways need trained ones to be judged by IoU")
        weights["squash"] = find_weights(BUNDLE, squash_ckpt_path)
    with progress_on_stderr(), tempfile.TemporaryDirectory(prefix="bench-livecell-") as folder:
        folder = Path(folder)
        source, dataset = _data(source_dir, dataset_dir, folder)
        name, items = read_testing_items(dataset)
        items, annotated = _spread(items, num_images), _spread(read_annotated(source), num_images)
        if not annotated:
            raise InputError(f"{source}: no image with annotations; there is nothing to draw")
        parser = _parser("crop", weights["ours"])
        network = copy.deepcopy(network_with_weights(parser)).cpu()
        size = parser.get_parsed_content("image_size")
        parts = {
            ABOUT_DRAWING: compare_drawing(annotated, rounds=rounds),
            ABOUT_INFERENCE: compare_inference(weights, items, rounds=rounds) + compare_ceilings(items, size),
            ABOUT_ONNX: compare_onnx(network, folder, size=size, rounds=rounds),
        }
        num_objects = sum(len(image.annotations) for image in annotated)
        about = [
            f"drawing on: {source.name if source_dir else SAMPLE}: n = {len(annotated)}, {num_objects} objects",
            f"inference on: {name}: n = {len(items)}",
            f"device: {describe_device()}",
            *(f"weights, {way}: {path}" for way, path in weights.items()),
        ]
    return "\n".join([*about, *(f"\n{as_text(rows)}\n\n{note}" for note, rows in parts.items())])


def compare_inference(
    weights: Mapping[str, str],
    items: Sequence[Mapping[str, Path]],
    *,
    rounds: int,
    overrides: Mapping[str, object] | None = None,
) -> list[Row]:
    """Images per second at native resolution and squashed, what the network saw of them, and IoU if both were trained.

    Parameters
    ----------
    weights : mapping of str to str
        Way -> weights; without those of ``squash`` it takes those of ``ours``, and no IoU is told.
    items : sequence of mapping
        Paths under ``image``, and ``label`` where there is a truth.
    rounds : int
        Times that each image is segmented in each way.
    overrides : mapping, optional
        Further overrides of inference.json.

    Returns
    -------
    list of Row
        Medians over the rounds, and of the ratio within a round.
    """
    parsers = {way: _parser(mode, weights.get(way, weights["ours"]), overrides) for way, mode in MODES.items()}
    ways = {way: _segmenter(parser, network_with_weights(parser)) for way, parser in parsers.items()}
    images = [item["image"] for item in items]
    for image in images:  # so that no way has to wait for the disk
        image.read_bytes()
    megapixels = {
        way: np.mean([_pixels_seen(parser, image) for image in images]) / 1e6 for way, parser in parsers.items()
    }
    seconds = time_in_turns(ways, images, rounds=rounds, desc="inference")
    per_second = {way: 1 / np.array(times) for way, times in seconds.items()}
    rows = [
        _rate_row("inference: images per second", per_second["ours"], per_second["squash"]),
        _rate_row(
            "inference: megapixels per second that the network sees",
            *(megapixels[way] * per_second[way] for way in MODES),
        ),
        Row(
            "inference: megapixels per image that the network sees",
            *(f"{megapixels[way]:.3f}" for way in MODES),
            f"{megapixels['ours'] / megapixels['squash']:.1f} x",
        ),
    ]
    labelled = [item for item in items if "label" in item]
    if "squash" not in weights or not labelled:
        return rows
    threshold = parsers["ours"].get_parsed_content("threshold")
    ious = {way: _mean_iou(segment, labelled, threshold) for way, segment in ways.items()}
    what = f"inference: mean IoU at the original size, n = {len(labelled)}"
    return [*rows, Row(what, *(f"{ious[way]:.4f}" for way in MODES), f"{ious['ours'] - ious['squash']:+.4f}")]


class _PixelCounter(nn.Module):
    """A network that finds nothing and counts the pixels it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.count += windows.numel()
        return torch.zeros_like(windows)


def _parser(mode: str, ckpt_path: str, overrides: Mapping[str, object] | None = None) -> ConfigParser:
    settings = {"bundle_root": str(BUNDLE), "ckpt_path": ckpt_path, "mode": mode}
    return parse_config(CONFIG, {**settings, **NO_SAVING, **NO_FLIPS, **(overrides or {})})


def _segmenter(parser: ConfigParser, network: nn.Module) -> Callable[[Path], np.ndarray]:
    """Function from an image's file to its probabilities (Y, X), as the config's evaluator makes them."""
    preprocessing, inferer, postprocessing, device = map(
        parser.get_parsed_content, ("preprocessing", "inferer", "postprocessing", "device")
    )

    @torch.no_grad()
    def segment(path: Path) -> np.ndarray:
        data = preprocessing({"image": str(path)})
        logits = inferer(data["image"][None].to(device), network)
        return postprocessing({**data, "pred": logits[0]})["pred"].cpu().numpy()[0]

    return segment


def _pixels_seen(parser: ConfigParser, path: Path) -> int:
    """Pixels of all windows that an image makes."""
    counter = _PixelCounter()
    image = parser.get_parsed_content("preprocessing")({"image": str(path)})["image"]
    parser.get_parsed_content("inferer")(image[None], counter)
    return counter.count


def _mean_iou(segment: Callable[[Path], np.ndarray], items: Sequence[Mapping[str, Path]], threshold: float) -> float:
    return float(np.mean([iou(segment(item["image"]) >= threshold, read_foreground(item["label"])) for item in items]))


def _rate_row(what: str, ours: np.ndarray, other: np.ndarray) -> Row:
    """Medians of two ways' rates, and of their ratio within a round."""
    ratio = statistics.median(ours / other)
    speed = f"{ratio:.1f} x faster" if ratio >= 1 else f"{1 / ratio:.1f} x slower"
    return Row(what, *(f"{statistics.median(rates):.2f}" for rates in (ours, other)), speed)


def _data(source_dir: str, dataset_dir: str, folder: Path) -> tuple[Path, Path]:
    """Folders to draw from and to segment; the synthetic sample is made where it is needed."""
    source, dataset = Path(source_dir) if source_dir else None, Path(dataset_dir) if dataset_dir else None
    if source is None or dataset is None:
        logger.info("making a synthetic sample")
        write_sample(folder / "source")
    if dataset is None:
        convert_livecell(folder / "source", folder / "dataset", name=SAMPLE)
    return source or folder / "source", dataset or folder / "dataset"


def _spread(things: list, count: int) -> list:
    """At most so many of them, evenly from the first to the last."""
    return [things[index] for index in np.linspace(0, len(things) - 1, min(count, len(things))).round().astype(int)]
