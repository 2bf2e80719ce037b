"""The metrics of requests, with the names, labels and buckets of k8s.io/apiserver (`endpoints/metrics`)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from types import TracebackType
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["InFlight", "RequestMetrics"]

_SECONDS = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5),
    *(6, 8, 10, 15, 20, 30, 45, 60),
)
_BYTES = tuple(1000 * 10**power for power in range(7))
_LABELS = ("verb", "group", "version", "resource", "subresource", "scope", "component")
_COMPONENT = "apiserver"
# What else a client may send as its method is `other`, as in k8s.io/apiserver.
_VERBS = {"GET": "GET", "HEAD": "GET", "POST": "POST", "PUT": "PUT", "PATCH": "PATCH", "DELETE": "DELETE"}
_OTHER = "other"
_READ_ONLY = ("GET", "HEAD")
_CODES = frozenset(int(status) for status in HTTPStatus)


class _Route(NamedTuple):
    """What a request is told apart by; every field has a few possible values, whatever the client sends."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    scope: str = ""


class InFlight:
    """Counts the requests of one kind that are being answered; a context manager around each of them."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge

    def __enter__(self) -> None:
        self._gauge.inc()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._gauge.dec()


class RequestMetrics:
    """Counts requests and measures their answers."""

    def __init__(self, registry: CollectorRegistry, api_versions: Iterable[tuple[str, str]]) -> None:
        self._api_versions = frozenset(api_versions)
        self._total = Counter(
            "apiserver_request_total",
            "Requests answered, by verb, API and code.",
            (*_LABELS, "code", "dry_run"),
            registry=registry,
        )
        self._seconds = Histogram(
            "apiserver_request_duration_seconds",
            "How long an answer took until it was complete, in seconds.",
            (*_LABELS, "dry_run"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._bytes = Histogram(
            "apiserver_response_sizes",
            "How large an answer's body was, in bytes.",
            _LABELS,
            buckets=_BYTES,
            registry=registry,
        )
        in_flight = Gauge(
            "apiserver_current_inflight_requests",
            "Requests being answered now.",
            ["request_kind"],
            registry=registry,
        )
        self._read_only = InFlight(in_flight.labels("readOnly"))
        self._mutating = InFlight(in_flight.labels("mutating"))
        # Looked up here, which is much faster than by labels; both have a fixed set of keys.
        self._histograms: dict[_Route, tuple[Histogram, Histogram]] = {}
        self._counters: dict[tuple[_Route, int], Counter] = {}

    def in_flight(self, method: str) -> InFlight:
        """Return the context manager for a request of this method."""
        return self._read_only if method in _READ_ONLY else self._mutating

    def observe(self, method: str, path: str, *, code: int, seconds: float, size: int) -> None:
        """Count a request that was answered; `path` is without its query."""
        route = self._route(method, path)
        histograms = self._histograms.get(route)
        if histograms is None:
            values = (route.verb, route.group, route.version, route.resource, "", route.scope, _COMPONENT)
            histograms = self._seconds.labels(*values, ""), self._bytes.labels(*values)
            self._histograms[route] = histograms
        counter = self._counters.get((route, code)) or self._counter(route, code)
        counter.inc()
        histograms[0].observe(seconds)
        histograms[1].observe(size)

    def _counter(self, route: _Route, code: int) -> Counter:
        # Only a provider's own code can be an unknown one.
        known = code if code in _CODES else code // 100 * 100 if 100 <= code <= 599 else 500
        counter: Counter = self._total.labels(
            route.verb, route.group, route.version, route.resource, "", route.scope, _COMPONENT, str(known), ""
        )
        if known == code:
            self._counters[route, code] = counter
        return counter

    def _route(self, method: str, path: str) -> _Route:
        verb = _VERBS.get(method, _OTHER)
        # "", "apis", group, version, and what the version has.
        parts = path.split("/", 4)
        if len(parts) < 4 or parts[1] != "apis" or (parts[2], parts[3]) not in self._api_versions:
            return _Route(verb)
        group, version = parts[2], parts[3]
        if len(parts) == 4 or not parts[4]:
            return _Route(verb, group, version)
        # As k8s.io/apiserver names a read that is not of one object of storage; and its names of the scopes.
        scope = "namespace" if parts[4].startswith("namespaces/") else "cluster"
        return _Route("LIST" if verb == "GET" else verb, group, version, "*", scope)
