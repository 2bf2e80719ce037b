"""Where lines come from and go to: every logger of the process, to one handler on stderr."""

from __future__ import annotations

import io
import logging
import sys
import threading
from typing import TextIO

import structlog

from metrics_apiserver.logs.formats import formatter
from metrics_apiserver.logs.levels import URLS, level_of
from metrics_apiserver.logs.writing import LineWriter

__all__ = ["EventLogger", "configure", "dropped_lines", "flush", "get_logger", "show"]

# The packages, whose loggers have their modules' names or are children of these.
_OURS = ("metrics_apiserver", "metrics_apiserver_providers")
# It names what the cluster's client asks for, and none of its headers.
_OUTGOING = "urllib3.connectionpool"
# What the end of a process waits for a reader of the log that has stopped.
_FLUSH_SECONDS = 0.5


def configure(*, verbosity: int, as_json: bool, stream: TextIO | None = None) -> None:
    """Set the process's loggers up, again if need be; `verbosity` is klog's `-v`."""
    # No line shows them, and every record would pay for them (the standard library's own advice).
    logging.logThreads = logging.logMultiprocessing = False
    logging._srcfile = None
    root = logging.getLogger()
    stream = stream or sys.stderr
    handler = next((each for each in _handlers() if each.stream is stream), None)
    for other in _handlers():
        if other is not handler:
            root.removeHandler(other)
            other.flush()
            other.close()
    if handler is None:
        handler = _Handler(stream)
        root.addHandler(handler)
    handler.setFormatter(formatter(as_json=as_json))
    level = level_of(verbosity)
    # Libraries' own debug messages hold whole bodies, tokens among them.
    root.setLevel(max(level, logging.INFO))
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    logging.getLogger(_OUTGOING).setLevel(logging.DEBUG if level <= URLS else logging.NOTSET)


class EventLogger(structlog.BoundLoggerBase):
    """Logs events with fields, at any level of the standard library's logger that it wraps."""

    def enabled_for(self, level: int) -> bool:
        """Return whether an event of this level is written at all: ask before its fields are put together."""
        return bool(self._logger.isEnabledFor(level))

    def log(self, level: int, event: str, **fields: object) -> None:
        """Log an event."""
        if self._logger.isEnabledFor(level):
            arguments, options = self._process_event("log", event, fields)
            self._logger.log(level, *arguments, **options)


def get_logger(name: str) -> EventLogger:
    """Return a logger that takes fields: `log.log(logging.INFO, "answered", code=200)`."""
    # What a line looks like is the formatter's to say, as it is for lines that do not come through structlog.
    processors = [structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    return EventLogger(logging.getLogger(name), processors, {})


def show(text: str) -> None:
    """Write text that is not an event, after the lines so far."""
    for handler in _handlers():
        handler.write(text)


def dropped_lines() -> int:
    """Return how many lines of this process were dropped, as nobody read them in time."""
    return sum(handler.dropped for handler in _handlers())


def flush() -> None:
    """Write what is still held back, for a process that ends without the interpreter's own end.

    A reader that has stopped is waited for about a second.
    """
    for handler in _handlers():
        handler.flush()
    # Of those who print: they write, and wait, by themselves.
    thread = threading.Thread(target=_flush_streams, name="flush", daemon=True)
    thread.start()
    thread.join(_FLUSH_SECONDS)


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _handlers() -> list[_Handler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]


class _Handler(logging.Handler):
    """Formats a record on the thread that logs, as what it refers to may change, and leaves the writing to another."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self.stream = stream
        self._writer = None
        descriptor = _descriptor(stream)
        if descriptor is not None:
            self._writer = LineWriter(descriptor, self._said)

    @property
    def dropped(self) -> int:
        """How many lines were dropped."""
        return self._writer.dropped if self._writer is not None else 0

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record. Without the handler's lock: nobody waits while another's record is formatted."""
        if not self.filter(record):
            return False
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record, and queue it."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - whatever it refers to may fail
            # logging's own way out of it prints to stderr, which waits, and quotes what the record refers to.
            line = self._own(logging.ERROR, f"a line of {record.name} has no text: {type(error).__name__}")
        self.write(f"{line}\n")

    def write(self, text: str) -> None:
        """Queue text; what is in memory is written at once."""
        if self._writer is not None:
            self._writer.put(text.encode("utf-8", "backslashreplace"))
        elif self.stream is not None:
            self.stream.write(text)

    def flush(self) -> None:
        """Wait until all is written, for a moment: a reader that has stopped holds nobody."""
        if self._writer is not None:
            self._writer.flush(_FLUSH_SECONDS)

    def close(self) -> None:
        """Write no more."""
        if self._writer is not None:
            self._writer.stop()
        super().close()

    def _said(self, count: int, why: str) -> bytes:
        lines = "1 line was" if count == 1 else f"{count} lines were"
        return f"{self._own(logging.WARNING, f'{lines} dropped because {why}')}\n".encode()

    def _own(self, level: int, message: str) -> str:
        return self.format(logging.LogRecord("metrics_apiserver.logs", level, "", 0, message, None, None))


def _descriptor(stream: TextIO | None) -> int | None:
    """Return the descriptor behind a stream; None where there is none, as in memory."""
    try:
        return stream.fileno() if stream is not None else None
    except (OSError, ValueError, io.UnsupportedOperation):
        return None
