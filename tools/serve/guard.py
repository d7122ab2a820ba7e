"""Rules for every request and every answer."""

import asyncio
import ipaddress
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "is_allowed_host"]

OWN = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
# the pages of FastAPI begin with a script that stands in them
DOCUMENTED = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " + (
    "img-src 'self' data:; connect-src 'self'; worker-src blob:"
)
DOCUMENTATION = ("/docs", "/redoc")
COOKIE = "token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
AT_ONCE = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE)  # to who is slow, or while the server ends
DRAIN_S = 5.0  # for what a client sends that nobody reads: one that cannot send all does not see the answer


class Guard:
    """Refuses requests that are for another machine, or come from another's page; says how answers may be used.

    A page elsewhere can have a name of its own point to this machine, and a browser would then let it read all answers:
    so the name that a request was sent to has to be one of ours. It can also send forms here without reading what comes
    back: browsers say where those come from.

    Parameters
    ----------
    app : ASGI application
    hosts : iterable of str
        Names of this machine; its numbers, and localhost, need not be named.
    framed_by : iterable of str
        Pages that may show ours inside theirs, as in ``https://example.org``.
    token : str
        Without which nothing is answered but /health: ``Authorization: Bearer TOKEN``, or ``/?token=TOKEN`` once in a
        browser, which keeps it. Empty: everybody is answered.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = (), framed_by: Iterable[str] = (), token: str = "") -> None:
        self.token = token
        self.app, self.hosts = app, frozenset(host.lower() for host in hosts if host)
        ancestors = " ".join(["'self'", *framed_by])
        self.frames = f"; base-uri 'none'; form-action 'self'; frame-ancestors {ancestors}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_read, is_asked_for = False, "expect" not in headers

        async def receive_and_note() -> Message:
            nonlocal is_read, is_asked_for
            is_asked_for = True
            message = await receive()
            is_read = not message.get("more_body")
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                if is_asked_for and message["status"] not in AT_ONCE:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(DRAIN_S):
                            while not is_read:
                                await receive_and_note()
                if not is_read:
                    added["Connection"] = "close"
                policy = DOCUMENTED if scope["path"].startswith(DOCUMENTATION) else OWN
                added["Content-Security-Policy"] = policy + self.frames
                added["X-Content-Type-Options"] = "nosniff"
                added["Referrer-Policy"] = "no-referrer"
            await send(message)

        answer = self._refuse(scope["method"], scope["path"], headers) or self._ask_for_token(Request(scope))
        await (answer or self.app)(scope, receive_and_note, send_with_headers)

    def _ask_for_token(self, request: Request) -> Response | None:
        if not self.token or request.scope["path"] == "/health":
            return None
        if self._is_token(request.query_params.get("token", "")):  # out of the address, which others may see
            answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return answer
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(given) or self._is_token(request.cookies.get(COOKIE, "")):
            return None
        return _refusal(HTTPStatus.UNAUTHORIZED, "missing or wrong token; send Authorization: Bearer TOKEN")

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())

    def _refuse(self, method: str, path: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        is_probe = path == "/health" and "host" not in headers  # of a load balancer, in HTTP/1.0; no browser does that
        if not is_probe and not is_allowed_host(host, self.hosts):
            return _refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"host {host[:100]!r}: not a name of this server; start it with --allowed_hosts {host[:100]}",
            )
        origin = headers.get("origin", f"//{host}").partition("//")[2].lower()
        is_own = origin == host.lower() or _name_of(origin) in self.hosts  # behind another server
        if method not in SAFE_METHODS and not is_own:
            return _refusal(
                HTTPStatus.FORBIDDEN,
                "sent by the page of another server; send it from a program, or from this server's page",
            )
        return None


def is_allowed_host(host: str, names: Iterable[str]) -> bool:
    """Whether a Host header names this machine: by its number, as localhost, or by one of its names.

    Examples
    --------
    >>> is_allowed_host("127.0.0.1:5050", []), is_allowed_host("[::1]:5050", []), is_allowed_host("Lab:80", ["lab"])
    (True, True, True)
    >>> is_allowed_host("attacker.example", ["lab"])
    False
    """
    name = _name_of(host)
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(host: str) -> str:
    """A host without its port; empty where it is none."""
    found = re.fullmatch(r"(?:\[([^%\]]*)\]|([^:]*))(?::\d*)?", host)
    return (found[1] or found[2] or "").lower().rstrip(".") if found else ""


def _refusal(status: HTTPStatus, message: str) -> JSONResponse:
    return JSONResponse({"status": "error", "code": int(status), "message": message}, status)
