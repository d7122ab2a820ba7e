"""Why a request got no result, with its HTTP status."""

from http import HTTPStatus

__all__ = ["CLIENT_CLOSED_REQUEST", "Failure", "no_room"]

CLIENT_CLOSED_REQUEST = 499  # nginx's word for it, seen in metrics only


class Failure(Exception):
    """A request that cannot be answered, by a status of HTTP; perhaps when to try again.

    The message says what was found, what was expected and what to do.
    """

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
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
