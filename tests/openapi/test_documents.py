"""What the documents say: valid OpenAPI, under Kubernetes' names, of the versions in the table."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from typing import Any

import openapi_spec_validator
import pytest

from metrics_apiserver.openapi import OpenAPIDocuments
from metrics_apiserver.openapi.documents import digest
from metrics_apiserver.schemas.table import API_VERSIONS

DOCUMENTS = OpenAPIDocuments.of("1.2.3")
V2: dict[str, Any] = json.loads(DOCUMENTS.v2)
V3: dict[str, dict[str, Any]] = {path: json.loads(body) for path, body in DOCUMENTS.v3.items()}
METRICS = "io.k8s.metrics.pkg.apis"
GVK = "x-kubernetes-group-version-kind"
ALL = [pytest.param(V2, id="v2"), *(pytest.param(document, id=path) for path, document in V3.items())]


def schemas(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document.get("definitions") or document["components"]["schemas"]
    return found


@pytest.mark.parametrize("document", ALL)
def test_document_is_valid_openapi(document: dict[str, Any]) -> None:
    """By the specification's own schema, 2.0 or 3.0, with every reference resolved."""
    openapi_spec_validator.validate(document)


@pytest.mark.parametrize("document", ALL)
def test_every_definition_is_referred_to(document: dict[str, Any]) -> None:
    """What no path needs, kube-apiserver would keep in the cluster's document for ever."""
    used = set(re.findall(r'"#/(?:definitions|components/schemas)/([^"]+)"', json.dumps(document)))
    assert used == set(schemas(document))


def test_operation_ids_differ() -> None:
    """All versions stand in one document of the cluster."""
    ids = [item["get"]["operationId"] for item in V2["paths"].values()]
    assert len(ids) == len(set(ids))
    assert {"getCustomMetricsV1beta2APIResources", "listCustomMetricsV1beta1NamespacedMetric"} <= set(ids)


def test_v3_of_a_version_is_its_part_of_v2() -> None:
    """The same paths, under the prefix by which kube-apiserver cuts v2, and the same definitions."""
    paths: list[str] = []
    for path, document in V3.items():
        assert all(found.startswith(f"/{path}/") for found in document["paths"])
        assert f"/{path}/" in document["paths"]
        assert set(schemas(document)) <= set(schemas(V2))
        paths += document["paths"]
    assert sorted(paths) == sorted(V2["paths"])


@pytest.mark.parametrize(
    ("name", "group", "version", "required"),
    [
        pytest.param(
            f"{METRICS}.custom_metrics.v1beta2.MetricValue",
            "custom.metrics.k8s.io",
            "v1beta2",
            ["describedObject", "metric", "timestamp", "value"],
            id="custom v1beta2",
        ),
        pytest.param(
            f"{METRICS}.custom_metrics.v1beta1.MetricValue",
            "custom.metrics.k8s.io",
            "v1beta1",
            ["describedObject", "metricName", "timestamp", "value"],
            id="custom v1beta1",
        ),
        pytest.param(
            f"{METRICS}.external_metrics.v1beta1.ExternalMetricValue",
            "external.metrics.k8s.io",
            "v1beta1",
            ["metricLabels", "metricName", "timestamp", "value"],
            id="external v1beta1",
        ),
    ],
)
def test_kinds_are_named_and_marked_as_upstream_does(name: str, group: str, version: str, required: list[str]) -> None:
    """The value and its list: Go's name, the kind, what is required."""
    for document in (V2, V3[f"apis/{group}/{version}"]):
        kind = name.rpartition(".")[2]
        value, values = schemas(document)[name], schemas(document)[f"{name}List"]
        assert value[GVK] == [{"group": group, "version": version, "kind": kind}]
        assert values[GVK] == [{"group": group, "version": version, "kind": f"{kind}List"}]
        assert (value["required"], values["required"]) == (required, ["items"])


def test_fields_have_the_types_of_the_kubernetes_api() -> None:
    """Quantity and Time are types of their own, integers are 64 bits wide, maps hold strings, selector may be null."""
    for document, prefix in ((V2, "#/definitions"), (V3["apis/custom.metrics.k8s.io/v1beta2"], "#/components/schemas")):
        found = schemas(document)
        fields = copy.deepcopy(found[f"{METRICS}.custom_metrics.v1beta2.MetricValue"]["properties"])
        assert all(field.pop("description") for field in fields.values())
        # What stands beside a reference counts in 2.0 only.
        fields = {name: field["allOf"][0] if "allOf" in field else field for name, field in fields.items()}
        assert fields["timestamp"] == {"$ref": f"{prefix}/{METRICS}.meta.v1.Time"}
        assert fields["value"] == {"$ref": f"{prefix}/{METRICS}.meta.v1.Quantity"}
        assert fields["windowSeconds"] == {"type": "integer", "format": "int64"}
        time, quantity = found[f"{METRICS}.meta.v1.Time"], found[f"{METRICS}.meta.v1.Quantity"]
        assert (time["type"], time["format"], quantity["type"]) == ("string", "date-time", "string")
        labels = found[f"{METRICS}.meta.v1.LabelSelector"]["properties"]["matchLabels"]
        assert labels == {"type": "object", "additionalProperties": {"type": "string"}}
        selector = found[f"{METRICS}.custom_metrics.v1beta2.MetricIdentifier"]["properties"]["selector"]
        assert "nullable" in json.dumps(selector)


def test_no_definition_has_a_name_of_the_clusters_own() -> None:
    """kube-apiserver would rename ours, or worse, another server's."""
    assert all(name.startswith(f"{METRICS}.") for name in schemas(V2))
    assert not [name for name in schemas(V2) if name.startswith(f"{METRICS}.metrics.")], "metrics-server's"


def test_reads_are_marked_for_kubernetes_clients() -> None:
    """Action and kind stand on every read, and on nothing else."""
    for path, item in V2["paths"].items():
        operation = item["get"]
        group, version = path.split("/")[2:4]
        if path.endswith("/"):
            assert GVK not in operation
        else:
            kind = "ExternalMetricValueList" if group.startswith("external") else "MetricValueList"
            assert operation[GVK] == {"group": group, "version": version, "kind": kind}
            assert operation["x-kubernetes-action"] == "list"


def test_documents_are_the_same_in_every_replica() -> None:
    """kube-apiserver sends one replica's ETag to another; a new version of the server has new documents."""
    assert OpenAPIDocuments.of("1.2.3") == DOCUMENTS
    assert digest(OpenAPIDocuments.of("1.2.4").v2) != digest(DOCUMENTS.v2)
    assert V2["info"] == {"title": "metrics-apiserver", "version": "v1.2.3"}


def test_new_version_is_one_row() -> None:
    """A row more in the table is a version more in every document, and nothing else is to be changed."""
    row = dataclasses.replace(API_VERSIONS[0], version="v1")
    documents = OpenAPIDocuments.of("1.2.3", [row, *API_VERSIONS[1:]])
    assert "apis/custom.metrics.k8s.io/v1" in json.loads(documents.index)["paths"]
    assert "/apis/custom.metrics.k8s.io/v1/namespaces/{namespace}/metrics/{metric}" in json.loads(documents.v2)["paths"]
