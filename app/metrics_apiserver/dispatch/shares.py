"""Places of one provider (slots, threads that wait for it), shared so that a slow metric takes its own part only."""

from __future__ import annotations

import threading
from collections import Counter

from metrics_apiserver.dispatch.subject import Subject

__all__ = ["Shares"]

# A part of the places that one metric leaves to the others, and that one namespace leaves to those that have none.
_LEFT_BY_A_METRIC, _LEFT_BY_A_NAMESPACE = 4, 8


class Shares:
    """Who has how many of a number of places, which may be another number each time.

    Of 8 a metric has 6 at most, and the metrics of one namespace have 7 together; of fewer than 4 one may have all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._metrics: Counter[Subject] = Counter()
        self._namespaces: Counter[str] = Counter()

    def enter(self, subject: Subject, places: int) -> bool:
        """Take one of so many places, if this metric may have it."""
        with self._lock:
            if self._metrics[subject] >= max(1, places - places // _LEFT_BY_A_METRIC):
                return False
            kept = places // _LEFT_BY_A_NAMESPACE if self._namespaces[subject.namespace] else 0
            if self._namespaces.total() >= places - kept:
                return False
            self._metrics[subject] += 1
            self._namespaces[subject.namespace] += 1
            return True

    def leave(self, subject: Subject) -> None:
        """Give the place back."""
        with self._lock:
            self._metrics[subject] -= 1
            self._namespaces[subject.namespace] -= 1
            # What has none is forgotten: clients choose what they read.
            self._metrics, self._namespaces = +self._metrics, +self._namespaces

    def held(self, subject: Subject) -> int:
        """Return how many places a metric has."""
        return self._metrics.get(subject, 0)
