"""For how long what is followed has been stale: a gauge that is asked when it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

__all__ = ["FollowedMetrics"]

_NAME = "metrics_apiserver_followed_stale_seconds"
_HELP = "For how long what is followed has not been in touch, or not been in use, in seconds; 0 up to a minute."


class FollowedMetrics(Collector):
    """Shows the seconds of each followed thing by its name, as `ages` gives them."""

    def __init__(self, ages: Callable[[], Mapping[str, float]]) -> None:
        self._ages = ages

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name the metric; the registry asks for nothing else when this is registered."""
        yield GaugeMetricFamily(_NAME, _HELP, labels=["name"])

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return a sample for each followed thing."""
        family = GaugeMetricFamily(_NAME, _HELP, labels=["name"])
        for name, seconds in self._ages().items():
            family.add_metric([name], seconds)
        yield family
