"""The discovery documents of a listing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metrics_apiserver.discovery import Documents
from metrics_apiserver.model.groups import CUSTOM_METRICS, EXTERNAL_METRICS
from metrics_apiserver.model.metrics import ExternalMetricInfo
from tests.fakes import info

VERSIONS = ["/apis/custom.metrics.k8s.io/v1beta1", "/apis/custom.metrics.k8s.io/v1beta2"]
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"


def names(documents: Documents, path: str) -> list[str]:
    return [entry["name"] for entry in documents.by_path[path]["resources"]]


def aggregated(documents: Documents) -> dict[str, Any]:
    found = {}
    for group in documents.aggregated["v2"]["items"]:
        for version in group["versions"]:
            found[f"/apis/{group['metadata']['name']}/{version['version']}"] = version["resources"]
    return found


@pytest.mark.parametrize(
    ("path", "placeholder"),
    [(VERSIONS[0], "custommetrics"), (VERSIONS[1], "custommetrics"), (EXTERNAL, "externalmetrics")],
)
def test_nothing_listed_shows_the_placeholder(path: str, placeholder: str) -> None:
    """An empty list would make kubectl warn and helm ask again and again."""
    documents = Documents.of({})
    assert names(documents, path) == [placeholder]
    assert [entry["resource"] for entry in aggregated(documents)[path]] == [placeholder]


def test_placeholder_leaves_the_legacy_list_when_something_is_listed_but_stays_in_the_aggregated_one() -> None:
    """Only the aggregated form needs it beside real entries: kubectl prints no warning then."""
    documents = Documents.of({CUSTOM_METRICS: [info("pods", "rps")], EXTERNAL_METRICS: [ExternalMetricInfo("queue")]})
    assert names(documents, VERSIONS[0]) == ["pods/rps"]
    assert names(documents, EXTERNAL) == ["queue"]
    assert [entry["resource"] for entry in aggregated(documents)[VERSIONS[1]]] == ["pods", "custommetrics"]
    assert [entry["resource"] for entry in aggregated(documents)[EXTERNAL]] == ["queue", "externalmetrics"]


def test_external_metric_named_like_the_placeholder_is_listed_once() -> None:
    """A name may stand in a list of resources only once."""
    documents = Documents.of({EXTERNAL_METRICS: [ExternalMetricInfo("externalmetrics")]})
    assert [entry["resource"] for entry in aggregated(documents)[EXTERNAL]] == ["externalmetrics"]


def test_metrics_of_a_resource_are_subresources_of_one_parent() -> None:
    """The shape that a real kube-apiserver accepts: a parent without a response kind."""
    documents = Documents.of(
        {
            CUSTOM_METRICS: [
                info("deployments.apps", "q"),
                info("nodes", "heat", namespaced=False),
                info("pods", "a"),
                info("pods", "b"),
            ]
        }
    )
    parents = {entry["resource"]: entry for entry in aggregated(documents)[VERSIONS[1]]}
    assert list(parents) == ["deployments.apps", "nodes", "pods", "custommetrics"]
    assert parents["nodes"]["scope"] == "Cluster"
    assert parents["pods"]["verbs"] == []
    assert "responseKind" not in parents["pods"]
    response_kind = {"group": "custom.metrics.k8s.io", "version": "v1beta2", "kind": "MetricValueList"}
    assert parents["pods"]["subresources"] == [
        {"subresource": metric, "responseKind": response_kind, "verbs": ["get"]} for metric in ("a", "b")
    ]


def test_etag_is_of_the_bytes_per_path_and_media_type() -> None:
    """The aggregator sends the ETag of `/apis` with other requests too: none may match by chance."""
    documents = Documents.of({})
    etags = {
        documents.encoded("/apis").etag,
        documents.encoded("/apis", aggregated="v2").etag,
        documents.encoded("/apis", aggregated="v2beta1").etag,
        documents.encoded("/apis", media_type="application/yaml").etag,
        documents.encoded("/apis", pretty=True).etag,
        documents.encoded(EXTERNAL).etag,
    }
    assert len(etags) == 6
    assert documents.encoded("/apis").etag == Documents.of({}).encoded("/apis").etag
    assert documents.encoded("/apis") is documents.encoded("/apis")


def test_other_listing_has_another_etag() -> None:
    """A client that has the old list is given the new one."""
    before, after = Documents.of({}), Documents.of({CUSTOM_METRICS: [info("pods", "rps")]})
    assert before.encoded(VERSIONS[0]).etag != after.encoded(VERSIONS[0]).etag
    assert before.encoded("/apis").etag == after.encoded("/apis").etag
    assert json.loads(after.encoded(VERSIONS[0]).body)["resources"][0]["name"] == "pods/rps"
