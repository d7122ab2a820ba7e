"""Numbers as people read them: rounded, with their unit, and nouns in the right number."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

__all__ = ["interval", "number_of", "rounded"]


def rounded(number: float, unit: str = "", decimals: int = 4) -> str:
    """A number of decimals, halves rounded up as at school, and the unit if there is one."""
    return f"{Decimal(repr(number)).quantize(Decimal(10) ** -decimals, ROUND_HALF_UP)} {unit}".rstrip()


def interval(ends: Sequence[float]) -> str:
    """An interval as written in a cell."""
    return " to ".join(map(rounded, ends))


def number_of(count: int, noun: str) -> str:
    """``1 slide``, ``2 slides``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
