"""What this server tells about itself: Prometheus metrics on a registry that is handed in."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

__all__ = ["Telemetry"]


class Telemetry:
    """The metrics of one server; two servers in one process have two registries."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.discovery_cut = Gauge(
            "metrics_apiserver_discovery_cut_metrics",
            "Metrics that providers list and discovery does not show, because of --discovery-limit.",
            ["group"],
            registry=registry,
        )

    def render(self) -> bytes:
        """Write every metric in Prometheus' text format."""
        return generate_latest(self.registry)
