"""Crypts of whole slides: time, memory and run lengths, against the original's way and loops in Python."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tifffile
import torch
from fire.decorators import SetParseFns
from tqdm import tqdm

from common.errors import InputError
from common.labels.run_lengths import decode_rle, encode_rle
from tools.bench.bundle_config import find_weights, network_with_weights, parse_config
from tools.bench.child import run_measured
from tools.bench.device import describe_device
from tools.bench.large_slide import write_large_slide
from tools.bench.progress import progress_on_stderr
from tools.bench.rle_loops import decode_by_loop, encode_by_groupby, encode_by_search
from tools.bench.table import Row, as_text
from tools.bench.testing_items import read_testing_items
from tools.bench.tiles512 import shrink
from tools.bench.whole_slides import SlideTimes, Way, count_windows, read_mask, time_ways
from tools.command_line import reject, whole_number

__all__ = ["compare_inference", "compare_run_lengths", "crypts", "many_short_runs", "peak_memory"]

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "crypt_unet"
CONFIG = BUNDLE / "configs" / "inference.json"
TILES = {"_target_": "tools.bench.tiles512.TileInferer"}
BIG_SIZE = 20000
RLE_SHAPE = (4536, 4704)
RLE_ROUNDS = 5
RESULTS = ("mask.tiff", "crypts.geojson", "crypts.csv", "overlay.png", "prob.tiff")
ABOUT_INFERENCE = (
    "time: from the slide's file to its probabilities; ours with preprocessing and inferer of inference.json, without\n"
    "its flips, which the original did not have and which show the network four times as many windows.\n"
    "other: the original's way with the same network and arithmetic: the whole slide loaded, tiles of 512 x 512\n"
    "without overlap, filled up with black, one at a time; at full resolution, and shrunk as ours, so that shrinking\n"
    "is not the gain.\n"
    "Dice: at full resolution, of all that lies above the threshold; no crypt dropped, no hole filled. Other's Dice\n"
    "at full resolution says nothing about the original's network: this one was trained on shrunk slides."
)
ABOUT_MEMORY = (
    "monai.bundle run on a synthetic slide, as a user starts it, with every result written; its largest resident set."
)
ABOUT_RUN_LENGTHS = (
    "decode, loop: one slice of a flat mask set per run, then made row-major, as what uses a mask needs it.\n"
    "decode, loop without making it row-major: it ends with a view of the columns.\n"
    "encode, groupby: itertools.groupby over the pixels down the columns.\n"
    "encode, search: bytes.find for every start and end.\n"
    "All give the same masks and texts, which is checked here."
)


@SetParseFns(dataset_dir=str, ckpt_path=str, rounds=str, skip_large=str)
def crypts(
    *extra, dataset_dir: str = "", ckpt_path: str = "", rounds: str = "1", skip_large: str = "False", **unknown
) -> str:
    """Print how crypt_unet's inference and run lengths compare with the original's way, and its peak memory.

    Parameters
    ----------
    dataset_dir : str
        Dataset with slides under testing; without labels there, no Dice is told.
    ckpt_path : str
        Weights to use instead of the shipped ones; the word none for random ones, which are as fast.
    rounds : int
        Times that each slide is segmented in each way.
    skip_large : bool
        Leaves out the slide of 20000 x 20000 pixels, which takes minutes.
    """
    reject(unknown, crypts, extra)
    rounds = whole_number("rounds", rounds, minimum=1)
    if skip_large not in ("True", "False"):
        raise InputError(f"--skip_large {skip_large}: expected True or False")
    if not dataset_dir:
        raise InputError("--dataset_dir missing; give a converted dataset with slides under testing")
    name, items = read_testing_items(Path(dataset_dir))
    overrides = {"bundle_root": str(BUNDLE), "ckpt_path": find_weights(BUNDLE, ckpt_path)}
    with progress_on_stderr(), tempfile.TemporaryDirectory(prefix="bench-crypts-") as folder:
        parts = {
            ABOUT_INFERENCE: compare_inference(overrides, items, rounds=rounds),
            ABOUT_RUN_LENGTHS: _compare_all_run_lengths(items),
        }
        if skip_large == "False":
            parts[ABOUT_MEMORY] = peak_memory(Path(folder), overrides)
        about = [
            f"data: {name}: n = {len(items)}",
            f"device: {describe_device()}",
            f"weights: {overrides['ckpt_path']}",
        ]
    return "\n".join([*about, *(f"\n{as_text(rows)}\n\n{note}" for note, rows in parts.items())])


def compare_inference(
    overrides: Mapping[str, object], items: Sequence[Mapping[str, Path]], *, rounds: int = 1
) -> list[Row]:
    """Time and Dice of the bundle's inference and of the original's way, with the same network, on the same slides.

    Parameters
    ----------
    overrides : mapping
        Overrides of inference.json.
    items : sequence of mapping
        Paths under ``image``, and ``label`` where there is a truth.
    rounds : int
        Times that each slide is segmented in each way.

    Returns
    -------
    list of Row
    """
    overrides = {**overrides, "test_time_augmentation": False}
    ours, tiles = parse_config(CONFIG, overrides), parse_config(CONFIG, {**overrides, "inferer#inferer": TILES})
    no_skipping = {"inferer#inferer#min_tissue": 0.0, "inferer#inferer#progress": False}
    everywhere = parse_config(CONFIG, {**overrides, **no_skipping})
    network, device = network_with_weights(ours), ours.get_parsed_content("device")
    preprocessing, downsample = ours.get_parsed_content("preprocessing"), ours.get_parsed_content("downsample")
    inferers = {name: parser.get_parsed_content("inferer") for name, parser in (("ours", ours), ("tiles", tiles))}

    def run(inferer: str, image: torch.Tensor) -> torch.Tensor:
        return inferers[inferer](image[None].to(device), network).cpu()

    def load(path: Path) -> np.ndarray:
        return tifffile.imread(path)

    ways = {
        "ours": Way(lambda path: run("ours", preprocessing({"image": path})["image"]), downsample),
        "full": Way(lambda path: run("tiles", _to_tensor(load(path)))),
        "shrunk": Way(lambda path: run("tiles", _to_tensor(shrink(load(path), downsample))), downsample),
    }
    for inferer in inferers:  # the first call of anything is slow
        run(inferer, torch.full((3, 64, 64), 128, dtype=torch.uint8))
    results = time_ways(ways, items, rounds=rounds, threshold=ours.get_parsed_content("threshold"))
    rows, all_windows = [], everywhere.get_parsed_content("inferer")
    for item, result in zip(items, results, strict=True):
        image = preprocessing({"image": item["image"]})["image"].to(device)
        num_seen, num_windows = (count_windows(inferer, image) for inferer in (inferers["ours"], all_windows))
        rows += [*_inference_rows(result, downsample), _skipped_row(result.name, num_seen, num_windows)]
    return rows


def peak_memory(
    folder: Path, overrides: Mapping[str, object], *, size: int = BIG_SIZE, drawn_size: int = 2500
) -> list[Row]:
    """Peak memory and time of inference.json, as a user runs it, on one synthetic slide.

    Parameters
    ----------
    folder : Path
        Folder to work in.
    overrides : mapping
        Overrides of inference.json.
    size, drawn_size : int
        As for `write_large_slide`.

    Returns
    -------
    list of Row

    Raises
    ------
    InputError
        If the run fails, or a result is missing after it.
    """
    images, results = folder / "images", folder / "results"
    images.mkdir(parents=True)
    write_large_slide(images / "large.tiff", size, drawn_size=drawn_size)
    settings = {**overrides, "dataset_dir": str(images), "output_dir": str(results), "save_probability": True}
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(CONFIG)]
    seconds, peak = run_measured([*command, *(f"--{key}={value}" for key, value in settings.items())])
    expected = ["rle.csv", *(f"large_{kind}" for kind in RESULTS)]
    missing = [name for name in expected if not (results / name).is_file()]
    if missing:
        raise InputError(f"{results}: no {', '.join(missing)} after inference, expected every result; see its log")
    what, gib = f"inference of {size} x {size} RGB", peak / 2**30
    return [
        Row(f"{what}: peak memory", f"{gib:.2f} GiB", "", "", "< 4 GiB", _yes(gib < 4)),
        Row(f"{what}: time with start", f"{seconds:.0f} s"),
    ]


def compare_run_lengths(name: str, mask: np.ndarray, *, rounds: int = RLE_ROUNDS) -> list[Row]:
    """Time of writing and reading a mask's run lengths, by ours and by loops in Python over the runs.

    Parameters
    ----------
    name : str
        What to call the mask.
    mask : ndarray of bool, shape (Y, X)
        Row-major.
    rounds : int
        Times that each is called, in turns, after one that is not counted.

    Returns
    -------
    list of Row
        Medians of the times, and of their ratio within a round.

    Raises
    ------
    RuntimeError
        If two of them differ in what they return.
    """
    text, shape = encode_rle(mask), mask.shape
    ways: dict[str, Callable[[], object]] = {
        "decode": lambda: decode_rle(text, shape),
        "decode, loop": lambda: decode_by_loop(text, shape),
        "decode, loop without making it row-major": lambda: decode_by_loop(text, shape, row_major=False),
        "encode": lambda: encode_rle(mask),
        "encode, groupby": lambda: encode_by_groupby(mask),
        "encode, search": lambda: encode_by_search(mask),
    }
    for way, function in ways.items():
        found, expected = function(), mask if way.startswith("decode") else text
        if not np.array_equal(found, expected):
            raise RuntimeError(f"{name}: {way} does not give back what went in; one of the codecs is wrong")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, function in ways.items():
            started = time.perf_counter()
            function()
            seconds[way].append(time.perf_counter() - started)
    what = f"{name}, {len(text.split()) // 2} runs"
    loops = {way: 10 if way in ("decode, loop", "encode, groupby") else None for way in ways if "," in way}
    return [
        _ratio_row(f"{what}: {way}", seconds[way.split(",")[0]], seconds[way], target) for way, target in loops.items()
    ]


def many_short_runs(shape: tuple[int, int]) -> np.ndarray:
    """A mask of single pixels, bool (Y, X): a run for every twentieth of them."""
    return np.random.default_rng(0).random(shape, dtype=np.float32) < 0.05


def _compare_all_run_lengths(items: Sequence[Mapping[str, Path]]) -> list[Row]:
    """Rows of every labelled slide's mask, and of one with many short runs."""
    rows = []
    for item in tqdm([item for item in items if "label" in item], desc="run lengths", unit="mask"):
        with tifffile.TiffFile(item["label"]) as tiff:
            shape = tiff.pages[0].shape
        rows += compare_run_lengths(item["image"].stem, read_mask(item["label"], shape))
    return rows + compare_run_lengths("x".join(map(str, RLE_SHAPE)), many_short_runs(RLE_SHAPE))


def _inference_rows(result: SlideTimes, downsample: int) -> list[Row]:
    """Time and Dice on one slide, against the tiles at either resolution."""
    slide, rows = f"{result.name}, {' x '.join(map(str, result.shape))}", []
    for way, what, target in (("full", "full resolution", 2), ("shrunk", f"1/{downsample} as ours", None)):
        rows.append(_ratio_row(f"{slide}: time, {what}", result.seconds["ours"], result.seconds[way], target))
        if result.dice:
            ours, other = result.dice["ours"], result.dice[way]
            rows.append(Row(f"{slide}: Dice, {what}", f"{ours:.4f}", f"{other:.4f}", f"{ours - other:+.4f}"))
    return rows


def _skipped_row(name: str, num_seen: int, num_windows: int) -> Row:
    share = 100 * (1 - num_seen / num_windows)
    return Row(f"{name}: windows without tissue, skipped", f"{num_windows - num_seen} of {num_windows}, {share:.0f} %")


def _ratio_row(what: str, ours: Sequence[float], other: Sequence[float], target: float | None) -> Row:
    """Medians of two ways' times, and of their ratio within a round."""
    ratio = statistics.median(np.divide(other, ours))
    times = (_time(statistics.median(seconds)) for seconds in (ours, other))
    goal = () if target is None else (f">= {target:g} x", _yes(ratio >= target))
    return Row(what, *times, f"{ratio:.1f} x faster", *goal)


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"


def _yes(met: bool) -> str:
    return "yes" if met else "no"


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)
