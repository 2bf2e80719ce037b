"""What the providers count themselves: a registry for each, told apart by the label `provider`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from metrics_apiserver.concurrency.budget import SCRAPES, Room

__all__ = ["ProviderRegistries"]

logger = logging.getLogger("metrics_apiserver")


class ProviderRegistries(Collector):
    """The registries in use, replaced as a whole.

    Each instance has its own, so that two of one kind can count the same, and one that is replaced takes its figures
    along.
    """

    def __init__(self) -> None:
        self._in_use: Mapping[str, CollectorRegistry] = {}
        self._reading = Room(SCRAPES)

    def replace(self, registries: Mapping[str, CollectorRegistry]) -> None:
        """Show these from now on, by the names of their instances."""
        self._in_use = dict(registries)

    def collect(self) -> Iterator[Metric]:
        """Return each metric once, with the samples of all that have it; a registry that fails is left out.

        So are those of all where too many hang.
        """
        families: dict[tuple[str, str], Metric] = {}
        for name, registry in self._in_use.items():
            for metric in self._read(name, registry):
                family = families.setdefault(
                    (metric.name, metric.type), Metric(metric.name, metric.documentation, metric.type, metric.unit)
                )
                family.samples += [
                    sample._replace(labels={"provider": name, **sample.labels}) for sample in metric.samples
                ]
        yield from families.values()

    def _read(self, name: str, registry: CollectorRegistry) -> list[Metric]:
        """Run the provider's own code, which may raise and may hang."""
        if not self._reading.enter():
            logger.warning("provider %s: its own metrics are left out: too many are being read already", name)
            return []
        try:
            return list(registry.collect())
        except BaseException:
            logger.exception("provider %s: its own metrics cannot be read", name)
            return []
        finally:
            self._reading.leave()
