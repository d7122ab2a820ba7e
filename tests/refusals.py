"""What a bundle that runs refuses, however MONAI wraps the error."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from common.errors import causes

__all__ = ["refusing"]


@contextmanager
def refusing(*patterns: str) -> Iterator[None]:
    """Expect the block to end with an `InputError`, of a bundle or of the tools, in whose text all patterns are found.

    MONAI wraps what a transform, a handler or a config expression raises into RuntimeErrors.
    """
    with pytest.raises((RuntimeError, ValueError), match=".") as caught:
        yield
    error = next((cause for cause in causes(caught.value) if type(cause).__name__ == "InputError"), None)
    assert error is not None, f"not refused, but {caught.value!r}"
    for pattern in patterns:
        assert re.search(pattern, str(error)), f"{pattern!r} is not in: {error}"
