"""Connections to the server, which end when nothing is asked over them."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["HEAD_S", "Connection"]

HEAD_S = 30.0  # for the head of a request: a machine gives a server so many connections and no more


class Connection(H11Protocol):
    """Uvicorn's in pure Python, which refuses a head of more than 64 KiB, with a limit for how long one may take."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end_unless_asked()

    def on_response_complete(self) -> None:
        self._end_unless_asked()
        super().on_response_complete()

    def _end_unless_asked(self) -> None:
        """End the connection in a while if no request has come since."""
        self.loop.call_later(HEAD_S, self._end_after, self.cycle)

    def _end_after(self, last: Any) -> None:
        if self.cycle is last:
            self.transport.close()
