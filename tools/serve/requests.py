"""What clients send: forms with a file, or JSON with a path, within limits."""

import asyncio
import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message, Receive

from tools.formats.scenes import PICKS
from tools.segment.description import Description
from tools.segment.results import safe_stem
from tools.serve.failures import Failure

__all__ = ["FIELD", "MAX_FIELD_BYTES", "Limited", "check_fields", "check_query", "read_form", "read_json"]

FIELD = "image"
MAX_FIELD_BYTES = 1 << 20
STALL_S, MIN_BYTES_PER_S = 30.0, 5000  # an upload without a byte for so long, or slower than this, is ended
HEAD_START_BYTES = 1 << 16  # which an upload is taken to have sent before it began


class Limited:
    """Receives as before, but refuses a body that is, or says that it is, too long, and one that hardly comes."""

    def __init__(self, receive: Receive, headers: Mapping[str, str], max_bytes: int) -> None:
        self._receive, self._max_bytes = receive, max_bytes
        self._announced = int(headers.get("content-length", "0"))
        self._received, self._started = 0, time.monotonic()

    @property
    def bytes_per_s(self) -> float:
        """So far; of one that has just begun it is high."""
        return (self._received + HEAD_START_BYTES) / (1 + time.monotonic() - self._started)

    async def __call__(self) -> Message:
        refused = Failure(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"an upload of more than {self._max_bytes} bytes; crop or compress the image",
        )
        if self._announced > self._max_bytes:
            raise refused
        try:
            async with asyncio.timeout(STALL_S):
                message = await self._receive()
        except TimeoutError as error:
            raise _stalled() from error
        self._received += len(message.get("body", b""))
        seconds = time.monotonic() - self._started
        if message.get("more_body") and seconds > STALL_S and self._received < seconds * MIN_BYTES_PER_S:
            raise _stalled()
        if self._received > self._max_bytes:
            raise refused
        return message


def _stalled() -> Failure:
    return Failure(HTTPStatus.REQUEST_TIMEOUT, "the upload is too slow; send the image again")


async def read_form(request: Request, folder: Path) -> tuple[Path, dict[str, str], str]:
    """The file, the other fields of a multipart body, and the file's name; the file goes to a name of ours."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Failure(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"expected multipart/form-data with a file as {FIELD}, or application/json with image_path",
        )
    charset = parse_options_header(request.headers["content-type"])[1].get(b"charset", b"utf-8")
    if charset.lower() != b"utf-8":  # Python knows some that take minutes, such as punycode, and hold the server
        raise Failure(HTTPStatus.BAD_REQUEST, f"charset {charset[:50].decode('latin-1')!r}, expected UTF-8")
    async with request.form(max_files=1, max_fields=10, max_part_size=MAX_FIELD_BYTES) as form:
        upload = next((value for value in form.values() if isinstance(value, UploadFile)), None)
        if upload is None:
            raise Failure(422, f"no file; send one, curl -F {FIELD}=@FILE")
        # only its name tells a VSI, which is refused, from the TIFF that it begins as
        path = folder / ("upload.vsi" if (upload.filename or "").lower().endswith(".vsi") else "upload")
        with path.open("wb") as file:
            await run_in_threadpool(shutil.copyfileobj, upload.file, file, 1 << 20)
        fields = _once([(name, value) for name, value in form.multi_items() if isinstance(value, str)])
    if not path.stat().st_size:
        raise Failure(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an empty file; send an image")
    return path, fields, safe_stem(upload.filename)


def read_json(body: bytes) -> dict[str, str]:
    """Fields of a JSON object, as text, ``image_path`` among them."""
    try:
        content = json.loads(body, object_pairs_hook=_once)
        path = content["image_path"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure(422, 'expected JSON with a path, {"image_path": "..."}') from error
    if not isinstance(path, str):
        raise Failure(422, "image_path: expected text")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in content.items()}


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Fields by their names; a name that comes twice is refused, as nobody knows which one is meant."""
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise Failure(422, f"{name[:50]}: given {count} times, expected once")
    return dict(pairs)


def check_query(request: Request) -> None:
    """Refuse what an address says behind its question mark and its route does not read, or says twice."""
    known = [parameter.name for parameter in request.scope["route"].dependant.query_params]
    for name in _once(request.query_params.multi_items()):
        if name not in known:
            takes = f"the address takes only {', '.join(known)}" if known else "the address takes none"
            instead = "send it as a field beside the image (curl -F), or in the JSON"
            raise Failure(422, f"?{name[:50]}=: {takes}; {instead if request.method == 'POST' else 'leave it out'}")


def check_fields(fields: Mapping[str, str], bundle: Description) -> None:
    """Refuse fields that a bundle does not use."""
    for name in fields:
        if name == FIELD:
            raise Failure(422, f"{FIELD}: text, expected a file; send it as one, curl -F {FIELD}=@FILE")
        if name not in (*bundle.options, *PICKS):
            known = ", ".join((FIELD, "bundle", *bundle.options, *PICKS))
            raise Failure(422, f"unknown field {name[:50]!r}; {bundle.name} knows {known}")
