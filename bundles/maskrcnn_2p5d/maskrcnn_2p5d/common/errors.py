"""Errors that a user can mend, and how the command line shows them."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

__all__ = ["InputError", "causes", "find_input_error", "find_write_error", "one_line", "show_input_errors_plainly"]

# what a full disk, a folder that cannot be written, and a broken drive raise
_UNWRITABLE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ENXIO", "ENODEV", "ENAMETOOLONG")
    if hasattr(errno, name)
}
# how a worker process reports an error: as text, with the traceback of the whole chain
_REPORTED = re.compile(r"^(?:\w+\.)+InputError: (.+)$", re.MULTILINE)


class InputError(ValueError):
    """Something the user gave cannot be used; the message names it, says what was expected and what to do."""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, its cause, the cause of that, and so on; each once, also where they go in a circle."""
    known: set[int] = set()
    while error is not None and id(error) not in known:
        known.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def find_input_error(error: BaseException | None) -> InputError | None:
    """First `InputError` among an exception and its causes, also one of a full disk or no permission; or None.

    MONAI wraps what a transform or a config expression raises into a RuntimeError, so the message that helps lies
    at the bottom of the chain. Of an error in a worker process of a DataLoader only the text arrives; the message is
    taken out of it.
    """
    for cause in causes(error):
        reported = _REPORTED.search(str(cause))
        if reported:
            return InputError(reported[1])
        if isinstance(cause, InputError):
            return cause
        if isinstance(cause, OSError) and cause.errno in _UNWRITABLE:
            return InputError(
                f"{cause.filename or 'a file'}: cannot be read or written ({cause.strerror}); check free space and "
                "permissions, or choose another place"
            )
    return None


def find_write_error(error: BaseException | None) -> OSError | None:
    """First error of a full disk, or of a file or folder that may not be written, among an exception and its causes."""
    found = (cause for cause in causes(error) if isinstance(cause, OSError) and cause.errno in _UNWRITABLE)
    return next(found, None)


def one_line(error: BaseException, path: str | os.PathLike[str] = "") -> str:
    """What an error says, without line ends and not for pages, of a path only the name; its kind if it says nothing."""
    if type(error) is KeyError:
        return f"{str(error)[:200]} is missing in what describes it"
    text = str(error).replace(f"{path}", Path(path).name) if path else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def show_input_errors_plainly() -> None:
    """Make an uncaught `InputError` end the program with one line instead of a traceback.

    Every other exception keeps its traceback. Does nothing where another hook is installed already.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_plainly


def _print_plainly(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    known = find_input_error(error)
    if known is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print("error:", " ".join(str(known).split()), file=sys.stderr)
