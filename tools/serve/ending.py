"""A server that stops within a given time when asked to, whatever runs in it."""

import asyncio
import faulthandler
import os
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

__all__ = ["EndingServer"]

# of the time to end: for images that are being segmented, and for telling who still waits
TO_SEGMENT, TO_TELL = 0.5, 0.85


class EndingServer(uvicorn.Server):
    """Uvicorn's server with a last moment: ``grace_s`` seconds after the first signal the process is gone.

    What it leaves behind, its kernel ends and its next start removes. When half of that time is over, ``give_up`` ends
    what requests wait for.
    """

    def __init__(self, config: uvicorn.Config, grace_s: float, give_up: Callable[[], None]) -> None:
        # what uvicorn types as whole seconds it only waits for
        config.timeout_graceful_shutdown = TO_TELL * grace_s  # type: ignore[assignment]
        super().__init__(config)
        self.grace_s, self.give_up = grace_s, give_up

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(TO_SEGMENT * self.grace_s, self.give_up)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            # a thread that needs no turn of Python's, which a library that hangs would not give it
            nowhere = os.open(os.devnull, os.O_WRONLY)
            faulthandler.dump_traceback_later(self.grace_s, exit=True, file=nowhere)
        super().handle_exit(sig, frame)
