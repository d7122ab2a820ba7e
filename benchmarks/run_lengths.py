"""Run lengths of masks, written and read: ours against loops in Python over the runs.

decode: one slice of a flat mask set per run, then made row-major, as what uses a mask needs it. encode, groupby:
itertools.groupby over the pixels down the columns; search: bytes.find for every start and end, the fastest loop we
know. All give the same, which is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.bundles import testing_data
from benchmarks.harness import Row, speed, take_turns
from common.labels.run_lengths import decode_rle, encode_rle


def compare(
    folder: Path, *, dataset_dir: str = "", height: int = 4536, width: int = 4704, rounds: int = 5
) -> Iterator[str | list[Row]]:
    """Options: dataset_dir, with labelled slides under testing; height and width of a mask of many short runs."""
    items, about = testing_data("crypt_unet", dataset_dir, folder)
    yield about
    for item in items:
        yield _rows(Path(item["image"]).stem, tifffile.imread(item["label"]) > 0, rounds)
    yield _rows("single pixels", np.random.default_rng(0).random((height, width), dtype=np.float32) < 0.05, rounds)


def decode_by_loop(encoding: str, shape: tuple[int, int]) -> np.ndarray:
    """Mask of run lengths; nothing is checked."""
    numbers = list(map(int, encoding.split()))
    mask = np.zeros(shape[0] * shape[1], bool)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        mask[start - 1 : start - 1 + length] = True
    return np.ascontiguousarray(mask.reshape(shape, order="F"))


def encode_by_groupby(mask: np.ndarray) -> str:
    """Run lengths of a mask, starts counted from 1 down the columns."""
    words, position = [], 1
    for value, pixels in groupby(mask.T.tobytes()):
        length = len(list(pixels))
        if value:
            words.append(f"{position} {length}")
        position += length
    return " ".join(words)


def encode_by_search(mask: np.ndarray) -> str:
    """The same, by a search for the next start and the next end."""
    pixels, words, end = mask.T.tobytes() + b"\0", [], 0
    while (start := pixels.find(b"\1", end)) >= 0:
        end = pixels.find(b"\0", start)
        words.append(f"{start + 1} {end - start}")
    return " ".join(words)


def _rows(name: str, mask: np.ndarray, rounds: int) -> list[Row]:
    text, rows = encode_rle(mask), []
    decoders = {
        "ours": lambda text: decode_rle(text, mask.shape),
        "loop": lambda text: decode_by_loop(text, mask.shape),
    }
    encoders = {"ours": encode_rle, "groupby": encode_by_groupby, "search": encode_by_search}
    for what, ways, given, expected in (("decode", decoders, text, mask), ("encode", encoders, mask, text)):
        seconds, results = take_turns(ways, [given], rounds=rounds, desc=what, judge=lambda _, result: result)
        for way in [*ways][1:]:
            if not all(np.array_equal(results[key][0], expected) for key in ("ours", way)):
                raise RuntimeError(f"{name}: {what} by ours and {way} do not give back what went in")
            label = f"{name}, {len(text.split()) // 2} runs: {what}, {way}"
            rows.append(speed(label, seconds["ours"], seconds[way], None if way == "search" else 10))
    return rows
