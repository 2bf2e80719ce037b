"""`metrics-apiserver check FILE.py`: calls each function once, and prints what it would serve."""

from __future__ import annotations

import logging
from typing import TextIO

from metrics_apiserver.apis.api import Query
from metrics_apiserver.apis.custom import CUSTOM_METRICS_API
from metrics_apiserver.apis.external import EXTERNAL_METRICS_API
from metrics_apiserver.commands.table import table
from metrics_apiserver.errors import StatusError
from metrics_apiserver.factory import create_app
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo, ExternalMetricValue, MetricValue
from metrics_apiserver.provider import CustomMetricsProvider, ExternalMetricsProvider
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.settings import Settings

__all__ = ["check"]


def check(settings: Settings, namespace: str, out: TextIO) -> int:
    """Serve the functions to nobody, read each metric once in a namespace, and print it; return how many have failed.

    Raises ProviderError, and ValueError for objects that cannot be read.
    """
    server = create_app(settings)
    # A function that fails is told with its value's line, and why in the log beside it.
    logging.getLogger("metrics_apiserver").setLevel(logging.WARNING)
    server.start()
    try:
        rows = [row for info in _infos(server) for row in _rows(server, info, namespace)]
    finally:
        server.stop()
    out.writelines(f"{line}\n" for line in table(("METRIC", "OF", "VALUE"), rows))
    return sum(row[2].startswith("error: ") for row in rows)


def _infos(server: MetricsServer) -> list[CustomMetricInfo | ExternalMetricInfo]:
    found: list[CustomMetricInfo | ExternalMetricInfo] = []
    for configured in server.providers:
        provider = configured.provider
        if isinstance(provider, ExternalMetricsProvider):
            found += sorted(provider.list_all_external_metrics())
        if isinstance(provider, CustomMetricsProvider):
            found += sorted(provider.list_all_metrics())
    return found


def _rows(
    server: MetricsServer, info: CustomMetricInfo | ExternalMetricInfo, namespace: str
) -> list[tuple[str, str, str]]:
    """Read a metric in the namespace, of all objects that are known there."""
    if isinstance(info, ExternalMetricInfo):
        name = f"external {info.metric}"
        query: Query = EXTERNAL_METRICS_API.parse(("namespaces", namespace, info.metric), {})
    else:
        name = f"{info.group_resource}/{info.metric}"
        query = CUSTOM_METRICS_API.parse(_segments(info, namespace), {})
    try:
        values = server.router.read(query, audit_id="check")
    except StatusError as error:
        return [(name, "", f"error: {error.whole}")]
    return [(name, _of(value), str(value.value)) for value in values] or [(name, "", "no value")]


def _segments(info: CustomMetricInfo, namespace: str) -> tuple[str, ...]:
    resource = str(info.group_resource)
    if resource == "namespaces":
        return ("namespaces", "*", "metrics", info.metric)
    return (*(("namespaces", namespace) if info.namespaced else ()), resource, "*", info.metric)


def _of(value: MetricValue | ExternalMetricValue) -> str:
    if isinstance(value, MetricValue):
        return value.described_object.name
    return ",".join(f"{key}={label}" for key, label in sorted((value.metric_labels or {}).items())) or "the sum"
