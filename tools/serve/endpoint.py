"""The endpoint: uploads in, masks out."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

import prometheus_client as prometheus
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from tools.formats.scenes import PICKS
from tools.segment.description import Description
from tools.segment.results import STEM, Result
from tools.serve.data_folder import find_image, keep_mask
from tools.serve.dispatcher import Dispatcher, ending
from tools.serve.failures import CLIENT_CLOSED_REQUEST, Failure
from tools.serve.jobs import Job
from tools.serve.requests import MAX_FIELD_BYTES, Limited, check_fields, read_form, read_json
from tools.serve.results import MEDIA_TYPES, SUFFIXES, choose_format, encode
from tools.serve.uploads import check_start

__all__ = ["Endpoint", "Received"]

MAX_UPLOADS = 64  # at a time; an upload that is slow takes no place of those that wait
SLOW_BYTES_PER_S = 20_000  # an upload that comes slower than this gives way to others
POLL_S = 0.2  # how often it is looked whether a waiting client is still there


@dataclass(frozen=True)
class Received:
    """A complete request: the upload, or a file below the data folder, and further facts about the image.

    ``stem`` is what the user calls the image; ``image_path`` as the request named it, empty for an upload.
    """

    bundle: Description
    image: Path
    fields: Mapping[str, str]
    stem: str
    image_path: str = ""


class _Metrics:
    """What Prometheus reads of one server, in a registry of its own."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.registry = prometheus.CollectorRegistry()
        registry = self.registry
        self.requests = prometheus.Counter(
            "seg_mask_requests", "Requests to /seg_mask by status", ["bundle", "code"], registry=registry
        )
        self.seconds = prometheus.Histogram(
            "seg_mask_seconds", "From the end of an upload to the answer", ["bundle"], registry=registry
        )
        waiting = prometheus.Gauge("seg_mask_waiting", "Images that wait", registry=registry)
        waiting.set_function(lambda: dispatcher.num_waiting)
        busy = prometheus.Gauge("seg_mask_running", "Images that are being segmented", registry=registry)
        busy.set_function(lambda: float(dispatcher.is_busy))
        replaced = prometheus.Gauge("seg_mask_workers_replaced", "Processes that were replaced", registry=registry)
        replaced.set_function(lambda: dispatcher.num_replaced)


class Endpoint:
    """The answers of the server: masks, its bundles, its health. The arguments are those of `create_app`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        bundles: Mapping[str, Description],
        data_dir: Path | None = None,
        folder: Path | None = None,
        settings: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
    ) -> None:
        self.dispatcher, self.bundles, self.data_dir, self.folder = dispatcher, bundles, data_dir, folder
        self.settings = settings
        self.limits, self.metrics = dispatcher.limits, _Metrics(dispatcher)
        self.samples: Mapping[str, Sequence[Path]] = {}
        self._uploads: dict[asyncio.Timeout, Limited] = {}
        self._is_ending = False

    async def seg_mask(self, request: Request, format: str | None = None) -> Response:
        """Segment an image: an upload to a mask, or a file below the data folder to one in its ``results``."""
        names = {"bundle": "unknown", "note": ""}
        code: int = HTTPStatus.INTERNAL_SERVER_ERROR
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
            raise
        finally:
            self.metrics.requests.labels(names["bundle"], str(int(code))).inc()

    def give_up(self) -> None:
        """End what is uploaded, waits and runs; clients get an answer. For the thread that answers them."""
        self._is_ending = True
        for upload in [*self._uploads]:
            self._end_upload(upload)
        asyncio.get_running_loop().run_in_executor(None, self.dispatcher.close)

    def list_bundles(self) -> list[dict[str, object]]:
        """The bundles that are served, and what each takes."""
        return [
            {
                "name": bundle.name,
                "task": bundle.task,
                "axes": "YX" if bundle.num_axes == 2 else "ZYX",
                "result": bundle.mask_kind,
                "fields": [*bundle.options, *PICKS],
                "backend": bundle.backend,
                "settings": self.settings.get(bundle.name, {}),
                "samples": [path.name for path in self.samples.get(bundle.name, ())],
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
        return Response(prometheus.generate_latest(self.metrics.registry), media_type=prometheus.CONTENT_TYPE_LATEST)

    async def receive(self, request: Request, folder: Path, names: dict[str, str] | None = None) -> Received:
        """Read a request, and refuse it, by a `Failure` 4xx, if what is wrong shows without opening its file.

        An upload goes to ``folder``; ``names`` gets the bundle's name as soon as it is known, for the counters.
        """
        names = {} if names is None else names
        is_json = request.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"
        upload, fields, stem = await self._read(request, folder, is_json)
        if "bundle" not in fields and len(self.bundles) > 1:
            names["note"] = f"; no bundle was named, so the first of {', '.join(self.bundles)} was asked"
        bundle = self._bundle(fields.pop("bundle", None))
        names["bundle"] = bundle.name
        image_path = fields.pop("image_path") if is_json else ""
        image = upload or find_image(self.data_dir, image_path)
        check_fields(fields, bundle)
        await run_in_threadpool(check_start, image, bundle, self.limits)
        return Received(bundle, image, fields, stem, image_path)

    async def _answer(self, request: Request, format: str | None, names: dict[str, str]) -> Response:
        folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="request-", dir=self.folder))
        try:
            received = await self.receive(request, folder, names)
            bundle, image_path, stem = received.bundle, received.image_path, received.stem
            chosen = None if image_path else choose_format(format, request.headers.get("accept"), bundle.num_axes)
            started = time.perf_counter()
            (folder / "job").mkdir()
            # an archive holds tables that name the image, as its user calls it in letters that harm nobody
            named = stem if chosen == "zip" else STEM
            place = self.data_dir if image_path else None
            job = Job(bundle.name, received.image, folder / "job", received.fields, stem=named, data_dir=place)
            result = await self._segment(request, job)
            if chosen is None:
                response: Response = await run_in_threadpool(
                    self._keep, received.image, result, Path(image_path).is_absolute()
                )
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
        receive = Limited(request.receive, request.headers, limit)
        request = Request(request.scope, receive)
        if self.dispatcher.num_waiting >= self.limits.max_queue:
            raise self.dispatcher.full()
        if len(self._uploads) >= MAX_UPLOADS:
            self._end_slowest()
        try:
            async with asyncio.timeout(self.limits.timeout_s) as timeout:
                self._uploads[timeout] = receive
                return (None, read_json(await request.body()), STEM) if is_json else await read_form(request, folder)
        except TimeoutError as error:
            if self._is_ending:
                raise ending() from error
            raise Failure(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the upload took longer than {self.limits.timeout_s:g} seconds, or was the slowest of too many",
            ) from error
        finally:
            self._uploads.pop(timeout, None)

    def _end_slowest(self) -> None:
        """Make room for an upload: some clients that send next to nothing would hold up all others."""
        slowest = min(self._uploads, key=lambda upload: self._uploads[upload].bytes_per_s)
        if self._uploads[slowest].bytes_per_s > SLOW_BYTES_PER_S:
            raise Failure(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{MAX_UPLOADS} images are being sent already; try again in a few seconds",
                retry_after_s=self.dispatcher.retry_after_s(),
            )
        self._end_upload(slowest)

    def _end_upload(self, upload: asyncio.Timeout) -> None:
        del self._uploads[upload]
        if not upload.expired():
            upload.reschedule(0)

    def _bundle(self, name: str | None) -> Description:
        if name is None:
            return next(iter(self.bundles.values()))
        if name not in self.bundles:
            raise Failure(422, f"bundle {name[:50]!r}: not served here; choose one of {', '.join(self.bundles)}")
        return self.bundles[name]

    async def _segment(self, request: Request, job: Job) -> Result:
        """The result of a job; one whose client has gone is given up."""
        future = self.dispatcher.submit(job)
        waiting = asyncio.wrap_future(future)
        while not (await asyncio.wait([waiting], timeout=POLL_S))[0]:
            if await request.is_disconnected():
                self.dispatcher.leave(future)
                await asyncio.gather(waiting, return_exceptions=True)  # it still writes to its folder
                raise ClientDisconnect
        return waiting.result()

    def _keep(self, image: Path, result: Result, is_absolute: bool) -> JSONResponse:
        """Keep the mask; its path is returned in the form in which the image's was given."""
        if self.data_dir is None:  # which `find_image` has refused
            raise TypeError("no data folder to keep a mask in")
        mask_path = keep_mask(self.data_dir, image, result)
        told = mask_path if is_absolute else mask_path.relative_to(self.data_dir.resolve())
        content = {
            "status": "success",
            "result": {"kind": mask_path.name.removeprefix(f"{image.name}_").split(".")[0], "seconds": result.seconds},
            "mask_path": told.as_posix(),
        }
        return JSONResponse(content)
