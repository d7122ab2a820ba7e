"""Connections to the server, which end when nothing is asked over them."""

import asyncio
import re
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_S", "Connection", "most_connections"]

MOST, FILES_OF_ONE = 1000, 4  # connections at a time; each has a socket, an upload, a copy of it, with some to spare
HEAD_S = 30.0  # for the head of a request: a machine gives a server so many connections and no more
MAX_HEAD_BYTES, MAX_HEADERS = 1 << 14, 100  # each header takes the server some microseconds, and all others wait
MAX_AHEAD_BYTES = 1 << 18  # sent before the answer to what was sent before, which wait in memory
MAX_SMALL, SMALL_BYTES = 1000, 256  # pieces of a body that are smaller than this on average: each takes the server time


def most_connections() -> int:
    """How many connections a server may hold at a time, after this process was let open as many files as it may.

    So many that each still gets its files: idle ones would else lock all others out.
    """
    if sys.platform == "win32":
        return MOST
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_OF_ONE * MOST
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST if soft == resource.RLIM_INFINITY else min(MOST, soft // FILES_OF_ONE)


class _Parser(h11.Connection):
    """Refuses a head of many lines, and a body in small pieces: a MiB of them would hold up all others for seconds."""

    def next_event(self) -> Any:
        if self.their_state is h11.IDLE:
            head = re.split(rb"\n\r?\n", self.trailing_data[0], maxsplit=1)[0]
            if head.count(b"\n") > MAX_HEADERS or len(head) > MAX_HEAD_BYTES:
                raise h11.RemoteProtocolError("a head that is too long")
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.credit = MAX_SMALL * SMALL_BYTES
        elif isinstance(event, h11.Data):
            self.credit += len(event.data) - SMALL_BYTES
            if self.credit < 0:
                raise h11.RemoteProtocolError("a body in pieces that are too small")
        return event


class Connection(H11Protocol):
    """Uvicorn's in pure Python, which refuses a head of more than 16 KiB.

    It has limits for how long a head may take, for what is sent before an answer has come, and for pieces of a body.
    Beyond ``limit_concurrency`` of Uvicorn's, which refuses further requests, the one that was idle for longest ends.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn = _Parser(h11.SERVER, MAX_HEAD_BYTES)
        self.limit = self.loop.call_later(0, lambda: None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end_unless_asked()
        if self.limit_concurrency and len(self.connections) >= self.limit_concurrency:
            self._end_idlest()

    def connection_lost(self, exc: Exception | None) -> None:
        self.limit.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self.conn.trailing_data[0]) > MAX_AHEAD_BYTES:
            self.transport.close()

    def on_response_complete(self) -> None:
        self._end_unless_asked()
        super().on_response_complete()

    def _end_idlest(self) -> None:
        idle = [other for other in self.connections if isinstance(other, Connection) and other.is_idle]
        idlest = min(idle, key=lambda other: other.limit.when())
        if idlest is not self:  # which is told, if it asks, that all others are busy
            idlest.transport.close()
            self.connections.discard(idlest)  # and does not wait for its end to be counted

    @property
    def is_idle(self) -> bool:
        is_asked = self.cycle is not None and not self.cycle.response_complete
        return not is_asked and not self.transport.get_write_buffer_size()

    def _end_unless_asked(self) -> None:
        """End the connection in a while if no request has come since."""
        self.limit.cancel()
        self.limit = self.loop.call_later(HEAD_S, self._end_after, self.cycle)

    def _end_after(self, last: Any) -> None:
        if self.cycle is last:
            self.transport.close()
