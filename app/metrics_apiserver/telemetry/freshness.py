"""How old the values are that were served: a histogram that takes a whole answer at once."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Protocol

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from metrics_apiserver.model.clock import age_seconds

__all__ = ["Freshness", "Sampled"]

_NAME = "metrics_apiserver_metric_freshness_seconds"
_HELP = "How old a value was when it was served, in seconds."
# The buckets of custom-metrics-apiserver: twenty, from a second to about six minutes.
_BOUNDS = tuple(1.364**power for power in range(20))
_TEXTS = (*(f"{bound:.12g}" for bound in _BOUNDS), "+Inf")


class Sampled(Protocol):
    """A value that knows when it was taken."""

    @property
    def timestamp(self) -> datetime | None:
        """When the sample was taken; a provider may have forgotten it."""


class _Ages:
    """The ages of one group: how many in each bucket, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * len(_TEXTS)
        self.total = 0.0
        self.lock = threading.Lock()


class Freshness(Collector):
    """Counts the ages of served values, by group.

    Not prometheus-client's own histogram: it takes a lock, and walks the buckets, for each of a thousand items.
    """

    def __init__(self, groups: Iterable[str]) -> None:
        self._groups = {group: _Ages() for group in groups}

    def observer(self, group: str, now: Callable[[], datetime]) -> Callable[[Iterable[Sampled]], None]:
        """Return what counts an answer of this group."""
        ages = self._groups[group]

        def observe(values: Iterable[Sampled]) -> None:
            moment = now()
            counts: dict[int, int] = {}
            total, bucket = 0.0, 0
            age: float | None = None
            last: datetime | None = None
            for value in values:
                if value.timestamp is None:
                    continue
                # Values of one scrape share their time.
                if value.timestamp is not last:
                    last = value.timestamp
                    age = age_seconds(last, moment)
                    bucket = 0 if age is None else bisect_left(_BOUNDS, age)
                if age is None:
                    continue
                counts[bucket] = counts.get(bucket, 0) + 1
                total += age
            with ages.lock:
                ages.total += total
                for bucket, count in counts.items():
                    ages.counts[bucket] += count

        return observe

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Return the histogram as of now."""
        family = HistogramMetricFamily(_NAME, _HELP, labels=["group"])
        for group, ages in self._groups.items():
            with ages.lock:
                counts, total = list(ages.counts), ages.total
            buckets, below = [], 0
            for text, count in zip(_TEXTS, counts, strict=True):
                below += count
                buckets.append((text, float(below)))
            family.add_metric([group], buckets=buckets, sum_value=total)
        yield family
