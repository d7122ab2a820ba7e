"""Images segmented by a server that has the network loaded already; what it gives back is saved as our own results."""

import http.client
import io
import json
import socket
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from common.errors import InputError
from tools.segment.description import Description
from tools.segment.files import settings_of
from tools.segment.results import STEM, Result, find_mask, safe_stem

__all__ = ["Server"]

CONNECT_S = 10.0
TRIES = 20  # where its queue is full
LONGEST_WAIT_S = 30
PIECE_BYTES = 1 << 20
NOTHING: Mapping[str, Any] = MappingProxyType({})
ELSEWHERE = (".mrxs", ".oif")  # whose pixels lie in a folder beside them


@dataclass(frozen=True)
class Server:
    """A running ``tools serve`` that segments as a bundle which is loaded here would: with the same weights.

    Attributes
    ----------
    address : str
        ``http://127.0.0.1:5050``, or the path of a socket file.
    bundle : Description
        As it would be loaded here.
    token : str
        That the server asks for; empty for none.

    Raises
    ------
    InputError
        If no server answers there, it asks for another token, or what it serves is not this bundle with the same
        version, weights, backend and overrides.
    """

    address: str
    bundle: Description
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        status, content = self._ask("GET", "/bundles")
        try:
            served = {one["name"]: one["settings"] for one in json.loads(content)} if status == 200 else {}
        except (ValueError, TypeError, KeyError):
            served = {}
        if not served:
            raise self._refused(
                status, content, "no list of bundles, as `python -m tools serve` of this version has it"
            )
        if self.bundle.name not in served:
            raise InputError(
                f"--server {self.address}: serves {', '.join(served)}, not {self.bundle.name}; start one that does: "
                f"python -m tools serve {self.bundle.name}"
            )
        theirs = served[self.bundle.name]
        for key, ours in settings_of(self.bundle).items():
            if theirs.get(key) != ours:
                raise InputError(
                    f"--server {self.address}: its {self.bundle.name} has another {key} ({theirs.get(key)}, here "
                    f"{ours}); start it with the same bundle and options, or leave --server out"
                )

    def segment(
        self,
        image: Path,
        folder: Path,
        options: Mapping[str, str] = NOTHING,
        *,
        overrides: Mapping[str, object] = NOTHING,
        name: str = "the image",
        stem: str = STEM,
    ) -> Result:
        """Send an image and put what comes back into ``folder/results``; see `LoadedBundle.segment`."""
        if overrides:
            raise InputError(f"--server {self.address}: takes no settings of a single image; leave it out")
        if image.is_dir() or image.suffix.lower() in ELSEWHERE:
            raise InputError(f"{name}: is more than one file, which cannot be sent to a server; leave --server out")
        started = perf_counter()
        fields = {**options, "bundle": self.bundle.name}
        status, content = self._ask("POST", "/seg_mask?format=zip", image, f"{stem}.image", fields)
        if status != 200:
            raise self._refused(status, content, "no results", name)
        sent, output = safe_stem(f"{stem}.image"), folder / "results"
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for entry in archive.namelist():
                    own = f"{stem}{entry.removeprefix(sent)}" if entry.startswith(f"{sent}_") else entry
                    (output / Path(own).name).write_bytes(archive.read(entry))
            files = tuple(sorted(output.iterdir()))
            mask = find_mask(files, stem, self.bundle.mask_kind)  # on the grid of the image as it was read there
        except (zipfile.BadZipFile, zlib.error, ValueError) as error:
            raise InputError(f"{name}: --server {self.address}: its answer is damaged, or has no mask") from error
        return Result(mask, mask, files, perf_counter() - started, stem)

    def _ask(
        self, method: str, path: str, image: Path | None = None, filename: str = "", fields: Mapping[str, str] = NOTHING
    ) -> tuple[int, bytes]:
        """Status and body of an answer; a server whose queue is full is asked again when it says so."""
        for _ in range(TRIES):
            connection = self._connect()
            headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            body = None
            try:
                if image is not None:
                    body, more = _form(image, filename, fields)
                    headers |= more
                with suppress(
                    BrokenPipeError, ConnectionResetError
                ):  # refused before all was sent: the answer says why
                    connection.request(method, path, body, headers)
                answer = connection.getresponse()
                status, content = answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise InputError(f"--server {self.address}: broke off ({_reason(error)}); see its log") from error
            finally:
                connection.close()
            if status != http.client.TOO_MANY_REQUESTS:
                break
            waited = answer.headers.get("Retry-After", "1")
            sleep(min(int(waited) if waited.isdecimal() else 1, LONGEST_WAIT_S))
        return status, content

    def _connect(self) -> http.client.HTTPConnection:
        if "://" not in self.address:
            connection: http.client.HTTPConnection = _FileConnection(self.address)
        else:
            parts = urlsplit(self.address)
            kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
            if parts.scheme not in kinds or not parts.hostname:
                raise InputError(f"--server {self.address}: expected http://HOST:PORT, or the path of a socket file")
            connection = kinds[parts.scheme](parts.netloc, timeout=CONNECT_S)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise InputError(
                f"--server {self.address}: no server answers there ({_reason(error)}); start one with: python -m tools "
                f"serve {self.bundle.name}, and wait until it says that it is serving"
            ) from error
        connection.sock.settimeout(None)  # the server has a limit of its own
        return connection

    def _refused(self, status: int, content: bytes, missing: str, name: str = "") -> InputError:
        """What to say about an answer that holds no result."""
        try:
            message = str(json.loads(content)["message"])
        except (ValueError, TypeError, KeyError):
            message = f"answers with {missing} ({status})"
        if status == http.client.UNAUTHORIZED:
            message = "asks for a token, or another one; give --token, the word that it was started with"
        if status in (400, 413, 415, 422) and name:
            return InputError(f"{name}: {message}")
        return InputError(f"{name + ': ' if name else ''}--server {self.address}: {message}")


class _FileConnection(http.client.HTTPConnection):
    """A connection through a socket file."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONNECT_S)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def _form(image: Path, filename: str, fields: Mapping[str, str]) -> tuple[Iterator[bytes], dict[str, str]]:
    """An image and fields as the body of a form, piece by piece, and its headers."""
    boundary = uuid.uuid4().hex
    begin = f"--{boundary}\r\nContent-Disposition: form-data; name="
    texts = [f'{begin}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    quoted = safe_stem(filename)  # which is what the server makes of it
    head = "".join([*texts, f'{begin}"image"; filename="{quoted}.image"\r\n\r\n']).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    length = len(head) + image.stat().st_size + len(tail)

    def body() -> Iterator[bytes]:
        yield head
        with image.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
        yield tail

    return body(), {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
