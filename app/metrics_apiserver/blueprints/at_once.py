"""The short path: reads and probes that need nothing but memory, answered without a thread and without Flask.

Every decision is made by the functions that the views call too; whatever is not the plain case (another media type, an
identity or a decision that is not cached, any error) is left to them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from werkzeug.http import HTTP_STATUS_CODES

from metrics_apiserver.auth.request_info import RequestInfo, request_info
from metrics_apiserver.auth.user import User
from metrics_apiserver.blueprints.common_headers import COMMON_HEADERS, audit_id_of
from metrics_apiserver.blueprints.metric_reads import Served
from metrics_apiserver.blueprints.negotiation import CACHED_LENGTH, negotiate, wants_pretty
from metrics_apiserver.blueprints.observation import Answered, Observer
from metrics_apiserver.blueprints.probes import Check, failure
from metrics_apiserver.blueprints.status import status_document
from metrics_apiserver.errors import NotAcceptableError, StatusError
from metrics_apiserver.logs import DECISIONS
from metrics_apiserver.model.groups import CUSTOM_METRICS, EXTERNAL_METRICS
from metrics_apiserver.model.metrics import ExternalMetricValue, MetricValue
from metrics_apiserver.query import (
    CustomMetricQuery,
    ExternalMetricQuery,
    parse_custom_metric,
    parse_external_metric,
    parse_parameters,
)
from metrics_apiserver.schemas.encoders import JSON, encode
from metrics_apiserver.schemas.table import APIVersion, api_version
from metrics_apiserver.target import read_target

__all__ = ["AtOnce"]

_METHOD = "GET"
_READ = ("ACCEPT", "USER-AGENT", "AUDIT-ID")
_PROBES = ("/healthz", "/livez", "/readyz")
_PARSERS: dict[str, Callable[[Sequence[str], Mapping[str, str]], CustomMetricQuery | ExternalMetricQuery]]
_PARSERS = {CUSTOM_METRICS: parse_custom_metric, EXTERNAL_METRICS: parse_external_metric}
_MOST_TARGETS = 4096
_LONGEST_TARGET = 1024
# Parameters, requirements and their values: a target has room for hundreds, which take a hundred times its length.
# It is read, and kept, before anybody knows who asks.
_FEW_PARTS, _MOST_PARTS = 6, 32
_MOST_LARGE_TARGETS = 256
_PART = re.compile(r"[&,]|%2c", re.IGNORECASE)

_Made = tuple[int, str, bytes]


# Says who asks, if that and that they may is known from memory.
Known = Callable[[Sequence[tuple[str, str]], bytes | None, RequestInfo], User | None]


class Reader(Protocol):
    """Answers reads; `metrics_apiserver.dispatch.router.Router` fits it."""

    def immediate(self, query: CustomMetricQuery | ExternalMetricQuery) -> bool:
        """Whether a read is answered from memory for certain, with little work that is known before it is done."""

    def read_custom(self, query: CustomMetricQuery, *, audit_id: str) -> Sequence[MetricValue]:
        """Answer a read of a custom metric. Raises StatusError."""

    def read_external(self, query: ExternalMetricQuery, *, audit_id: str) -> Sequence[ExternalMetricValue]:
        """Answer a read of an external metric. Raises StatusError."""


class _Target(NamedTuple):
    """What a target asks for; `row` and `query` are None for a probe."""

    path: str
    info: RequestInfo
    row: APIVersion | None = None
    query: CustomMetricQuery | ExternalMetricQuery | None = None


class AtOnce:
    """Answers a plain GET from memory, or not at all; called on the worker's loop.

    `known` is None where everybody may. `probes` are the paths of the probes, with the checks of each.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        known: Known | None,
        observer: Observer,
        served: Mapping[str, Served],
        probes: Mapping[str, Mapping[str, Check]],
    ) -> None:
        self._reader = reader
        self._known = known
        self._observer = observer
        self._served = served
        self._probes = probes

    def __call__(
        self, target: str, pairs: Sequence[tuple[str, str]], certificate: bytes | None, *, close: bool = False
    ) -> bytes | None:
        """Return the whole response, or None: then it is to be answered in the ordinary way.

        `close`: it is the last one of its connection, and says so.
        """
        asked = _asked(target) if len(target) <= _LONGEST_TARGET else None
        # Whoever wants to see how things are decided is shown it by the ordinary way.
        if asked is None or self._observer.log.enabled_for(DECISIONS):
            return None
        begin = self._observer.monotonic()
        audit_id = _audit_id_of_plain(pairs)
        if audit_id is None:
            return None
        user = "-"
        if self._known is not None:
            known = self._known(pairs, certificate, asked.info)
            if known is None:
                return None
            user = known.name
        made = self._probe(asked) if asked.query is None else self._metrics(asked, asked.query, audit_id)
        if made is None:
            return None
        code, content_type, body = made
        seconds = self._observer.monotonic() - begin
        self._observer.note(
            Answered(_METHOD, asked.path, target, code, seconds, len(body), audit_id, user, "", content_type)
        )
        return _response(code, content_type, body, audit_id, close=close)

    def _probe(self, asked: _Target) -> _Made | None:
        checks = self._probes.get(asked.path)
        if checks is None or any(failure(check()) is not None for check in checks.values()):
            return None
        return 200, "text/plain; charset=utf-8", b"ok"

    def _metrics(self, asked: _Target, query: CustomMetricQuery | ExternalMetricQuery, audit_id: str) -> _Made | None:
        assert asked.row is not None
        if not self._reader.immediate(query):
            return None
        values: Sequence[Any]
        try:
            if isinstance(query, CustomMetricQuery):
                values = self._reader.read_custom(query, audit_id=audit_id)
            else:
                values = self._reader.read_external(query, audit_id=audit_id)
        except StatusError as error:
            return error.code, JSON, encode(status_document(error))
        body = encode(asked.row.dump_list(values))
        self._served[asked.row.group](values)
        return 200, JSON, body


def _asked(raw: str) -> _Target | None:
    """Read a target, as the views do; the autoscaler sends the same ones again and again."""
    found = _of_few_parts(raw)
    if isinstance(found, int):
        return _of_many_parts(raw) if found <= _MOST_PARTS else None
    return found


@lru_cache(maxsize=_MOST_TARGETS)
def _of_few_parts(raw: str) -> _Target | int | None:
    """Read a target whose query has few parts; of another give their number, as what is read of it is large."""
    parts = len(_PART.findall(raw.partition("?")[2]))
    return parts if parts > _FEW_PARTS else _read(raw)


def _read(raw: str) -> _Target | None:
    try:
        target = read_target(raw)
        segments, path, query = target.segments, target.path, target.query
        if "pretty" in query:
            return None
        info = request_info(_METHOD, target)
        if path in _PROBES and not query:
            return _Target(path, info)
        row = api_version(segments[1], segments[2]) if len(segments) > 3 and segments[0] == "apis" else None
        if row is None:
            return None
        return _Target(path, info, row, _PARSERS[row.group](segments[3:], parse_parameters(query)))
    except StatusError:
        return None


# Fewer of these are kept.
_of_many_parts = lru_cache(maxsize=_MOST_LARGE_TARGETS)(_read)


def _audit_id_of_plain(pairs: Sequence[tuple[str, str]]) -> str | None:
    """Give the audit id of a request for compact JSON; None for any other, or where a field is repeated."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in _READ:
            if name in found:
                return None
            found[name] = value
    accept = found.get("ACCEPT", "")
    # A long one is not kept when it is read, and takes milliseconds.
    if len(accept) > CACHED_LENGTH:
        return None
    try:
        media_type = negotiate(accept)
    except NotAcceptableError:
        return None
    if media_type.name != JSON or wants_pretty("", found.get("USER-AGENT", "")):
        return None
    return audit_id_of(found.get("AUDIT-ID", ""))


def _response(code: int, content_type: str, body: bytes, audit_id: str, *, close: bool) -> bytes:
    """Write the response as gunicorn and the views do together."""
    head = (
        f"HTTP/1.1 {_status_line(code)}\r\nServer: gunicorn\r\nDate: {_date(int(time.time()))}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\nAudit-Id: {audit_id}\r\n{_COMMON}\r\n"
    )
    return head.encode("ascii") + body


_COMMON = "".join(f"{name}: {value}\r\n" for name, value in COMMON_HEADERS.items())


@lru_cache(maxsize=64)
def _status_line(code: int) -> str:
    # As Werkzeug writes it.
    return f"{code} {HTTP_STATUS_CODES.get(code, 'unknown').upper()}"


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
