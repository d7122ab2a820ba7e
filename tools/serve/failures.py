"""Why a request got no result, with its HTTP status."""

import re
from http import HTTPStatus

from tools.formats.scenes import PICKS
from tools.toolbox import OPTIONS

__all__ = ["CLIENT_CLOSED_REQUEST", "Failure", "no_room"]

CLIENT_CLOSED_REQUEST = 499  # nginx's word for it, seen in metrics only
_AS_OPTION = re.compile(rf"--({'|'.join((*OPTIONS, *PICKS))})\b( (?=[\d.]))?")


class Failure(Exception):
    """A request that cannot be answered, by a status of HTTP; perhaps when to try again.

    The message says what was found, what was expected and what to do. What it calls an option of the command line is a
    field of the request.
    """

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        message = _AS_OPTION.sub(lambda found: found[1] + ("=" if found[2] else ""), message)
        message = message.encode(errors="replace").decode()  # what a client wrote may be no text that can be sent
        super().__init__(message)
        known = status in HTTPStatus.__members__.values()
        self.status = HTTPStatus(status) if known else status
        self.message, self.retry_after_s = message, retry_after_s

    def __reduce__(self):
        return type(self), (int(self.status), self.message, self.retry_after_s)


def no_room() -> Failure:
    """The answer if the server's disk is full, or its folder cannot be written."""
    return Failure(
        HTTPStatus.INSUFFICIENT_STORAGE,
        "the server has no room for the image and its results; tell the person who runs it",
    )
