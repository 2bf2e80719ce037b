"""Where lines come from and go to: every logger of the process, to one handler on stderr."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

from app.logs.formats import formatter
from app.logs.levels import URLS, level_of

__all__ = ["EventLogger", "configure", "flush", "get_logger"]

# Ours: `app` and `providers` are the packages, `metrics_apiserver` what they call their loggers.
_OURS = ("metrics_apiserver", "app", "providers")
# It names what the cluster's client asks for, and none of its headers.
_OUTGOING = "urllib3.connectionpool"


def configure(*, verbosity: int, as_json: bool, stream: TextIO | None = None) -> None:
    """Set the process's loggers up, again if need be; `verbosity` is klog's `-v`."""
    # No line shows them, and every record would pay for them (the standard library's own advice).
    logging.logThreads = logging.logMultiprocessing = False
    logging._srcfile = None
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(formatter(as_json=as_json))
    root.addHandler(handler)
    level = level_of(verbosity)
    # Libraries' own debug messages hold whole bodies, tokens among them.
    root.setLevel(max(level, logging.INFO))
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    logging.getLogger(_OUTGOING).setLevel(logging.DEBUG if level <= URLS else logging.NOTSET)


class EventLogger(structlog.BoundLoggerBase):
    """Logs events with fields, at any level of the standard library's logger that it wraps."""

    def enabled_for(self, level: int) -> bool:
        """Whether an event of this level is written at all: ask before its fields are put together."""
        return bool(self._logger.isEnabledFor(level))

    def log(self, level: int, event: str, **fields: object) -> None:
        """Log an event."""
        if self._logger.isEnabledFor(level):
            arguments, options = self._process_event("log", event, fields)
            self._logger.log(level, *arguments, **options)


def get_logger(name: str) -> EventLogger:
    """Give a logger that takes fields: `log.log(logging.INFO, "answered", code=200)`."""
    # What a line looks like is the formatter's to say, as it is for lines that do not come through structlog.
    processors = [structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    return EventLogger(logging.getLogger(name), processors, {})


def flush() -> None:
    """Write what is still held back; for a process that ends without the interpreter's own end."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stdout.flush()
    sys.stderr.flush()


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic for type checkers only
    """Marks the handler as ours."""
