"""The application: its routes, and how it reports errors."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from common.errors import InputError, find_write_error
from tools.segment.description import Description
from tools.segment.prompts import PROMPTS
from tools.serve.dispatcher import Dispatcher
from tools.serve.endpoint import Endpoint
from tools.serve.failures import CLIENT_CLOSED_REQUEST, Failure, no_room
from tools.serve.guard import Guard
from tools.serve.requests import FIELD, check_query
from tools.serve.results import MEDIA_TYPES

__all__ = ["create_app"]

_IMAGES = "PNG, JPEG, JPEG 2000, TIFF, NIfTI, CZI, ND2, LIF, OIB, or OME-Zarr in a zip file"
_PICKS = {
    "scene": {"type": "string", "description": "which of several positions, by its name or its number from 0"},
    "channel": {"type": "string", "description": "which of several channels, by its name or its number from 0"},
    "time": {"type": "string", "description": "which of several time points, by its number from 0"},
}
_PROMPTS = {
    name: {"type": "string", "description": f"[[{', '.join(columns)}], ...] in pixels"}
    for name, columns in PROMPTS.items()
}
_LISTS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {"type": "string", "format": "binary", "description": _IMAGES},
                        "bundle": {"type": "string", "description": "where several are served"},
                        "spacing": {"type": "string", "description": "Z,Y,X in micrometres, for TIFF volumes"},
                        **_PROMPTS,
                        "pixel_size_um": {"type": "string", "description": "side of a pixel in micrometres"},
                        **_PICKS,
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
                        **dict.fromkeys(PROMPTS, _LISTS),
                        "pixel_size_um": {"type": "number"},
                        **_PICKS,
                    },
                }
            },
        },
    }
}

_ERROR = {
    "type": "object",
    "required": ["status", "code", "message"],
    "properties": {"status": {"const": "error"}, "code": {"type": "integer"}, "message": {"type": "string"}},
}


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """What may come instead of an answer, for the description of the endpoints."""
    content = {"application/json": {"schema": _ERROR}}
    return {code: {"description": HTTPStatus(code).phrase, "content": content} for code in codes}


_OF_ALL = _refusals(401, 421)  # see `Guard`
_OF_IMAGES = _refusals(400, 403, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504, 507)


def create_app(
    dispatcher: Dispatcher,
    bundles: Mapping[str, Description],
    *,
    data_dir: Path | None = None,
    folder: Path | None = None,
    allowed_hosts: Sequence[str] = (),
    framed_by: Sequence[str] = (),
    token: str = "",
    settings: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> FastAPI:
    """The application, without the page.

    Parameters
    ----------
    dispatcher : Dispatcher
        Closed when the application ends.
    bundles : mapping of str to Description
        By name; the first one is used where a request names none.
    data_dir : Path, optional
        The only folder of which images are read that a request names by path.
    folder : Path, optional
        Where requests are kept while they are answered; the system's folder for temporary files if not given.
    allowed_hosts, framed_by, token
        See `Guard`.
    settings : mapping of str to mapping
        What makes the results of each bundle, as `settings_of` gives it; /bundles tells it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(dispatcher.close)

    about: dict[str, Any] = {"title": "Microscopy segmentation", "version": "1"}
    # its /docs load nothing from elsewhere
    app = FastAPIOffline(**about, lifespan=lifespan, dependencies=[Depends(check_query)])
    endpoint = app.state.endpoint = Endpoint(dispatcher, bundles, data_dir, folder, settings)
    app.add_middleware(Guard, hosts=allowed_hosts, framed_by=framed_by, token=token)
    app.exception_handler(Failure)(_answer_failure)
    app.exception_handler(HTTPException)(_answer_http_exception)
    app.exception_handler(RequestValidationError)(_answer_wrong_request)
    app.exception_handler(ClientDisconnect)(_answer_nobody)
    for kind in (OSError, InputError):  # as which a full disk is told
        app.exception_handler(kind)(_answer_write_error)
    app.exception_handler(Exception)(_answer_any)
    app.post(
        "/seg_mask",
        openapi_extra=_BODY,
        response_class=Response,
        responses={
            200: {"content": {media_type: {} for media_type in (*MEDIA_TYPES.values(), "application/json")}},
            **_OF_ALL,
            **_OF_IMAGES,
        },
    )(endpoint.seg_mask)
    app.api_route("/seg_mask", methods=["GET", "PUT", "PATCH", "DELETE"], include_in_schema=False)(_refuse_method)
    app.get("/bundles", responses=_OF_ALL)(endpoint.list_bundles)
    app.get("/health", responses={**_refusals(421), 503: {"description": "images cannot be segmented yet"}})(
        endpoint.health
    )
    app.head("/health", include_in_schema=False)(endpoint.health)  # which load balancers ask for
    app.get("/metrics", response_class=PlainTextResponse, responses=_OF_ALL)(endpoint.show_metrics)
    return app


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


def _answer_nobody(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def _answer_write_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, FileNotFoundError):  # removed while it was being answered
        return _answer_failure(request, Failure(HTTPStatus.NOT_FOUND, "no longer there; send the image again"))
    if find_write_error(error) is None:
        raise error
    return _answer_failure(request, no_room())


def _answer_any(request: Request, error: Exception) -> JSONResponse:
    return _answer_failure(request, Failure(500, "something went wrong; see the server's log"))
