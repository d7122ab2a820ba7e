"""2.5D Mask R-CNN: kinds of fusion, slices that pass the backbone once, and linking, each against the usual way."""

from __future__ import annotations

import json
import logging
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from fire.decorators import SetParseFns
from monai.bundle import ConfigParser
from torch import nn
from tqdm import tqdm

from common.errors import InputError
from tools.bench.bundle_config import existing_weights, network_with_weights, parse_config
from tools.bench.child import run_measured
from tools.bench.device import describe_device
from tools.bench.in_turns import as_time, ratio_row, time_in_turns
from tools.bench.linking import compare_linking, draw_drifting_discs
from tools.bench.progress import progress_on_stderr
from tools.bench.slice_passes import compare_passes
from tools.bench.table import Row, as_text
from tools.bench.testing_items import read_testing_items
from tools.command_line import reject, whole_number
from tools.convert.nifti import write_volume
from tools.sample.embryo import SPACING_UM, draw_image, draw_labels, place_nuclei

__all__ = ["compare_fusions", "draw_volume", "maskrcnn", "peak_memories"]

logger = logging.getLogger(__name__)

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "maskrcnn_2p5d"
CONFIG = BUNDLE / "configs" / "inference.json"
LINK_STACK = {"link": {"_target_": "maskrcnn_2p5d.linking.link_stack", "_mode_": "callable"}}
FUSIONS = ("center", "channel", "se", "windowed", "pixel", "late")
SHARED = ("se", "pixel", "late")
SHARED_SLICES = 5
# random weights find objects everywhere, with scores about one half: as many as nuclei in a slice are kept
KEPT = 10
RANDOM = {"ckpt_path": "none", "score_threshold": 0.05, "detections_per_slice": KEPT}
NUM_NUCLEI, REPEATS = 20, 2
PAIRS = 4
DISCS = {"num_slices": 200, "num_objects": 100, "size": 512}
SAMPLE = f"synthetic embryo of {NUM_NUCLEI} nuclei, repeated {REPEATS} x {REPEATS} times"
ABOUT_FUSIONS = (
    "time: the inferer of inference.json on a preprocessed volume: slices, detections, painting, linking, cuts.\n"
    "other: center, the 2D detector, which sees the slice in the middle alone.\n"
    f"Weights are random if trained is not said; of theirs, at most {KEPT} detections per slice\n"
    "are kept, since they find objects everywhere. Compare times where detections per slice are alike.\n"
    "memory: the largest resident set of monai.bundle run on the first volume, as a user starts it, with Python, its\n"
    "libraries and all results; memory of a GPU is not in it."
)
ABOUT_PASSES = (
    "on the first volume, with random weights. ours: detect_volume, every slice passes the backbone once. other:\n"
    "detect, every stack by itself, as many stacks together; stacks are put together within the time.\n"
    "whole detection: from slices to boxes, scores and masks in full size; not painting and linking.\n"
    "backbone and fusion alone: the same calls, with proposals, boxes and masks left out.\n"
    f"At most {KEPT} detections per slice are kept: more would be work on boxes and masks, the\n"
    "same in both ways, that hides the backbone's."
)
ABOUT_LINKING = (
    "discs that drift, in memory; ours links the whole stack, with all that belongs to it: tracks, gaps, the volume.\n"
    "other: IoU of every object with every object of the next slice from boolean masks of the full frame, then\n"
    f"scipy's linear_sum_assignment; done on {PAIRS} pairs of slices spread over the stack, since all take minutes.\n"
    "On these pairs both find the same links, which is checked here."
)


@SetParseFns(dataset_dir=str, ckpt_path=str, fusion=str, num_volumes=str, rounds=str)
def maskrcnn(
    *extra,
    dataset_dir: str = "",
    ckpt_path: str = "none",
    fusion: str = "",
    num_volumes: str = "1",
    rounds: str = "3",
    **unknown,
) -> str:
    """Print how maskrcnn_2p5d's fusions, shared features and linking compare with the usual ways.

    Parameters
    ----------
    dataset_dir : str
        Dataset with volumes under testing; without it a synthetic embryo is drawn.
    ckpt_path : str
        Trained weights, timed beside the random ones that make all fusions comparable; the word none for none.
    fusion : str
        What these weights were trained with, instead of the fusion of inference.json.
    num_volumes : int
        Volumes to segment, at most; spread evenly over those that there are.
    rounds : int
        Times that everything is done in each way.
    """
    reject(unknown, maskrcnn, extra)
    num_volumes = whole_number("num_volumes", num_volumes, minimum=1)
    rounds = whole_number("rounds", rounds, minimum=1)
    ways = _ways(ckpt_path, fusion)
    with progress_on_stderr(), tempfile.TemporaryDirectory(prefix="bench-maskrcnn-") as folder:
        folder = Path(folder)
        name, images = _images(dataset_dir, folder, num_volumes)
        overrides = {"bundle_root": str(BUNDLE)}
        parsers = {way: _parser({**overrides, **changes}) for way, changes in ways.items()}
        volumes = [_load(next(iter(parsers.values())), image) for image in tqdm(images, desc="loading")]
        parts = {
            ABOUT_FUSIONS: [
                *compare_fusions(parsers, volumes, rounds=rounds),
                *peak_memories(images[0], folder, {way: {**overrides, **changes} for way, changes in ways.items()}),
            ],
            ABOUT_PASSES: _compare_all_passes(overrides, volumes[0], rounds=rounds),
            ABOUT_LINKING: _compare_linking(next(iter(parsers.values())), rounds=rounds),
        }
        about = [
            f"data: {name}: n = {len(images)}, {' and '.join(sorted({_shape(volume) for volume in volumes}))} voxels",
            f"device: {describe_device()}",
            "weights: random",
            *(f"weights, {way}: {changes['ckpt_path']}" for way, changes in ways.items() if way not in FUSIONS),
        ]
    return "\n".join([*about, *(f"\n{as_text(rows)}\n\n{note}" for note, rows in parts.items())])


def compare_fusions(parsers: Mapping[str, ConfigParser], volumes: Sequence[torch.Tensor], *, rounds: int) -> list[Row]:
    """Time per volume and number of detections of every way, against those of ``center``.

    Parameters
    ----------
    parsers : mapping of str to ConfigParser
        inference.json of each way, ``center`` among them.
    volumes : sequence of Tensor of float, shape (1, Z, Y, X)
        Preprocessed.
    rounds : int
        Times that each volume is segmented in each way.

    Returns
    -------
    list of Row
        Medians over the rounds, and of the ratio within a round.
    """
    counters = {way: _Counter(network_with_weights(parser)) for way, parser in parsers.items()}
    ways = {way: _segmenter(parser, counters[way]) for way, parser in parsers.items()}
    seconds = time_in_turns(ways, volumes, rounds=rounds, desc="fusions")
    found = {way: f"{np.mean(counter.counts):.1f}" for way, counter in counters.items()}
    return [
        Row("center: time per volume", as_time(statistics.median(seconds["center"]))),
        *(ratio_row(f"{way}: time per volume", seconds[way], seconds["center"]) for way in ways if way != "center"),
        *(Row(f"{way}: detections per slice", found[way], "" if way == "center" else found["center"]) for way in ways),
    ]


def peak_memories(image: Path, folder: Path, ways: Mapping[str, Mapping[str, object]]) -> list[Row]:
    """Peak memory of inference.json in every way, as a user runs it on one volume, against that of ``center``.

    Parameters
    ----------
    image : Path
        The volume.
    folder : Path
        Folder to work in.
    ways : mapping of str to mapping
        Overrides of inference.json of each way, ``center`` first.

    Returns
    -------
    list of Row

    Raises
    ------
    InputError
        If a run fails, or leaves no result.
    """
    (folder / "images").mkdir()
    shutil.copy(image, folder / "images")
    command, peaks = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(CONFIG)], {}
    for way, overrides in tqdm(ways.items(), desc="memory", unit="run"):
        results = folder / f"results of {way}"
        settings = {**overrides, "dataset_dir": str(folder / "images"), "output_dir": str(results)}
        _, peaks[way] = run_measured([*command, *(f"--{key}={value}" for key, value in settings.items())])
        if not [*results.glob("*_instances.*")]:
            raise InputError(f"{results}: no instances after inference of {image.name}; see its log")
    return [_memory_row(way, peak, peaks["center"]) for way, peak in peaks.items()]


def draw_volume(path: Path, *, repeats: int = REPEATS) -> None:
    """Write a drawn embryo, repeated along Y and X, so that its slices are as large as real ones, as NIfTI."""
    random = np.random.default_rng(0)
    image = draw_image(random, draw_labels(*place_nuclei(random, NUM_NUCLEI)))
    write_volume(path, np.tile(image, (1, repeats, repeats)), SPACING_UM)


class _Counter:
    """A network that remembers how many objects it found in every slice."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.counts = network, []

    def detect_volume(self, volume: torch.Tensor, *, batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
        for detections in self.network.detect_volume(volume, batch_size=batch_size):
            self.counts.append(len(detections["scores"]))
            yield detections


def _ways(ckpt_path: str, fusion: str) -> dict[str, dict[str, object]]:
    """What is changed in inference.json for each fusion with random weights, and for the trained one, which is last."""
    fusion = fusion or json.loads(CONFIG.read_text(encoding="utf-8"))["fusion"]
    if fusion not in FUSIONS:
        raise InputError(f"--fusion {fusion}: unknown; give one of {', '.join(FUSIONS)}")
    ways = {name: {"fusion": name, **RANDOM} for name in FUSIONS}
    if ckpt_path != "none":
        ways[f"{fusion}, trained"] = {"fusion": fusion, "ckpt_path": str(existing_weights(BUNDLE, ckpt_path))}
    return ways


def _images(dataset_dir: str, folder: Path, num_volumes: int) -> tuple[str, list[Path]]:
    """Name of the data, and so many volumes, evenly from the first to the last."""
    if not dataset_dir:
        logger.info("drawing a synthetic volume")
        draw_volume(folder / "embryo.nii.gz")
        return SAMPLE, [folder / "embryo.nii.gz"]
    name, items = read_testing_items(Path(dataset_dir))
    indices = np.linspace(0, len(items) - 1, min(num_volumes, len(items))).round().astype(int)
    return name, [items[index]["image"] for index in indices]


def _parser(overrides: Mapping[str, object]) -> ConfigParser:
    return parse_config(CONFIG, {**overrides, "inferer#progress": False})


def _load(parser: ConfigParser, image: Path) -> torch.Tensor:
    return parser.get_parsed_content("preprocessing")({"image": str(image)})["image"]


def _segmenter(parser: ConfigParser, network: _Counter) -> Callable[[torch.Tensor], torch.Tensor]:
    """Function from a preprocessed volume to its instances, as the config's evaluator calls its inferer."""
    inferer, device, amp = map(parser.get_parsed_content, ("inferer", "device", "amp"))

    def segment(volume: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, enabled=amp and device.type == "cuda"):
            return inferer(volume[None].to(device), network)

    return segment


def _compare_all_passes(overrides: Mapping[str, object], volume: torch.Tensor, *, rounds: int) -> list[Row]:
    rows = []
    for fusion in SHARED:
        parser = _parser({**overrides, **RANDOM, "num_slices": SHARED_SLICES, "fusion": fusion})
        network, slab = network_with_weights(parser), parser.get_parsed_content("slab")
        slices = volume.as_subclass(torch.Tensor)[0].to(parser.get_parsed_content("device"))
        rows += compare_passes(fusion, network, slices, batch_size=slab, rounds=rounds)
    return rows


def _compare_linking(parser: ConfigParser, *, rounds: int) -> list[Row]:
    link_stack = ConfigParser(LINK_STACK).get_parsed_content("link")
    min_iou = parser.get_parsed_content("min_iou")
    return compare_linking(link_stack, draw_drifting_discs(**DISCS), min_iou=min_iou, num_pairs=PAIRS, rounds=rounds)


def _memory_row(way: str, peak: int, center: int) -> Row:
    what, own = f"{way}: peak memory", f"{peak / 2**30:.2f} GiB"
    return Row(what, own) if way == "center" else Row(what, own, f"{center / 2**30:.2f} GiB", f"{peak / center:.2f} x")


def _shape(volume: torch.Tensor) -> str:
    return " x ".join(map(str, volume.shape[1:]))
