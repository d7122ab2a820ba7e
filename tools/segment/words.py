"""What went wrong with an image, in words for the user."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import InputError, causes
from tools.segment.results import STEM

__all__ = ["find_input_error", "for_user", "refusing"]


@contextmanager
def refusing() -> Iterator[None]:
    """Raise what a bundle refuses, which MONAI wraps, as an `InputError` of ours."""
    try:
        yield
    except Exception as error:
        known = find_input_error(error)
        if known is None:
            raise
        raise InputError(known) from error


def find_input_error(error: BaseException | None) -> str | None:
    """Message of an `InputError`, the toolbox's or a bundle's, among an exception and its causes; or None."""
    found = (str(cause) for cause in causes(error) if type(cause).__name__ == InputError.__name__)
    return next((" ".join(message.split()) for message in found), None)


def for_user(message: str, image: Path, folder: Path, name: str, stem: str = STEM) -> str:
    """A bundle's message about an image, which it saw as ``stem`` in a folder of ours, with the user's name of it."""
    if stem != STEM:
        message = message.replace(f" in {folder / 'images'};", f" in {image.parent};")
    for place in (folder / "images", folder / "results", folder):  # names of ours are no help
        message = message.replace(f"{place}/", "").replace(f"{place.resolve()}/", "")
    if stem == STEM:
        message = message.replace(f"{stem}_prompts.tsv", "prompts")  # as which they are written
    message = re.sub(
        rf"(?<![\w/]){re.escape(stem)}(\.nii\.gz|\.nii|\.tiff?|\.png|\.jpg)\b", lambda found: name, message
    )
    return message.replace(f"{image}", name)
