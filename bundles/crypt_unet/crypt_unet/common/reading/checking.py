"""Checking all files of a run before it begins."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import InputError

__all__ = ["check_all"]


def check_all(
    items: Sequence[Mapping[str, Any]], read: Callable[[Any], Any], *, trouble: str = "images cannot be segmented"
) -> None:
    """Read every item's ``image``, so that one that cannot be read stops a long run before it begins.

    ``read`` takes its path, and raises a ValueError or OSError where the image is refused; InputError names all of
    those, and ``trouble``, what is wrong with them.
    """
    problems = []
    for item in items:
        try:
            read(item["image"])
        except (ValueError, OSError) as error:
            problems.append(str(error))
    if len(problems) == len(items) == 1:
        raise InputError(problems[0])
    if problems:
        raise InputError(
            f"{len(problems)} of {len(items)} {trouble}, so none was: {'; '.join(problems)}; mend them or move them "
            "out of the folder"
        )
