"""Which calls of providers' code have not come back in time: asked of those who wait for them, at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

__all__ = ["HangingCalls"]

# The instance's name, and which of its calls it is.
_Pairs = Callable[[], Iterable[tuple[str, str]]]


class HangingCalls(Collector):
    """Counts the calls that hang, by provider and call."""

    def __init__(self) -> None:
        self._sources: list[_Pairs] = []

    def watch(self, source: _Pairs) -> None:
        """Count what this gives: a provider's name and a call for each that hangs now."""
        self._sources.append(source)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the numbers as of now; a provider without such a call has none."""
        family = GaugeMetricFamily(
            "metrics_apiserver_provider_hanging_calls",
            "Calls of a provider's own code that have not come back in time: check, build, start, stop, list, read.",
            labels=["provider", "call"],
        )
        for labels, count in Counter(pair for source in self._sources for pair in source()).items():
            family.add_metric(labels, count)
        yield family


class AwayProviders(Collector):
    """Counts the providers that could not begin when a worker took the place of another."""

    def __init__(self) -> None:
        self._names: Callable[[], Iterable[str]] = tuple

    def watch(self, names: Callable[[], Iterable[str]]) -> None:
        """Count what this gives: the name of each provider that is away now."""
        self._names = names

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return 1 for each as of now; a provider that serves has none."""
        family = GaugeMetricFamily(
            "metrics_apiserver_provider_away",
            "Providers that could not be started again, and whose metrics are 503 meanwhile.",
            labels=["provider"],
        )
        for name in self._names():
            family.add_metric([name], 1)
        yield family
