"""Errors about what a file holds, with the name of the file."""

from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import InputError

__all__ = ["naming"]


@contextmanager
def naming(*names: object) -> Iterator[None]:
    """Turn a ValueError about content into an InputError that starts with the names of its file and row."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(": ".join([*map(str, names), str(error)])) from error
