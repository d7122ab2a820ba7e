"""Connections to the server, which end when nothing is asked over them."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_S", "Connection"]

HEAD_S = 30.0  # for the head of a request: a machine gives a server so many connections and no more
MAX_HEAD_BYTES = 1 << 16
MAX_AHEAD_BYTES = 1 << 18  # sent before the answer to what was sent before, which wait in memory
MAX_SMALL, SMALL_BYTES = 1000, 256  # pieces of a body that are smaller than this on average: each takes the server time


class _Parser(h11.Connection):
    """Refuses a body in small pieces, of which a MiB would hold up all other clients for seconds."""

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.credit = MAX_SMALL * SMALL_BYTES
        elif isinstance(event, h11.Data):
            self.credit += len(event.data) - SMALL_BYTES
            if self.credit < 0:
                raise h11.RemoteProtocolError("a body in pieces that are too small")
        return event


class Connection(H11Protocol):
    """Uvicorn's in pure Python, which refuses a head of more than 64 KiB.

    It has limits for how long a head may take, for what is sent before an answer has come, and for pieces of a body.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn = _Parser(h11.SERVER, MAX_HEAD_BYTES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end_unless_asked()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self.conn.trailing_data[0]) > MAX_AHEAD_BYTES:
            self.transport.close()

    def on_response_complete(self) -> None:
        self._end_unless_asked()
        super().on_response_complete()

    def _end_unless_asked(self) -> None:
        """End the connection in a while if no request has come since."""
        self.loop.call_later(HEAD_S, self._end_after, self.cycle)

    def _end_after(self, last: Any) -> None:
        if self.cycle is last:
            self.transport.close()
