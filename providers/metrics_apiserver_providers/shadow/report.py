"""Counts and logs what comparisons find."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

from cachetools import TTLCache
from prometheus_client import CollectorRegistry, Counter

from metrics_apiserver_providers.shadow.comparison import Comparison, Result

__all__ = ["Report"]

# A registry takes a name once, and there may be several shadows: on one registry they share the counter.
_counters: WeakKeyDictionary[CollectorRegistry, Counter] = WeakKeyDictionary()
_lock = threading.Lock()
# Of one comparison in the log, and of metrics within one interval.
_DIFFERENCES = 3
_METRICS = 100
_SENTENCES = {
    Result.FIRST_FAILED: "the first cannot answer, and the second can",
    Result.SECOND_FAILED: "the second cannot answer, and the first can",
    Result.BOTH_FAILED: "neither can answer",
}


class Report:
    """The counter of one shadow, and its lines in the log: one for a metric and result within `interval`."""

    def __init__(
        self,
        name: str,
        *,
        registry: CollectorRegistry,
        interval: float,
        timer: Callable[[], float],
        logger: logging.Logger,
    ) -> None:
        self._name = name
        self._counter = _comparisons(registry)
        self._logger = logger
        self._logged: TTLCache[Hashable, None] = TTLCache(_METRICS, interval, timer)
        self._lock = threading.Lock()
        for result in Result:
            self._counter.labels(provider=name, result=result)

    def add(self, metric: str, comparison: Comparison) -> None:
        """Count a comparison of this metric, and log what differs."""
        self._counter.labels(provider=self._name, result=comparison.result).inc()
        if comparison.result not in (Result.SAME, Result.SKIPPED) and self._is_due(metric, comparison.result):
            self._logger.warning("shadow %s: %s: %s", self._name, metric, _sentence(comparison))

    def skipped(self) -> None:
        """Count a read of which the second was not asked."""
        self._counter.labels(provider=self._name, result=Result.SKIPPED).inc()

    def _is_due(self, metric: str, result: Result) -> bool:
        with self._lock:
            self._logged.expire()
            if (metric, result) in self._logged or self._logged.currsize >= _METRICS:
                return False
            self._logged[metric, result] = None
            return True


def _comparisons(registry: CollectorRegistry) -> Counter:
    with _lock:
        counter = _counters.get(registry)
        if counter is None:
            counter = _counters[registry] = Counter(
                "metrics_apiserver_shadow_comparisons",
                "Reads that were compared between the two providers of a shadow, by what came out.",
                ["provider", "result"],
                registry=registry,
            )
        return counter


def _sentence(comparison: Comparison) -> str:
    if comparison.error is not None:
        return f"{_SENTENCES[comparison.result]}: {str(comparison.error) or type(comparison.error).__name__}"
    shown = "; ".join(str(difference) for difference in comparison.differences[:_DIFFERENCES])
    more = len(comparison.differences) - _DIFFERENCES
    return f"{shown}; and {more} more" if more > 0 else shown
