"""Whole slides by crypt_unet: time and Dice against the way of the original pipeline, with the same network.

Time: from the slide's file to its probabilities; ours with preprocessing and inferer of inference.json, without its
flips, which the original did not have and which show the network four times as many windows. other: the whole slide
loaded, MONAI's windows of 512 x 512 without overlap, one at a time; at full resolution, and shrunk as ours, so that
shrinking is not the gain. Dice: at full resolution, of all that lies above the threshold; no crypt dropped, no hole
filled. That of tiles at full resolution says nothing of the original's network: this one knows shrunk slides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image

from benchmarks.bundles import load_network, open_config, testing_data
from benchmarks.harness import Row, speed, take_turns

FULL, SHRUNK = "tiles at full resolution", "tiles, shrunk as ours"


@torch.inference_mode()
def compare(
    folder: Path, *, dataset_dir: str = "", ckpt_path: str = "", num_slides: int = 100, rounds: int = 1
) -> Iterator[str | list[Row]]:
    """Options: dataset_dir, with labelled slides under testing; ckpt_path, other weights; num_slides, at most."""
    items, about = testing_data("crypt_unet", dataset_dir, folder, num_slides)
    yield about
    parser = open_config("crypt_unet", test_time_augmentation=False, ckpt_path=ckpt_path)
    tiles = {"_target_": "SlidingWindowInferer", "roi_size": [512, 512], "sw_batch_size": 1, "overlap": 0.0}
    tiling = open_config("crypt_unet", **{"inferer#inferer": tiles}).get_parsed_content("inferer")
    keys = ("preprocessing", "inferer", "device", "downsample", "threshold")
    read, windows, device, factor, threshold = map(parser.get_parsed_content, keys)
    network = load_network(parser)

    def by_tiles(slide: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(slide).permute(2, 0, 1)[None].float()
        return tiling(pixels.to(device), network).float().sigmoid().cpu()

    def judge(item: Mapping[str, str], probability: torch.Tensor) -> float:
        reference = tifffile.imread(item["label"]) > 0
        mask = (probability[0, 0] > threshold).numpy()
        if mask.shape != reference.shape:
            mask = mask.repeat(factor, 0).repeat(factor, 1)[: reference.shape[0], : reference.shape[1]]
        total = np.count_nonzero(mask) + np.count_nonzero(reference)
        return 2 * np.count_nonzero(mask & reference) / total if total else 1.0

    ways = {
        "ours": lambda item: windows(read({"image": item["image"]})["image"][None].to(device), network).cpu(),
        FULL: lambda item: by_tiles(tifffile.imread(item["image"])),
        SHRUNK: lambda item: by_tiles(np.array(Image.fromarray(tifffile.imread(item["image"])).reduce(factor))),
    }
    seconds, scores = take_turns(ways, items, rounds=rounds, desc="slides", judge=judge)
    dice = {way: float(np.mean(values)) for way, values in scores.items()}
    for way, at_least in ((FULL, 2), (SHRUNK, None)):
        yield [
            speed(f"{way}: time per slide", seconds["ours"], seconds[way], at_least),
            Row(f"{way}: mean Dice", f"{dice['ours']:.4f}", f"{dice[way]:.4f}", f"{dice['ours'] - dice[way]:+.4f}"),
        ]
