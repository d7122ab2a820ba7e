"""Files from strangers: whether they are images, and not too large."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from common.errors import InputError, one_line
from common.reading.formats import identify
from tools.convert.spacing import parse_spacing
from tools.formats.microscopes import maker_of
from tools.segment.description import Description
from tools.segment.inputs import UNREADABLE, check_kind
from tools.serve.failures import Failure
from tools.serve.jobs import Limits
from tools.serve.work import bytes_needed

__all__ = ["check_start", "check_work"]

MIB = 1 << 20


def check_start(path: Path, bundle: Description, limits: Limits) -> None:
    """Refuse a file by its size and its first bytes; nothing of it is decoded, so the server itself may do so.

    Failure 413 if it is too large, 415 if it is no image, 422 if the bundle does not take such images.
    """
    if path.stat().st_size > limits.max_upload_bytes:
        raise Failure(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"a file of {path.stat().st_size} bytes, expected at most {limits.max_upload_bytes}; crop it",
        )
    maker = maker_of(path)
    if maker == "oif" and not path.with_name(f"{path.name}.files").is_dir():
        raise Failure(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "an OIF file, whose pixels are in a folder beside it; send it as OIB, or OME-TIFF",
        )
    if maker is not None:
        return
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE if identify(path) is None else HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        check_kind(path, bundle)
    except InputError as error:
        raise Failure(status, str(error)) from error


def check_work(path: Path, bundle: Description, options: Mapping[str, str], limits: Limits) -> None:
    """Refuse a file that `check_start` let pass by the work that its header announces, before a pixel is decoded.

    It is opened as `bytes_needed` says. Failure 413 if it takes too much memory to segment, 415 if it is damaged;
    InputError if an option cannot be used.
    """
    if options.get("spacing"):
        parse_spacing(options["spacing"])
    try:
        needed = bytes_needed(path, bundle, options)
    except UNREADABLE as error:
        # where it lies is nobody's business
        told = one_line(error).replace(f"{path}: ", "").replace(f"{path}", "the image")
        if maker_of(path) is None and not isinstance(error, InputError):  # which says so itself
            told = f"begins as {identify(path)} but cannot be read ({told}); it may be damaged, export it again"
        raise Failure(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, told) from error
    if needed > limits.max_memory_bytes:
        at = " at the resolution that the bundle works at" if bundle.spacing else ""
        raise Failure(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"segmenting it{at} takes about {needed / MIB:.0f} MiB, expected at most "
            f"{limits.max_memory_bytes / MIB:.0f} MiB; crop it, or correct its spacing",
        )
