"""The metrics of providers: what they were asked, how long they took, what came of it, and how loaded they are.

Written by hand, like the freshness of values: prometheus-client's own take a lock for each of six figures of a read.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

__all__ = ["ProviderFigures", "ProviderLoad", "ProviderMetrics"]

_PREFIX = "metrics_apiserver_provider_"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0)
_AGES = (1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_BREAKER_STATES = {"closed": 0, "half-open": 1, "open": 2}


class ProviderLoad(NamedTuple):
    """How loaded a provider is now."""

    slots: int
    slots_in_use: int
    waiting: int
    breaker: str
    # Metrics, of a namespace each, for which it is not asked.
    refused_metrics: int


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        below, found = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found


class ProviderFigures:
    """What is counted of one provider in one API."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds = _Histogram(_SECONDS)
        self.ages = _Histogram(_AGES)
        self.hits = self.shared = self.duplicates = 0
        self.failures: dict[str, int] = {}
        self.missing: dict[str, int] = {}
        self.substituted: dict[str, int] = {}

    def called(self, seconds: float) -> None:
        """Count a call, and how long it took."""
        with self._lock:
            self.seconds.observe(seconds)

    def served(self, age: float | None) -> None:
        """Count an answer; `age` is that of its oldest sample, in seconds, and None is not counted."""
        if age is not None:
            with self._lock:
                self.ages.observe(age)

    def hit(self) -> None:
        """Count an answer that came from the cache."""
        with self._lock:
            self.hits += 1

    def joined(self) -> None:
        """Count a read that shares the call of another."""
        with self._lock:
            self.shared += 1

    def dropped(self, duplicates: int) -> None:
        """Count values that were there twice."""
        with self._lock:
            self.duplicates += duplicates

    def failed(self, reason: str) -> None:
        """Count a read that the provider could not answer."""
        with self._lock:
            self.failures[reason] = self.failures.get(reason, 0) + 1

    def empty(self, reason: str) -> None:
        """Count a read to which there was nothing."""
        with self._lock:
            self.missing[reason] = self.missing.get(reason, 0) + 1

    def substitute(self, cause: str) -> None:
        """Count a read that was answered with something else, because there was nothing, or because of an error."""
        with self._lock:
            self.substituted[cause] = self.substituted.get(cause, 0) + 1


_Labelled = tuple[tuple[str, str], ProviderFigures]


class ProviderMetrics(Collector):
    """The figures of all providers; those of one that was replaced by another of its name go on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: dict[tuple[str, str], ProviderFigures] = {}
        self._loads: dict[str, Callable[[], ProviderLoad]] = {}

    def figures(self, provider: str, api: str) -> ProviderFigures:
        """Return what counts for a provider in an API."""
        with self._lock:
            return self._figures.setdefault((provider, api), ProviderFigures())

    def watch(self, provider: str, load: Callable[[], ProviderLoad]) -> None:
        """Show how loaded a provider is, by asking this."""
        with self._lock:
            self._loads[provider] = load

    def forget(self, provider: str, load: Callable[[], ProviderLoad]) -> None:
        """Show it no more, unless another has taken the name."""
        with self._lock:
            if self._loads.get(provider) == load:
                del self._loads[provider]

    def retain(self, providers: Collection[str]) -> None:
        """Forget the figures of all but these."""
        with self._lock:
            self._figures = {key: figures for key, figures in self._figures.items() if key[0] in providers}

    def collect(self) -> Iterator[Metric]:
        """Return the figures as of now."""
        with self._lock:
            figures, loads = list(self._figures.items()), list(self._loads.items())
        yield _histogram("call_duration_seconds", "How long a call of a provider took.", figures, _seconds_of)
        yield _histogram(
            "sample_age_seconds", "How old the oldest sample of an answer was when it was served.", figures, _ages_of
        )
        yield from _counters(figures)
        yield from _gauges((name, load()) for name, load in loads)


def _seconds_of(figures: ProviderFigures) -> _Histogram:
    return figures.seconds


def _ages_of(figures: ProviderFigures) -> _Histogram:
    return figures.ages


def _histogram(
    name: str, text: str, rows: Iterable[_Labelled], pick: Callable[[ProviderFigures], _Histogram]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(_PREFIX + name, text, labels=["provider", "api"])
    for labels, figures in rows:
        histogram = pick(figures)
        family.add_metric(labels, buckets=histogram.buckets(), sum_value=histogram.total)
    return family


def _counters(rows: list[_Labelled]) -> Iterator[Metric]:
    def counter(name: str, text: str, value: Callable[[ProviderFigures], float]) -> CounterMetricFamily:
        family = CounterMetricFamily(_PREFIX + name, text, labels=["provider", "api"])
        for labels, figures in rows:
            family.add_metric(labels, value(figures))
        return family

    def by(label: str, name: str, text: str, values: Callable[[ProviderFigures], dict[str, int]]) -> Metric:
        family = CounterMetricFamily(_PREFIX + name, text, labels=["provider", "api", label])
        for labels, figures in rows:
            for key, count in values(figures).copy().items():
                family.add_metric((*labels, key), count)
        return family

    yield counter("calls", "Calls of a provider that have ended.", lambda each: sum(each.seconds.counts))
    yield counter("cache_hits", "Reads that were answered from the cache.", lambda each: each.hits)
    yield counter("shared_calls", "Reads that shared the call of an equal one under way.", lambda each: each.shared)
    yield counter("duplicates", "Values left out because they were there twice.", lambda each: each.duplicates)
    yield by("reason", "errors", "Reads that a provider could not answer.", lambda each: each.failures)
    yield by("reason", "empty", "Reads to which a provider had nothing, and no other had.", lambda each: each.missing)
    yield by(
        "cause", "substituted", "Reads answered with a value that no provider gave.", lambda each: each.substituted
    )


def _gauges(loads: Iterable[tuple[str, ProviderLoad]]) -> Iterator[Metric]:
    families = {
        name: GaugeMetricFamily(_PREFIX + name, text, labels=["provider"])
        for name, text in (
            ("slots", "How many calls of a provider may be under way at once."),
            ("slots_in_use", "Calls of a provider that are under way, late ones too."),
            ("waiting", "Reads that wait for a provider."),
            ("breaker_state", "Whether a provider is asked: 0 yes (closed), 1 for a trial (half-open), 2 no (open)."),
            ("refused_metrics", "Metrics, of a namespace each, for which a provider is not asked, as they failed."),
        )
    }
    for provider, load in loads:
        families["slots"].add_metric([provider], load.slots)
        families["slots_in_use"].add_metric([provider], load.slots_in_use)
        families["waiting"].add_metric([provider], load.waiting)
        families["breaker_state"].add_metric([provider], _BREAKER_STATES[load.breaker])
        families["refused_metrics"].add_metric([provider], load.refused_metrics)
    yield from families.values()
