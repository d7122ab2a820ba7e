"""Checking all files of a run before it begins."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import InputError

__all__ = ["check_all"]


def check_all(
    items: Sequence[Mapping[str, Any]], read: Callable[[Any], Any], *, trouble: str = "images cannot be segmented"
) -> None:
    """Read every image, so that one that cannot be read stops a long run before it begins, not in the middle.

    Parameters
    ----------
    items : sequence of mapping
        Each with the path of an image under ``image``.
    read : callable
        Takes such a path; raises a ValueError or OSError where the image is refused.
    trouble : str
        What is wrong with those.

    Raises
    ------
    InputError
        If any of them is refused; it names all of those.
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
