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


def memory_rows(samples: Sequence[int]) -> list[Row]:
    """How memory grew after the warm-up, and the most there was."""
    num_first = int(WARM_UP * len(samples))
    first, last = levels(samples[num_first:])
    grown = last / first - 1
    return [
        Row(
            f"memory of the server, end of {len(samples)} requests against after {num_first}",
            f"{last / (1 << 20):.0f} MiB",
            f"{first / (1 << 20):.0f} MiB",
            f"{grown:+.1%}",
            f"< {TARGET_GROWTH:.0%}",
            _met(grown < TARGET_GROWTH),
        ),
        Row(f"memory of the server, peak of {len(samples)} readings", f"{max(samples) / (1 << 20):.0f} MiB"),
    ]


def rate_row(what: str, ours: Sequence[float], other: Sequence[float]) -> Row:
    """Medians of two ways' rates, and of their ratio within a round."""
    ratio = statistics.median(np.divide(ours, other))
    medians = (f"{statistics.median(rates):.2f} / s" for rates in (ours, other))
    return Row(what, *medians, f"{ratio:.2f} x", f">= {TARGET_RATIO:g} x", _met(ratio >= TARGET_RATIO))


def _met(is_met: bool) -> str:
    return "yes" if is_met else "no"
