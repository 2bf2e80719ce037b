"""`/metrics`: the names and labels of k8s.io/apiserver, and no value of a label that a client chose."""

from __future__ import annotations

import dataclasses
import random
import string
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client

from metrics_apiserver.model.groups import CUSTOM_METRICS, EXTERNAL_METRICS
from metrics_apiserver.schemas.table import API_VERSIONS
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.telemetry import Freshness
from tests.conftest import asker
from tests.fakes import NOON

CUSTOM, EXTERNAL = f"/apis/{CUSTOM_METRICS}/v1beta2", f"/apis/{EXTERNAL_METRICS}/v1beta1"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(client: Client) -> Samples:
    """Read `/metrics` as Prometheus does: (name, labels) → value."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def of(found: Samples, name: str) -> list[tuple[dict[str, str], float]]:
    """Give the series of one name."""
    return [(dict(labels), value) for (series, labels), value in found.items() if series == name]


def route(verb: str, group: str = "", version: str = "", resource: str = "", scope: str = "") -> dict[str, str]:
    here = {"verb": verb, "group": group, "version": version, "resource": resource, "scope": scope}
    return {**here, "subresource": "", "component": "apiserver"}


@pytest.mark.parametrize(
    ("method", "path", "code", "labels"),
    [
        pytest.param(
            "GET",
            f"{EXTERNAL}/namespaces/default/my-external-metric",
            200,
            route("LIST", EXTERNAL_METRICS, "v1beta1", "*", "namespace"),
            id="an external metric",
        ),
        pytest.param(
            "GET",
            f"{CUSTOM}/namespaces/shop/pods/cart-1/nothing",
            404,
            route("LIST", CUSTOM_METRICS, "v1beta2", "*", "namespace"),
            id="a metric of a pod that is not there",
        ),
        pytest.param(
            "GET",
            f"{CUSTOM}/nodes/node-1/m",
            404,
            route("LIST", CUSTOM_METRICS, "v1beta2", "*", "cluster"),
            id="a metric of a node",
        ),
        pytest.param(
            "DELETE",
            f"{CUSTOM}/namespaces/shop/pods/cart-1/m",
            405,
            route("DELETE", CUSTOM_METRICS, "v1beta2", "*", "namespace"),
            id="a method that is refused",
        ),
        pytest.param("GET", CUSTOM, 200, route("GET", CUSTOM_METRICS, "v1beta2"), id="the resources of a version"),
        pytest.param("GET", f"{CUSTOM}/", 200, route("GET", CUSTOM_METRICS, "v1beta2"), id="with a slash"),
        pytest.param("GET", "/apis/made.up/v1", 404, route("GET"), id="a group that is not served"),
        pytest.param("GET", f"/apis/{CUSTOM_METRICS}/v9/m", 404, route("GET"), id="a version that is not served"),
        pytest.param("GET", "/apis", 200, route("GET"), id="the groups"),
        pytest.param("HEAD", "/livez", 200, route("GET"), id="a probe"),
        pytest.param("BREW", "/coffee", 404, route("other"), id="a method that nobody knows"),
    ],
)
def test_request_is_counted_under_fixed_labels(
    client: Client, method: str, path: str, code: int, labels: dict[str, str]
) -> None:
    """Once in the counter, once in each histogram, with upstream's labels and no others."""
    before = samples(client)
    assert asker(client)(method, path, {}).status == code
    after = samples(client)

    def rise(name: str, **more: str) -> float:
        series = (name, frozenset({**labels, **more}.items()))
        return after[series] - before.get(series, 0)

    # Each reading of /metrics is a GET that is no API's.
    own = 1 if labels == route("GET") else 0
    assert rise("apiserver_request_total", code=str(code), dry_run="") == 1 + (own if code == 200 else 0)
    assert rise("apiserver_request_duration_seconds_count", dry_run="") == 1 + own
    assert rise("apiserver_response_sizes_count") == 1 + own


def test_buckets_are_upstreams(client: Client) -> None:
    """The same limits, so that the same dashboards and alerts work."""
    client.get(f"{EXTERNAL}/namespaces/default/my-external-metric")
    found = samples(client)

    def limits(name: str) -> list[float]:
        return sorted({float(labels["le"]) for labels, _ in of(found, f"{name}_bucket")})

    seconds = limits("apiserver_request_duration_seconds")
    assert (len(seconds), seconds[:3], seconds[-2:]) == (24, [0.005, 0.025, 0.05], [60, float("inf")])
    assert limits("apiserver_response_sizes") == [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, float("inf")]
    ages = limits("metrics_apiserver_metric_freshness_seconds")
    assert (len(ages), ages[0]) == (21, 1)
    assert ages[:-1] == pytest.approx([1.364**power for power in range(20)])


def test_sizes_are_of_the_body(client: Client) -> None:
    """The bytes that the client got; none for HEAD."""
    body = client.get("/version").data
    client.head("/livez")
    ((_, total),) = [
        (labels, value)
        for labels, value in of(samples(client), "apiserver_response_sizes_sum")
        if labels == route("GET")
    ]
    assert total == len(body)


def test_requests_in_flight_are_of_two_kinds(client: Client) -> None:
    """Whoever reads this is in flight."""
    found = of(samples(client), "apiserver_current_inflight_requests")
    assert sorted((labels["request_kind"], value) for labels, value in found) == [("mutating", 0), ("readOnly", 1)]


def test_figures_of_the_process_and_of_python_are_there(client: Client) -> None:
    """And no times of creation, which would be as many series again."""
    names = {name for name, _ in samples(client)}
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info", "python_gc_collections_total"} <= names
    assert not [name for name in names if name.endswith("_created")]


def test_ten_thousand_random_requests_add_no_series(client: Client) -> None:
    """Every label has one of a fixed set of values, whatever the paths and the methods are."""
    chance = random.Random(4)
    words = [
        "apis",
        CUSTOM_METRICS,
        EXTERNAL_METRICS,
        "v1beta1",
        "v1beta2",
        "namespaces",
        "metrics",
        "pods",
        "*",
        "readyz",
    ]
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    def word() -> str:
        if chance.random() < 0.7:
            return chance.choice(words)
        return "".join(chance.choices(string.ascii_letters + "%/.é\n", k=chance.randint(1, 12)))

    ask = asker(client)
    for _ in range(10_000):
        path = "/" + "/".join(word() for _ in range(chance.randint(0, 7)))
        method = (
            chance.choice(methods) if chance.random() < 0.7 else "".join(chance.choices(string.ascii_uppercase, k=6))
        )
        ask(method, path, {})
    served = {("", "")} | {(row.group, row.version) for row in API_VERSIONS}
    counted = of(samples(client), "apiserver_request_total")
    assert sum(value for _, value in counted) == 10_000
    for labels, _ in counted:
        assert labels["verb"] in {"GET", "LIST", "POST", "PUT", "PATCH", "DELETE", "other"}
        assert (labels["group"], labels["version"]) in served
        assert labels["resource"] in {"", "*"}
        assert labels["scope"] in {"", "namespace", "cluster"}
        assert labels["code"] in {"200", "304", "400", "404", "405", "406", "413", "500", "503"}
        assert (labels["subresource"], labels["component"], labels["dry_run"]) == ("", "apiserver", "")


@pytest.mark.parametrize(
    ("code", "label"),
    [
        pytest.param(404, "404", id="a known code"),
        pytest.param(499, "400", id="an unknown one counts with its hundred"),
        pytest.param(999, "500", id="no code at all is our failure"),
    ],
)
def test_code_is_one_of_a_fixed_set(make_server: Callable[..., MetricsServer], code: int, label: str) -> None:
    """A provider may fail with any number."""
    server = make_server()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response(f"{code} X", [])
        return []

    client = Client(server)
    observation = server.wsgi_app._app
    observation._app, own = app, observation._app
    client.get("/x")
    observation._app = own
    assert [labels["code"] for labels, _ in of(samples(client), "apiserver_request_total")] == [label]


@dataclasses.dataclass
class Sample:
    timestamp: Any


@pytest.mark.parametrize(
    ("ages", "below_one", "in_all", "total"),
    [
        pytest.param([], 0, 0, 0, id="an empty answer"),
        pytest.param([0.5, 1, 30], 2, 3, 31.5, id="each in its bucket"),
        pytest.param([600], 0, 1, 600, id="older than the last bucket"),
        pytest.param([-5], 1, 1, 0, id="from a clock that is a little ahead: of now"),
        pytest.param([-7200, 2], 0, 1, 2, id="from a time still to come: nobody knows its age"),
        pytest.param([None, 2], 0, 1, 2, id="one without a time"),
    ],
)
def test_freshness_is_the_age_of_each_value(
    ages: list[float | None], below_one: int, in_all: int, total: float
) -> None:
    """Now minus the sample's time."""
    freshness = Freshness(["g"])
    values = [Sample(None if age is None else NOON - timedelta(seconds=age)) for age in ages]
    freshness.observer("g", lambda: NOON)(values)
    (family,) = freshness.collect()
    found = {(sample.name.rpartition("_")[2], sample.labels.get("le")): sample.value for sample in family.samples}
    assert (found["bucket", "1"], found["bucket", "+Inf"], found["count", None]) == (below_one, in_all, in_all)
    assert found["sum", None] == pytest.approx(total)


def test_served_values_are_counted_by_group(client: Client) -> None:
    """Only what was answered, with as many values as it had."""

    def counts() -> dict[str, float]:
        found = of(samples(client), "metrics_apiserver_metric_freshness_seconds_count")
        return {labels["group"]: value for labels, value in found}

    assert counts() == {CUSTOM_METRICS: 0, EXTERNAL_METRICS: 0}
    answer = client.get(f"{EXTERNAL}/namespaces/default/my-external-metric")
    client.get(f"{CUSTOM}/namespaces/shop/pods/cart-1/nothing")
    assert counts() == {CUSTOM_METRICS: 0, EXTERNAL_METRICS: len(answer.json["items"])}
