"""The metrics of polls. Instances share a registry, and so the metrics; each has a label of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["PollMetrics"]


class _Collectors:
    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["provider"]
        self.polls = Counter(
            "metrics_apiserver_function_polls_total",
            "Runs of functions that are called by a trigger, by how they ended.",
            [*labels, "result"],
            registry=registry,
        )
        self.lateness = Histogram(
            "metrics_apiserver_function_poll_lateness_seconds",
            "How much later than planned runs began.",
            labels,
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        )
        self.strays = Gauge(
            "metrics_apiserver_function_strays",
            "Threads that have left the pool while their function hangs.",
            labels,
            registry=registry,
        )


_lock = threading.Lock()
# A registry refuses a second metric of one name, and cannot be asked for the first.
_collectors: WeakKeyDictionary[CollectorRegistry, _Collectors] = WeakKeyDictionary()


class PollMetrics:
    """Counts the polls of one instance."""

    def __init__(self, registry: CollectorRegistry, provider: str) -> None:
        with _lock:
            if registry not in _collectors:
                _collectors[registry] = _Collectors(registry)
            shared = _collectors[registry]
        self._ok = shared.polls.labels(provider=provider, result="ok")
        self._failed = shared.polls.labels(provider=provider, result="failed")
        self._lateness = shared.lateness.labels(provider=provider)
        self._strays = shared.strays.labels(provider=provider)

    def began(self, late: float) -> None:
        """Count a run that began so many seconds after its time."""
        self._lateness.observe(max(0.0, late))

    def ended(self, *, ok: bool) -> None:
        """Count a run that has ended."""
        (self._ok if ok else self._failed).inc()

    def count_strays(self, count: Callable[[], float]) -> None:
        """Return how to count the threads that have left."""
        self._strays.set_function(count)
