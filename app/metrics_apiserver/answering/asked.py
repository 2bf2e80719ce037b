"""What a GET asks for, read from its target: a metric, or a probe."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from metrics_apiserver.apis.api import Query
from metrics_apiserver.apis.parameters import parse_parameters
from metrics_apiserver.apis.table import api_of
from metrics_apiserver.auth.request_info import RequestInfo, request_info
from metrics_apiserver.errors import StatusError, WouldWaitError
from metrics_apiserver.schemas.table import APIVersion, api_version
from metrics_apiserver.target import Target, read_target

__all__ = ["PROBES", "Asked", "read_asked"]

PROBES = ("healthz", "livez", "readyz")
_MOST_TARGETS = 4096
_TARGET_LENGTH = 1024
# Parameters, requirements and their values: a target has room for hundreds, which take a hundred times its length.
# It is read, and kept, before anybody knows who asks.
_FEW_PARTS, _MOST_PARTS = 6, 32
_MOST_LARGE_TARGETS = 256
_PART = re.compile(r"[&,]|%2c", re.IGNORECASE)
# `/apis/GROUP/VERSION` come before what the query grammar reads.
_PREFIX_SEGMENTS = 3


class Asked(NamedTuple):
    """What a target asks for."""

    target: Target
    info: RequestInfo
    """What a GET of it is judged by."""
    row: APIVersion | None = None
    """The version of the API that a metric is asked of; None for a probe."""
    parsed: Query | None = None
    """The query, where it was read already."""

    def query(self) -> Query:
        """Return the query. Raises StatusError for a wrong path or selector, each time anew."""
        if self.parsed is not None:
            return self.parsed
        assert self.row is not None
        parameters = parse_parameters(self.target.query)
        return api_of(self.row.group).parse(self.target.segments[_PREFIX_SEGMENTS:], parameters)


def read_asked(raw: str, *, may_wait: bool = True) -> Asked | None:
    """Return what a target asks for; None where that is neither a metric nor a probe, or cannot be read.

    The autoscaler sends the same targets again and again: they are kept. Raises WouldWaitError for one that takes long,
    where there is no time.
    """
    if len(raw) <= _TARGET_LENGTH:
        found = _of_few_parts(raw)
        if not isinstance(found, int):
            return found
        if found <= _MOST_PARTS:
            return _of_many_parts(raw)
    if not may_wait:
        raise WouldWaitError
    # Its query is read when it is known who asks.
    return _outline(raw)


@lru_cache(maxsize=_MOST_TARGETS)
def _of_few_parts(raw: str) -> Asked | int | None:
    """Read a target whose query has few parts; of another return their number, as what is read of it is large."""
    parts = len(_PART.findall(raw.partition("?")[2]))
    return parts if parts > _FEW_PARTS else _read(raw)


def _read(raw: str) -> Asked | None:
    asked = _outline(raw)
    if asked is None or asked.row is None:
        return asked
    try:
        return asked._replace(parsed=asked.query())
    except StatusError:
        return asked


def _outline(raw: str) -> Asked | None:
    """Read all of a target but its query."""
    try:
        target = read_target(raw)
        info = request_info("GET", target)
    except StatusError:
        return None
    segments = target.segments
    if segments and segments[0] in PROBES:
        return Asked(target, info)
    row = api_version(segments[1], segments[2]) if len(segments) > _PREFIX_SEGMENTS and segments[0] == "apis" else None
    return None if row is None else Asked(target, info, row)


# Fewer of these are kept.
_of_many_parts = lru_cache(maxsize=_MOST_LARGE_TARGETS)(_read)
