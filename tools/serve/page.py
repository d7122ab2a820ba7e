"""The page: static files on the server's own endpoint, and the results that it shows.

What a page sends is read as any other request is. It names a result by a number that only it was given, never by a
path.
"""

import asyncio
import io
import json
import logging
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from common.errors import InputError
from common.files import replacing
from common.reading.images import read_slice
from tools.corrections import classes_of
from tools.segment.description import Description
from tools.segment.results import Result, read_mask, renamed
from tools.serve import pictures
from tools.serve.corrections import Correction
from tools.serve.endpoint import Endpoint, Received
from tools.serve.failures import Failure
from tools.serve.jobs import Job
from tools.serve.requests import MAX_FIELD_BYTES, Limited
from tools.serve.results import encode

__all__ = ["mount_page"]

logger = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
VIEW, ARCHIVE = "view.npy", "all.zip"
POLL_S = 0.3  # between two lines of progress, and so until a client that has left is noticed
MAX_ROWS = 200  # of a table on the page; the file has all
SESSION_S = 3600.0  # after which results that nobody looks at are removed
MAX_SHOWN = 100  # results that are kept; the oldest go first


def mount_page(
    app: FastAPI, samples: Mapping[str, Sequence[Path]], folder: Path, corrections: Path | None = None
) -> FastAPI:
    """Put the page at the root of a server that `create_app` gives.

    ``samples`` are images to try a bundle on, by its name; results are kept in ``folder`` while they are shown, which
    the caller removes; ``corrections`` holds a dataset of each bundle, in a folder of its name, to which corrected
    results are added.
    """
    page = _Page(app.state.endpoint, folder, corrections)
    page.endpoint.samples = samples
    hidden: dict[str, Any] = {"include_in_schema": False}
    app.add_route("/", page.index, **hidden)  # whatever a place that embeds it says behind a question mark
    app.post("/results", **hidden)(page.make_result)
    app.post("/results/{key}/forget", **hidden)(page.forget)
    app.post("/results/{key}/change", **hidden)(page.change)
    app.post("/results/{key}/keep", **hidden)(page.keep)
    app.get("/results/{key}/files/{name}", **hidden)(page.download)
    app.get("/results/{key}/{name}/{z}", **hidden)(page.draw)
    app.get("/samples/{bundle}/{index}", **hidden)(page.sample)
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


@dataclass
class _Shown:
    """A result that a page shows, in a folder of its own."""

    folder: Path
    result: Result
    stem: str
    bundle: Description
    seen: float = field(default_factory=time.monotonic)
    writing: threading.Lock = field(default_factory=threading.Lock)  # two quick clicks are two requests at once

    @property
    def kind(self) -> str:
        return self.result.labels.name.removeprefix(f"{self.result.stem}_").split(".")[0]

    @property
    def correction(self) -> Correction:
        return Correction(self.result, self.folder)

    def files(self) -> dict[str, str]:
        """Downloads of a result: the name on the page, and that of the file."""
        files = {"mask": renamed(self.result.labels, self.stem), "zip": f"{self.stem}_results.zip"}
        return files | ({"csv": renamed(self.result.table, self.stem)} if self.result.table else {})


class _Page:
    def __init__(self, endpoint: Endpoint, folder: Path, corrections: Path | None) -> None:
        self.endpoint, self.folder, self.corrections = endpoint, folder, corrections
        self.shown: dict[str, _Shown] = {}

    def index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def make_result(self, request: Request) -> Response:
        """Progress line by line as JSON, then the result; a client that leaves gives up its place in the queue."""
        folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="page-", dir=self.folder))
        try:
            received = await self.endpoint.receive(request, folder)
            if received.image_path:
                raise Failure(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the page takes uploads only")
            (folder / "job").mkdir()
            job = Job(received.bundle.name, received.image, folder / "job", received.fields, folder / VIEW)
            future = self.endpoint.dispatcher.submit(job)
        except BaseException:
            await asyncio.shield(run_in_threadpool(_remove, folder))
            raise
        return StreamingResponse(self._tell(future, received, folder), media_type="application/x-ndjson")

    def forget(self, key: str) -> Response:
        shown = self.shown.pop(key, None)
        if shown:
            _remove(shown.folder)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def draw(self, key: str, name: str, z: int, change: str = "") -> Response:
        """A slice of the image, or of the image with outlines, as PNG; another ``change`` has a browser ask again."""
        shown = self._find(key)
        view = np.load(shown.folder / VIEW, mmap_mode="r", allow_pickle=False)
        if name not in ("image", "outlines") or not 0 <= z < len(view):
            raise Failure(HTTPStatus.NOT_FOUND, "no such picture")
        picture = pictures.enlarge(view[z])
        picture = np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else picture
        if name == "outlines":
            changed = shown.correction.plane(z)
            labels = read_slice(shown.result.labels, z) if changed is None else changed
            picture = pictures.draw_outlines(picture, pictures.enlarge(labels))
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, format="PNG", compress_level=1)
        return Response(buffer.getvalue(), media_type="image/png", headers={"Cache-Control": "no-store"})

    async def change(self, key: str, request: Request) -> Response:
        """Remove an object from a result, draw, merge or split one."""
        shown = self._to_correct(key)
        limited_request = Request(request.scope, Limited(request.receive, request.headers, MAX_FIELD_BYTES))
        body = await limited_request.body()

        def change() -> None:
            with shown.writing:
                shown.correction.change(body)

        await run_in_threadpool(change)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def keep(self, key: str) -> dict[str, str]:
        """Add a result to the dataset of corrections."""
        shown = self._to_correct(key)
        dataset_dir = Path(str(self.corrections), shown.bundle.name)
        try:
            return {"name": shown.correction.keep(dataset_dir, shown.bundle, shown.stem), "dataset": dataset_dir.name}
        except InputError as error:  # which names folders of the server
            logger.error("a correction is not kept: %s", error)
            raise Failure(HTTPStatus.INSUFFICIENT_STORAGE, "it cannot be kept; see the server's log") from error

    def _to_correct(self, key: str) -> _Shown:
        shown = self._find(key)
        if not self._corrects(shown.bundle):
            raise Failure(HTTPStatus.FORBIDDEN, "nothing is kept here; start the server with --corrections FOLDER")
        return shown

    def _corrects(self, bundle: Description) -> bool:
        """Whether what the page draws, objects, is what a bundle learns."""
        return self.corrections is not None and len(classes_of(bundle)) == 1

    def download(self, key: str, name: str) -> Response:
        """A result as a file, named after the user's."""
        shown = self._find(key)
        names = shown.files()
        if name not in names:
            raise Failure(HTTPStatus.NOT_FOUND, "no such file")
        archive = shown.folder / ARCHIVE
        with shown.writing:
            if name == "zip" and not archive.exists():
                with replacing(archive) as partial:
                    partial.write_bytes(encode(shown.result, "zip", shown.stem))
        path = {"mask": shown.result.labels, "csv": shown.result.table, "zip": archive}[name]
        return _attachment(path, names[name])

    def sample(self, bundle: str, index: int) -> Response:
        """A sample image by its number."""
        paths = self.endpoint.samples.get(bundle, ())
        if not 0 <= index < len(paths):
            raise Failure(HTTPStatus.NOT_FOUND, "no such sample")
        return _attachment(paths[index], paths[index].name)

    def _find(self, key: str) -> _Shown:
        if key not in self.shown:
            raise Failure(
                HTTPStatus.NOT_FOUND, "no such result; results are removed an hour after they were last viewed"
            )
        shown = self.shown[key]
        shown.seen = time.monotonic()
        return shown

    async def _tell(self, future: Future, received: Received, folder: Path) -> AsyncIterator[str]:
        is_kept = False
        try:
            async for told in self._progress(future):
                yield _line(told)
            shown = _Shown(folder, future.result(), received.stem, received.bundle)
            about = await run_in_threadpool(_describe, shown)
            key = secrets.token_urlsafe(16)
            self._make_room()
            self.shown[key], is_kept = shown, True
            yield _line({"state": "done", "id": key, "corrects": self._corrects(received.bundle), **about})
        except Failure as failure:
            yield _line({"state": "failed", "message": failure.message})
        except Exception as error:
            logger.error("the page failed", exc_info=error)
            yield _line({"state": "failed", "message": "something went wrong; see the server's log"})
        finally:
            if not is_kept:  # a job that runs still writes there
                self.endpoint.dispatcher.leave(future)
                future.add_done_callback(lambda _: _remove(folder))

    async def _progress(self, future: Future) -> AsyncIterator[dict[str, object]]:
        """The place in the queue, then seconds, until a job is done."""
        finished, started = asyncio.wrap_future(future), time.monotonic()
        finished.add_done_callback(lambda of: of.cancelled() or of.exception())  # else a log says that nobody asked
        while not finished.done():
            before = self.endpoint.dispatcher.position(future)
            if before:
                started = time.monotonic()
                yield {"state": "waiting", "before": before}
            else:
                yield {"state": "running", "seconds": time.monotonic() - started}
            await asyncio.wait([finished], timeout=POLL_S)
        if finished.cancelled() or isinstance(finished.exception(), CancelledError):
            raise Failure(HTTPStatus.SERVICE_UNAVAILABLE, "the server is ending")

    def _make_room(self) -> None:
        """Remove results that nobody has looked at for long, and the oldest of too many."""
        oldest = sorted(self.shown, key=lambda key: self.shown[key].seen)
        late = time.monotonic() - SESSION_S
        for number, key in enumerate(oldest):
            if self.shown[key].seen < late or len(oldest) - number >= MAX_SHOWN:
                self.forget(key)


def _describe(shown: _Shown) -> dict[str, object]:
    """What the page shows about a result."""
    result, table = shown.result, {}
    num_objects = None
    if result.table:
        columns, rows = pictures.read_table(result.table)
        num_objects, table = len(rows), {"columns": columns, "rows": rows[:MAX_ROWS]}
    view = np.load(shown.folder / VIEW, mmap_mode="r", allow_pickle=False)
    labels, _ = read_mask(result.labels)
    return {
        "summary": pictures.summarize(labels, num_objects),
        "size": labels.shape[-2:],
        "seconds": result.seconds,
        "kind": shown.kind,
        "planes": len(view),
        "files": shown.files(),
        **table,
    }


def _line(told: Mapping[str, object]) -> str:
    return json.dumps(told) + "\n"


def _attachment(path: Path | None, name: str) -> Response:
    """A download, which no browser shows instead of a page; a client that is slow to take it takes no memory."""
    if path is None:
        raise Failure(HTTPStatus.NOT_FOUND, "no such file")
    headers = {"Cache-Control": "no-store"}
    return FileResponse(
        path, media_type="application/octet-stream", filename=name, headers=headers, stat_result=path.stat()
    )


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
