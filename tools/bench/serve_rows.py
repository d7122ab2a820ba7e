"""What the measurements of a server come to: rates, latencies, memory."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from tools.bench.table import Row

__all__ = ["latency_rows", "levels", "memory_rows", "rate_row"]

WARM_UP = 0.1  # share of the requests after which memory is first read
TARGET_RATIO, TARGET_GROWTH = 0.9, 0.05


def levels(samples: Sequence[float]) -> tuple[float, float]:
    """First and last level of some readings of memory: medians of a tenth of them at either end."""
    count = max(1, len(samples) // 10)
    return statistics.median(samples[:count]), statistics.median(samples[-count:])


def latency_rows(seconds: Sequence[float], clients: int) -> list[Row]:
    """Median and 95th percentile of what clients waited."""
    return [
        Row(f"latency with {clients} clients, {name}", f"{np.percentile(seconds, share):.2f} s")
        for name, share in (("median", 50), ("p95", 95))
    ]


def memory_rows(samples: Sequence[tuple[int, int]]) -> list[Row]:
    """How memory grew after the warm-up, in all and of each process, and the most there was.

    Parameters
    ----------
    samples : sequence of (int, int)
        Bytes of the process that answers and of the one that segments.
    """
    num_first = int(WARM_UP * len(samples))
    answering, segmenting = np.array(samples).T
    total = answering + segmenting
    what = f"end of {len(samples)} requests against after {num_first}"
    first, last = levels(total[num_first:].tolist())
    grown = last / first - 1
    rows = [
        Row(
            f"memory of the server, {what}",
            *_mebibytes(last, first),
            f"{grown:+.1%}",
            f"< {TARGET_GROWTH:.0%}",
            _met(grown < TARGET_GROWTH),
        )
    ]
    for name, part in (("answers", answering), ("segments", segmenting)):
        first, last = levels(part[num_first:].tolist())
        rows.append(Row(f"  of the process that {name}", *_mebibytes(last, first), f"{last / first - 1:+.1%}"))
    return [*rows, Row(f"memory of the server, peak of {len(samples)} readings", *_mebibytes(max(total)))]


def rate_row(what: str, ours: Sequence[float], other: Sequence[float]) -> Row:
    """Medians of two ways' rates, and of their ratio within a round."""
    ratio = statistics.median(np.divide(ours, other))
    medians = (f"{statistics.median(rates):.2f} / s" for rates in (ours, other))
    return Row(what, *medians, f"{ratio:.2f} x", f">= {TARGET_RATIO:g} x", _met(ratio >= TARGET_RATIO))


def _mebibytes(*sizes: float) -> list[str]:
    return [f"{size / (1 << 20):.0f} MiB" for size in sizes]


def _met(is_met: bool) -> str:
    return "yes" if is_met else "no"
