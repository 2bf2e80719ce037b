"""How a line looks: `key=value` text, or JSON. structlog gives every event as a dict, whoever logged it."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict

from metrics_apiserver.logs.hiding import hide_secrets
from metrics_apiserver.logs.levels import word_of

__all__ = ["SHOWN", "formatter"]

# The field of an event whose other fields are all such as `logs.shown` and `hide_secrets` give them: there is one
# for each request, and they need not be looked through again.
SHOWN = "_shown"

# What needs no quotes: no blank, and nothing that ends a field or begins another.
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+\Z")
# What needs quotes, and nothing within them.
_QUOTABLE = re.compile(r"[ !#-\[\]-~]*\Z")


def formatter(*, as_json: bool) -> logging.Formatter:
    """Make the formatter of every handler."""
    return _Formatter(_json if as_json else _text)


class _Formatter(ProcessorFormatter):
    """structlog's formatter, with a short path for events that come from structlog: there is one for each request."""

    def __init__(self, render: Callable[[object, str, EventDict], str]) -> None:
        super().__init__(processors=[render])
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as a line."""
        if isinstance(record.msg, dict) and hasattr(record, "_logger"):
            return self._render(None, "", {**record.msg, "_record": record, "_from_structlog": True})
        return super().format(record)


def _text(_logger: object, _method: str, event: EventDict) -> str:
    record, failure = _taken_apart(event)
    shown = event.pop(SHOWN, False) and not failure
    level = word_of(record.levelno).upper()
    message = _escaped(str(event.pop("event")))
    fields = "".join(f" {key}={_value(value)}" for key, value in event.items())
    line = f"{_time(record)} {level:<7} [{record.process}] {record.name}: {message}{fields}"
    line = line if shown else hide_secrets(line)
    if failure:
        # Indented: no line of it, whatever an exception quotes, can be taken for a line of the log.
        line += "".join(f"\n    {_escaped(each)}" for each in hide_secrets(failure).splitlines())
    return line


def _json(_logger: object, _method: str, event: EventDict) -> str:
    record, failure = _taken_apart(event)
    shown = event.pop(SHOWN, False) and not failure
    line: dict[str, Any] = {
        "time": _time(record),
        "level": word_of(record.levelno),
        "pid": record.process,
        "logger": record.name,
        "message": str(event.pop("event")),
        **event,
    }
    if failure:
        line["exception"] = failure
    try:
        encoded = orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        # Half a surrogate pair, which UTF-8 has no bytes for.
        encoded = json.dumps(line, default=str)
    escaped = _escaped(encoded, _AS_IN_JSON)
    return escaped if shown else hide_secrets(escaped)


def _taken_apart(event: EventDict) -> tuple[logging.LogRecord, str]:
    """Take the record and the exception out of an event; what stays are the message and the fields."""
    record: logging.LogRecord = event.pop("_record")
    del event["_from_structlog"]
    failure = event.pop("exc_info", None)
    stack = event.pop("stack_info", None)
    return record, _failure(failure) + (str(stack) if stack else "")


def _failure(failure: object) -> str:
    if isinstance(failure, tuple):
        failure = failure[1]
    if isinstance(failure, BaseException):
        return "".join(traceback.format_exception(failure))
    return traceback.format_exc() if failure else ""


def _time(record: logging.LogRecord) -> str:
    seconds = int(record.created)
    return f"{_second(seconds)}.{int((record.created - seconds) * 1000):03}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _value(value: object) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, str):
        if _PLAIN.match(value):
            return value
        return f'"{value}"' if _QUOTABLE.match(value) else _escaped(json.dumps(value, ensure_ascii=False))
    if isinstance(value, Mapping):
        return _escaped(json.dumps(value, ensure_ascii=False, default=str))
    return _value(str(value)) if not isinstance(value, int | float) else str(value)


class _Escapes(dict[int, str]):
    """What stands for a character in a line, for `str.translate`: itself if it prints."""

    # The alphabets that are written most; to keep all of Unicode would take a hundred megabytes.
    _KEPT = 0x3000

    def __init__(self, escape: Callable[[str], str]) -> None:
        super().__init__()
        self._escape = escape

    def __missing__(self, code: int) -> str:
        character = chr(code)
        found = character if character.isprintable() else self._escape(character)
        if code < self._KEPT:
            self[code] = found
        return found


_AS_IN_PYTHON = _Escapes(lambda character: character.encode("unicode_escape").decode())
_AS_IN_JSON = _Escapes(lambda character: json.dumps(character)[1:-1])


def _escaped(text: str, escapes: _Escapes = _AS_IN_PYTHON) -> str:
    """Escape what does not print: line ends, terminals' commands, marks that turn the direction of the text."""
    return text if text.isprintable() else text.translate(escapes)
