"""All metrics of one server, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Gauge, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from metrics_apiserver.telemetry.freshness import Freshness
from metrics_apiserver.telemetry.hanging import AwayProviders, HangingCalls
from metrics_apiserver.telemetry.log_lines import DroppedLines
from metrics_apiserver.telemetry.providers import ProviderMetrics
from metrics_apiserver.telemetry.registries import ProviderRegistries
from metrics_apiserver.telemetry.requests import RequestMetrics

__all__ = ["Telemetry"]


class Telemetry:
    """The metrics of one server; two servers in one process have two registries."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, registry: CollectorRegistry, *, api_versions: Iterable[tuple[str, str]] = ()) -> None:
        """Make them; `api_versions` are the (group, version) that requests are told apart by."""
        versions = tuple(api_versions)
        self.registry = registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.requests = RequestMetrics(registry, versions)
        self.freshness = Freshness(dict.fromkeys(group for group, _ in versions))
        registry.register(self.freshness)
        self.providers = ProviderMetrics()
        registry.register(self.providers)
        self.hanging = HangingCalls()
        registry.register(self.hanging)
        self.away = AwayProviders()
        registry.register(self.away)
        self.registries = ProviderRegistries()
        registry.register(self.registries)
        self.discovery_cut = Gauge(
            "metrics_apiserver_discovery_cut_metrics",
            "Metrics that providers list and discovery does not show, because of --discovery-limit.",
            ["group"],
            registry=registry,
        )
        self.certificate_expiration = Gauge(
            "metrics_apiserver_serving_certificate_expiration_timestamp_seconds",
            "When the serving certificate in use expires, in seconds since the epoch; 0 until one is in use.",
            registry=registry,
        )

        registry.register(DroppedLines())
        self.config_successful = Gauge(
            "metrics_apiserver_config_last_reload_successful",
            "Whether what the file of --config holds is in use: 1, or 0 where it was refused.",
            registry=registry,
        )
        self.config_successful.set(1)
        self.config_timestamp = Gauge(
            "metrics_apiserver_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was taken over, in seconds since the epoch.",
            registry=registry,
        )

    def render(self) -> bytes:
        """Write every metric in Prometheus' text format."""
        return generate_latest(_WithoutCreated(self.registry))


class _WithoutCreated(Collector):
    """A registry without the times of creation, which would be a third more series, and which Go's servers lack."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            if metric.type != "gauge":
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
