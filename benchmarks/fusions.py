"""Kinds of fusion of maskrcnn_2p5d against the 2D detector; features that slices share against computing them again.

center is the 2D detector, which sees one slice. Time: the inferer of inference.json on a preprocessed volume: slices,
detections, painting, linking, cuts. Weights are random, since no trained ones fit all kinds; they find objects
everywhere, of which 10 per slice are kept. Memory: the largest resident set of monai.bundle run on the first volume in
a fresh process, with Python, its libraries and all results; memory of a GPU is not in it. Detection alone, on the first
volume: ours passes every slice through the backbone once, for all stacks that it is in; other detects in every stack by
itself, as many at a time. Boxes agree within 0.01 pixels, which is checked.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from benchmarks.bundles import command, load_network, open_config, testing_data
from benchmarks.harness import Row, run_measured, speed, take_turns

BUNDLE, SHARING, SHARED_SLICES, TOLERANCE_PX = "maskrcnn_2p5d", ("se", "pixel", "late"), 5, 0.01
# scores of random weights are about one half
RANDOM = {"ckpt_path": "none", "score_threshold": 0.05, "detections_per_slice": 10}


def compare(
    folder: Path, *, dataset_dir: str = "", fusions: str = "channel,se,windowed,pixel,late", num_volumes: int = 1,
    rounds: int = 3,
) -> Iterator[str | list[Row]]:  # fmt: skip
    """Options: dataset_dir, with volumes under testing; fusions, to compare with center; num_volumes, at most."""
    items, about = testing_data(BUNDLE, dataset_dir, folder, num_volumes)
    yield about
    names = ["center", *fusions.split(",")]
    parsers = {name: open_config(BUNDLE, fusion=name, **RANDOM) for name in names}
    preprocess = parsers["center"].get_parsed_content("preprocessing")
    volumes = [preprocess({"image": item["image"]})["image"] for item in items]
    ways = {name: _segmenter(parser) for name, parser in parsers.items()}
    seconds, _ = take_turns(ways, volumes, rounds=rounds, desc="fusions")
    (folder / "images").mkdir()
    shutil.copy(items[0]["image"], folder / "images")
    peaks = {name: _peak(folder, name) / 2**30 for name in names}
    for name in names[1:]:
        memory = (f"{peaks[name]:.2f} GiB", f"{peaks['center']:.2f} GiB", f"{peaks[name] / peaks['center']:.2f} x")
        shared = [_shared(name, volumes[0].as_tensor()[0], rounds)] if name in SHARING else []
        times = speed(f"{name}: time per volume", seconds[name], seconds["center"])
        yield [times, Row(f"{name}: peak memory", *memory), *shared]


def _segmenter(parser: ConfigParser) -> Callable[[torch.Tensor], torch.Tensor]:
    """Function from a preprocessed volume to its instances, as the config's evaluator calls its inferer."""
    inferer, device, amp = map(parser.get_parsed_content, ("inferer", "device", "amp"))
    network = load_network(parser)

    def segment(volume: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, enabled=amp and device.type == "cuda"):
            return inferer(volume[None].to(device), network)

    return segment


def _peak(folder: Path, fusion: str) -> int:
    given = {"dataset_dir": folder / "images", "output_dir": folder / f"results_{fusion}", "fusion": fusion}
    return run_measured(command(BUNDLE, "inference", **given, **RANDOM))[1]


@torch.no_grad()
def _shared(fusion: str, volume: torch.Tensor, rounds: int) -> Row:
    """Time of detecting in a volume (Z, Y, X) at once, and in each of its stacks by itself."""
    parser = open_config(BUNDLE, fusion=fusion, num_slices=SHARED_SLICES, **RANDOM)
    network, size, device = load_network(parser), *map(parser.get_parsed_content, ("slab", "device"))
    offsets, volume = torch.arange(SHARED_SLICES) - SHARED_SLICES // 2, volume.to(device)
    stacks = (torch.arange(len(volume))[:, None] + offsets).clamp(0, len(volume) - 1).to(device).split(size)
    ways = {
        "ours": lambda volume: list(network.detect_volume(volume, batch_size=size)),
        "other": lambda volume: [found for stack in stacks for found in network.detect(volume[stack])],
    }
    seconds, found = take_turns(ways, [volume], rounds=rounds, desc=fusion, judge=lambda _, found: found)
    for pair in zip(found["ours"][0], found["other"][0], strict=True):
        torch.testing.assert_close(*(detections["boxes"] for detections in pair), atol=TOLERANCE_PX, rtol=0)
    what = f"{fusion}, stacks of {SHARED_SLICES} slices: detection with shared features"
    return speed(what, seconds["ours"], seconds["other"], 2)
