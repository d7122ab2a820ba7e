"""Phase contrast by swinunet_livecell: images at native resolution against images squashed to one window.

Time: from the image's file to its probabilities at the original size, by preprocessing, inferer and postprocessing of
inference.json, without its flips, which show the network everything four times; nothing is written. ours: mode crop,
windows at native resolution. other: mode resize, the image squashed to one window and its probabilities resized back:
the same network sees fewer pixels, so an image takes less time. What that costs: the best that any network could reach
at the original size is the truth itself after being resized and resized back. nearest takes the upper left pixel and so
moves the mask, nearest-exact takes the middle one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.bundle import ConfigParser
from PIL import Image

from benchmarks.bundles import load_network, open_config, testing_data
from benchmarks.harness import Row, iou, speed, take_turns

PLAIN = {"test_time_augmentation": False, "postprocessing#transforms#2#_disabled_": True}  # the last one writes files
MODES = {"ours": "crop", "other": "resize"}


def compare(
    folder: Path, *, dataset_dir: str = "", num_images: int = 100, rounds: int = 3
) -> Iterator[str | list[Row]]:
    """Options: dataset_dir, with labelled images under testing; num_images, at most."""
    items, about = testing_data("swinunet_livecell", dataset_dir, folder, num_images)
    yield about
    parsers = {way: open_config("swinunet_livecell", mode=mode, **PLAIN) for way, mode in MODES.items()}
    pixels: dict[str, list[int]] = {way: [] for way in MODES}
    ways = {way: _segmenter(parser, pixels[way]) for way, parser in parsers.items()}
    seconds, _ = take_turns(ways, items, rounds=rounds, desc="images")
    seen = {way: sum(counts) / (1 + rounds * len(items)) / 1e6 for way, counts in pixels.items()}
    yield [
        speed("time per image", seconds["ours"], seconds["other"]),
        Row("megapixels per image that the network sees", *(f"{seen[way]:.3f}" for way in MODES)),
    ]
    size = parsers["ours"].get_parsed_content("image_size")
    masks = [np.asarray(Image.open(item["label"])) > 0 for item in items]
    rows = []
    for mode in ("nearest", "nearest-exact"):
        mean = float(np.mean([iou(squash_and_back(mask, size, mode), mask) for mask in masks]))
        what = f"best IoU that is left, truth resized to {' x '.join(map(str, size))} and back, {mode}"
        rows.append(Row(what, "1.0000", f"{mean:.4f}", f"{1 - mean:+.4f}"))
    yield rows


def squash_and_back(mask: np.ndarray, size: Sequence[int], mode: str) -> np.ndarray:
    """A mask, bool (Y, X), after it has been resized and resized back."""
    small = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=tuple(size), mode=mode)
    return F.interpolate(small, size=mask.shape, mode=mode)[0, 0].numpy() > 0


def _segmenter(parser: ConfigParser, pixels: list[int]) -> Callable[[Mapping[str, str]], torch.Tensor]:
    """Function from an item to its probabilities (1, Y, X); it adds the pixels of every window to the list."""
    keys = ("preprocessing", "inferer", "postprocessing", "device")
    preprocess, inferer, postprocess, device = map(parser.get_parsed_content, keys)
    network = load_network(parser)
    network.register_forward_pre_hook(lambda _, inputs: pixels.append(inputs[0].numel()))

    @torch.no_grad()
    def segment(item: Mapping[str, str]) -> torch.Tensor:
        read = preprocess({"image": item["image"]})
        return postprocess({**read, "pred": inferer(read["image"][None].to(device), network)[0]})["pred"].cpu()

    return segment
