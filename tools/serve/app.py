"""The endpoint: uploads in, masks out."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tools.segment.description import Description
from tools.segment.results import STEM, Result, safe_stem
from tools.serve.data_folder import find_image, keep_mask
from tools.serve.dispatcher import Dispatcher
from tools.serve.failures import Failure
from tools.serve.jobs import Job
from tools.serve.metrics import Metrics
from tools.serve.results import MEDIA_TYPES, SUFFIXES, choose_format, encode
from tools.serve.uploads import check_upload

__all__ = ["create_app"]

FIELD = "image"
MAX_FIELD_BYTES = 1 << 20
POLL_S = 0.2  # how often it is looked whether a waiting client is still there
CLIENT_CLOSED_REQUEST = 499  # nginx's word for it, seen in metrics only

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {"type": "string", "format": "binary", "description": "PNG, JPEG, TIFF or NIfTI"},
                        "bundle": {"type": "string", "description": "where several are served"},
                        "spacing": {"type": "string", "description": "Z,Y,X in micrometres, for TIFF volumes"},
                        "boxes": {"type": "string", "description": "[[x_min, y_min, x_max, y_max], ...] in pixels"},
                        "pixel_size_um": {"type": "string", "description": "side of a pixel in micrometres"},
                    },
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["image_path"],
                    "properties": {
                        "image_path": {"type": "string", "description": "below the server's data folder"},
                        "bundle": {"type": "string"},
                        "spacing": {"type": "string"},
                        "boxes": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
                        "pixel_size_um": {"type": "number"},
                    },
                }
            },
        },
    }
}


def create_app(dispatcher: Dispatcher, bundles: Mapping[str, Description], *, data_dir: Path | None = None) -> FastAPI:
    """The application, without the page.

    Parameters
    ----------
    dispatcher : Dispatcher
        Closed when the application ends.
    bundles : mapping of str to Description
        By name; the first one is used where a request names none.
    data_dir : Path, optional
        The only folder of which images are read that a request names by path.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(dispatcher.close)

    # its /docs load nothing from elsewhere
    app = FastAPIOffline(title="Microscopy segmentation", version="1", lifespan=lifespan)
    endpoint = _Endpoint(dispatcher, bundles, data_dir)
    app.exception_handler(Failure)(_answer_failure)
    app.exception_handler(HTTPException)(_answer_http_exception)
    app.exception_handler(RequestValidationError)(_answer_wrong_request)
    app.exception_handler(Exception)(_answer_any)
    app.post(
        "/seg_mask",
        openapi_extra=_BODY,
        response_class=Response,
        responses={200: {"content": {media_type: {} for media_type in MEDIA_TYPES.values()}}},
    )(endpoint.seg_mask)
    # else the page, which takes all other paths, would answer
    app.api_route("/seg_mask", methods=["GET", "PUT", "PATCH", "DELETE"], include_in_schema=False)(_refuse_method)
    app.get("/bundles")(endpoint.list_bundles)
    app.get("/health")(endpoint.health)
    app.get("/metrics", response_class=Response)(endpoint.show_metrics)
    return app


class _Endpoint:
    def __init__(self, dispatcher: Dispatcher, bundles: Mapping[str, Description], data_dir: Path | None) -> None:
        self.dispatcher, self.bundles, self.data_dir = dispatcher, bundles, data_dir
        self.limits, self.metrics = dispatcher.limits, Metrics(dispatcher)
        self.num_uploading = 0

    async def seg_mask(self, request: Request, format: str | None = None) -> Response:
        """Segment an image: an upload to a mask, or a file below the data folder to one in its ``results``."""
        names = {"bundle": "unknown", "note": ""}
        code = HTTPStatus.INTERNAL_SERVER_ERROR
        try:
            response = await self._answer(request, format, names)
            code = response.status_code
            return response
        except Failure as failure:
            code = failure.status
            if code == HTTPStatus.UNPROCESSABLE_ENTITY:
                failure.message += names["note"]
            raise
        except ClientDisconnect:
            code = CLIENT_CLOSED_REQUEST
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        finally:
            self.metrics.requests.labels(names["bundle"], str(int(code))).inc()

    def list_bundles(self) -> list[dict[str, object]]:
        """The bundles that are served, and what each takes."""
        return [
            {
                "name": bundle.name,
                "task": bundle.task,
                "axes": "YX" if bundle.num_axes == 2 else "ZYX",
                "result": bundle.mask_kind,
                "fields": list(bundle.options),
                "backend": bundle.backend,
            }
            for bundle in self.bundles.values()
        ]

    def health(self) -> JSONResponse:
        """Whether images can be segmented, and the queue."""
        worker = self.dispatcher.worker
        is_ready = worker is not None and worker.is_alive
        queue = {
            "waiting": self.dispatcher.num_waiting,
            "running": int(self.dispatcher.is_busy),
            "limit": self.limits.max_queue,
            "seconds_per_image": round(self.dispatcher.seconds_per_job, 3),
        }
        content = {
            "status": "ok" if is_ready else "starting",
            "bundles": list(self.bundles),
            "queue": queue,
            "done": self.dispatcher.num_done,
            "workers_replaced": self.dispatcher.num_replaced,
        }
        return JSONResponse(content, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)

    def show_metrics(self) -> Response:
        """Counters for Prometheus."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def _answer(self, request: Request, format: str | None, names: dict[str, str]) -> Response:
        is_json = request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"
        folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="serve-"))
        try:
            upload, fields, stem = await self._read(request, folder, is_json)
            if "bundle" not in fields and len(self.bundles) > 1:
                names["note"] = f"; the request names no bundle, of {', '.join(self.bundles)} the first one was asked"
            bundle = self._bundle(fields.pop("bundle", None))
            names["bundle"] = bundle.name
            chosen = None if is_json else choose_format(format, request.headers.get("accept"), bundle.num_axes)
            image_path = fields.pop("image_path") if is_json else ""
            image = find_image(self.data_dir, image_path) if is_json else upload
            _check_fields(fields, bundle)
            await run_in_threadpool(check_upload, image, bundle, self.limits)
            started = time.perf_counter()
            (folder / "job").mkdir()
            result = await self._segment(request, Job(bundle.name, image, folder / "job", fields))
            if is_json:
                response = await run_in_threadpool(self._keep, image, result, Path(image_path).is_absolute())
            else:
                content = await run_in_threadpool(encode, result, chosen, stem)
                name = f"{stem}_{bundle.mask_kind if chosen != 'zip' else 'results'}{SUFFIXES[chosen]}"
                headers = {"Content-Disposition": f'attachment; filename="{name}"'}
                response = Response(content, media_type=MEDIA_TYPES[chosen], headers=headers)
            self.metrics.seconds.labels(bundle.name).observe(time.perf_counter() - started)
            return response
        finally:
            await asyncio.shield(run_in_threadpool(shutil.rmtree, folder, ignore_errors=True))

    async def _read(self, request: Request, folder: Path, is_json: bool) -> tuple[Path | None, dict[str, str], str]:
        """The uploaded file, the other fields, and what the user calls the file."""
        limit = MAX_FIELD_BYTES if is_json else self.limits.max_upload_bytes + MAX_FIELD_BYTES
        request = Request(request.scope, _limited(request.receive, request.headers, limit))
        if self.num_uploading + self.dispatcher.num_waiting >= self.limits.max_queue:
            async for _ in request.stream():  # a client that cannot send all does not see the answer
                pass
            raise self.dispatcher.full()
        self.num_uploading += 1
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                return (None, _json_fields(await request.body()), STEM) if is_json else await _form(request, folder)
        except TimeoutError as error:
            raise Failure(
                HTTPStatus.REQUEST_TIMEOUT, f"the upload took longer than {self.limits.timeout_s:g} seconds"
            ) from error
        finally:
            self.num_uploading -= 1

    def _bundle(self, name: str | None) -> Description:
        if name is None:
            return next(iter(self.bundles.values()))
        if name not in self.bundles:
            raise Failure(422, f"bundle {name[:50]!r}: not served here; choose one of {', '.join(self.bundles)}")
        return self.bundles[name]

    async def _segment(self, request: Request, job: Job) -> Result:
        """The result of a job; one whose client has gone is taken out of the queue."""
        future = self.dispatcher.submit(job)
        waiting = asyncio.wrap_future(future)
        while not (await asyncio.wait([waiting], timeout=POLL_S))[0]:
            if await request.is_disconnected() and future.cancel():
                raise ClientDisconnect
        return waiting.result()

    def _keep(self, image: Path, result: Result, is_absolute: bool) -> JSONResponse:
        """Keep the mask; its path is told as that of the image was given."""
        mask_path = keep_mask(self.data_dir, image, result)
        told = mask_path if is_absolute else mask_path.relative_to(self.data_dir.resolve())
        content = {
            "status": "success",
            "result": {"kind": mask_path.name.removeprefix(f"{image.name}_").split(".")[0], "seconds": result.seconds},
            "mask_path": told.as_posix(),
        }
        return JSONResponse(content)


def _limited(receive, headers: Mapping[str, str], max_bytes: int):
    """Receive as before, but refuse a body that is, or says that it is, too long."""
    refused = Failure(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an upload of more than {max_bytes} bytes; crop or compress the image"
    )
    received = 0

    async def limited():
        nonlocal received
        announced = headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > max_bytes:
            raise refused
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise refused
        return message

    return limited


async def _form(request: Request, folder: Path) -> tuple[Path, dict[str, str], str]:
    """The file, the other fields of a multipart body, and the file's name; the file goes to a name of ours."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Failure(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"expected multipart/form-data with a file as {FIELD}, or application/json with image_path",
        )
    async with request.form(max_files=1, max_fields=10, max_part_size=MAX_FIELD_BYTES) as form:
        upload = next((value for value in form.values() if isinstance(value, UploadFile)), None)
        if upload is None:
            raise Failure(422, f"no file; send one, curl -F {FIELD}=@FILE")
        path = folder / "upload"
        with path.open("wb") as file:
            await run_in_threadpool(shutil.copyfileobj, upload.file, file, 1 << 20)
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    if not path.stat().st_size:
        raise Failure(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an empty file; send an image")
    return path, fields, safe_stem(upload.filename)


def _json_fields(body: bytes) -> dict[str, str]:
    try:
        content = json.loads(body)
        path = content["image_path"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Failure(422, 'expected JSON with a path, {"image_path": "..."}') from error
    if not isinstance(path, str):
        raise Failure(422, "image_path: expected text")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in content.items()}


def _check_fields(fields: Mapping[str, str], bundle: Description) -> None:
    for name in fields:
        if name not in bundle.options:
            known = ", ".join((FIELD, "bundle", *bundle.options))
            raise Failure(422, f"unknown field {name[:50]!r}; {bundle.name} knows {known}")


def _refuse_method() -> None:
    raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, "send images by POST", {"Allow": "POST"})


def _answer_failure(request: Request, failure: Failure) -> JSONResponse:
    headers = {"Retry-After": str(failure.retry_after_s)} if failure.retry_after_s else {}
    content = {"status": "error", "code": int(failure.status), "message": failure.message}
    return JSONResponse(content, failure.status, headers)


def _answer_http_exception(request: Request, error: HTTPException) -> JSONResponse:
    content = {"status": "error", "code": error.status_code, "message": str(error.detail)}
    return JSONResponse(content, error.status_code, error.headers)


def _answer_wrong_request(request: Request, error: RequestValidationError) -> JSONResponse:
    return _answer_failure(request, Failure(422, "; ".join(problem["msg"] for problem in error.errors())))


def _answer_any(request: Request, error: Exception) -> JSONResponse:
    return _answer_failure(request, Failure(500, "something went wrong; the server's log says what"))
