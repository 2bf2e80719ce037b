"""The client that reads as the autoscaler does: its requests, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from metrics_apiserver.provider import (
    CustomMetricsProvider,
    ExternalMetricsProvider,
    ExternalMetricValue,
    MetricNotFoundError,
    Quantity,
    metric_value,
)
from metrics_apiserver.testing import Autoscaler, AutoscalerError
from tests.conformance.recorded import FOLDER

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "labels": {"app": "web"}}}
OTHER = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "labels": {"app": "web"}}}
SERIES = {"queue=orders": "1500m", "queue=mail": "100u"}


class Table(CustomMetricsProvider, ExternalMetricsProvider):
    """A value of web-0 alone, and two external series."""

    def get_metric_by_name(self, ctx: Any, name: Any, info: Any, metric_selector: Any) -> Any:
        if (name.name != "web-0" and info.namespaced) or not metric_selector.matches({"verb": "GET"}):
            raise MetricNotFoundError(info.group_resource, info.metric, name.name)
        return metric_value(self.context, name, info, "1500m")

    def get_external_metric(self, ctx: Any, namespace: Any, metric_selector: Any, info: Any) -> Any:
        now = self.context.clock.now()
        each = [(dict([labels.split("=")]), value) for labels, value in SERIES.items() if info.metric == "depth"]
        return [
            ExternalMetricValue(info.metric, now, Quantity.of(value), metric_labels=labels)
            for labels, value in each
            if metric_selector.matches(labels)
        ]


@pytest.fixture(name="autoscaler")
def _autoscaler(serve_provider: Callable[..., Autoscaler]) -> Autoscaler:
    return serve_provider(Table, None, POD, OTHER)


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        pytest.param(lambda a: a.pods_metric("default", "rps", "app=web"), {"web-0": "1500m"}, id="pods with a value"),
        pytest.param(lambda a: a.pods_metric("default", "rps"), {"web-0": "1500m"}, id="every pod"),
        pytest.param(
            lambda a: a.pods_metric("default", "rps", "app=web", "verb=GET"), {"web-0": "1500m"}, id="one series"
        ),
        pytest.param(lambda a: a.object_metric("default", "pods", "web-0", "rps"), "1500m", id="an object"),
        pytest.param(
            lambda a: a.object_metric("default", "namespaces", "default", "rps"), "1500m", id="the namespace itself"
        ),
    ],
)
def test_custom_metric_is_read(autoscaler: Autoscaler, read: Callable[[Autoscaler], Any], expected: Any) -> None:
    """Pods by their names; one object as one value."""
    found = read(autoscaler)
    assert ({name: str(value) for name, value in found.items()} if isinstance(found, dict) else str(found)) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param("", "1501m", id="all series, each rounded up to thousandths"),
        pytest.param("queue=mail", "1m", id="one"),
    ],
)
def test_external_metric_is_the_sum_of_its_series(autoscaler: Autoscaler, selector: str, expected: str) -> None:
    """In thousandths."""
    assert str(autoscaler.external_metric("default", "depth", selector)) == expected


@pytest.mark.parametrize(
    ("read", "status", "sentence"),
    [
        pytest.param(
            lambda a: a.pods_metric("default", "rps", "app=none"),
            200,
            "no metrics returned from custom metrics API",
            id="no pod matches",
        ),
        pytest.param(
            lambda a: a.external_metric("default", "unknown"),
            200,
            "no metrics returned from external metrics API",
            id="no series",
        ),
        pytest.param(
            lambda a: a.object_metric("default", "pods", "web-1", "rps"),
            404,
            "unable to fetch metrics from custom metrics API: the server could not find the metric rps for pods web-1",
            id="no value",
        ),
        pytest.param(
            lambda a: a.object_metric("default", "pods", "web-0", "rps", "verb in ("),
            400,
            "unable to fetch metrics from custom metrics API: ",
            id="a selector that is none",
        ),
    ],
)
def test_nothing_is_an_error(
    autoscaler: Autoscaler, read: Callable[[Autoscaler], Any], status: int, sentence: str
) -> None:
    """In the sentences that the events of a HorizontalPodAutoscaler have."""
    with pytest.raises(AutoscalerError) as caught:
        read(autoscaler)
    assert (caught.value.status, str(caught.value).startswith(sentence)) == (status, True), str(caught.value)


def test_requests_are_those_of_the_record(autoscaler: Autoscaler) -> None:
    """Path, query and Accept, as the real one sent them (traffic.json)."""
    asked = []
    answer = autoscaler.server.wsgi_app

    def noting(environ: dict[str, Any], start_response: Any) -> Any:
        asked.append((environ["RAW_URI"], environ["HTTP_ACCEPT"]))
        return answer(environ, start_response)

    autoscaler.server.wsgi_app = noting
    autoscaler.pods_metric("default", "packets-per-second", "app=web")
    for read in (
        lambda: autoscaler.object_metric("default", "services", "web", "rps"),
        lambda: autoscaler.external_metric("default", "my-external-metric", "foo=bar"),
    ):
        with pytest.raises(AutoscalerError):
            read()
    traffic = json.loads((FOLDER / "traffic.json").read_text(encoding="utf-8"))
    sent = [each for each in traffic if "horizontal-pod-autoscaler" in each["headers"].get("User-Agent", "")]
    assert asked == [(each["path"], each["headers"]["Accept"]) for each in sent]
