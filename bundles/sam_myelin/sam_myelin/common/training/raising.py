"""Errors of an engine, raised where the user sees them."""

import logging

from ignite.engine import Engine, Events

__all__ = ["ErrorRaiser"]


class ErrorRaiser:
    """Raises what goes wrong in an engine before MONAI's `StatsHandler` logs a traceback; attach it first.

    Ignite's own lines about the end of the run are left out, since the error is reported where it ends.
    """

    def attach(self, engine: Engine) -> None:
        engine.logger.addFilter(_is_not_about_the_end)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self)

    def __call__(self, engine: Engine, error: BaseException) -> None:
        raise error


def _is_not_about_the_end(record: logging.LogRecord) -> bool:
    return "terminating due to exception" not in str(record.msg)
