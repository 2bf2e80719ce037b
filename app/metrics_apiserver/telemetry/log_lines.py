"""How much of the log nobody read."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from metrics_apiserver import logs

__all__ = ["DroppedLines"]


class DroppedLines(Collector):
    """Counts the lines that the log's reader was too slow for, or that could not be written."""

    def collect(self) -> Iterator[Metric]:
        """Read the count, which the log keeps."""
        yield CounterMetricFamily(
            "metrics_apiserver_log_lines_dropped",
            "Lines of the log that were dropped because nobody read them in time.",
            value=logs.dropped_lines(),
        )
