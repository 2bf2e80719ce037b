"""Discovery as clusters give it: aggregated, or one group version at a time."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.discovery import ResourceReader
from metrics_apiserver.kube.restmapper import ResourceTable
from metrics_apiserver.kube.standard import standard_resources
from tests.kube.conftest import FakeCluster

LOGGER = logging.getLogger("tests.discovery")
V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json; g=apidiscovery.k8s.io; v=v2beta1; as=APIGroupDiscoveryList"


def resource(plural: str, kind: str | None, *, singular: str = "", scope: str = "Namespaced") -> dict[str, Any]:
    """Make an entry of aggregated discovery."""
    found: dict[str, Any] = {"resource": plural, "singularResource": singular, "scope": scope, "verbs": ["list"]}
    return {**found, "responseKind": {"group": "", "version": "", "kind": kind}} if kind else found


def group(name: str, *versions: tuple[str, str, list[dict[str, Any]] | None]) -> dict[str, Any]:
    """Make a group of aggregated discovery from (version, freshness, resources)."""
    listed = [{"version": version, "freshness": fresh, "resources": found} for version, fresh, found in versions]
    return {"metadata": {"name": name} if name else {"creationTimestamp": None}, "versions": listed}


def groups(*items: dict[str, Any]) -> dict[str, Any]:
    """Make an aggregated discovery document."""
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": list(items)}


CORE = groups(group("", ("v1", "Current", [resource("pods", "Pod", singular="pod")])))


def names(table: ResourceTable) -> list[str]:
    """Write each resource as group/version/plural."""
    found = (mapping.resource for mapping in table.mappings)
    return ["/".join((each.group, each.version, each.resource)) for each in found]


def serve_legacy(cluster: FakeCluster) -> None:
    """Let a cluster speak legacy discovery only, with a broken group, metrics-server and our own groups."""
    listed = {
        "apps": ["v1"],
        "broken.example.com": ["v1"],
        "custom.metrics.k8s.io": ["v1beta2"],
        "external.metrics.k8s.io": ["v1beta1"],
        "metrics.k8s.io": ["v1beta1"],
        "example.com": ["v1alpha1", "v1"],
    }
    cluster.answer("/api", {"kind": "APIVersions", "versions": ["v1"]})
    cluster.answer(
        "/apis",
        {
            "kind": "APIGroupList",
            "groups": [
                {
                    "name": name,
                    "versions": [{"groupVersion": f"{name}/{version}", "version": version} for version in versions],
                    "preferredVersion": {"groupVersion": f"{name}/{versions[-1]}", "version": versions[-1]},
                }
                for name, versions in listed.items()
            ],
        },
    )
    cluster.refuse("/apis/broken.example.com/v1", 503, "the server is currently unable to handle the request")
    for path, found in {
        "/api/v1": [("pods", "pod", "Pod", True), ("pods/log", "", "Pod", True), ("nodes", "", "Node", False)],
        "/apis/apps/v1": [("deployments", "deployment", "Deployment", True)],
        "/apis/example.com/v1": [("widgets", "widget", "Widget", True)],
        "/apis/example.com/v1alpha1": [("widgets", "widget", "Widget", True), ("olds", "old", "Old", True)],
    }.items():
        keys = ("name", "singularName", "kind", "namespaced")
        cluster.answer(path, {"resources": [dict(zip(keys, row, strict=True)) for row in found]})


def test_a_real_cluster_is_read_in_two_requests(
    client: ClusterClient, fake_cluster: FakeCluster, recorded_discovery
) -> None:
    for path, document in recorded_discovery.items():
        fake_cluster.answer(path, document, media_type=V2)
    table = ResourceReader(client, logger=LOGGER).read()
    assert table.mappings == standard_resources().mappings
    assert fake_cluster.paths == ["/api", "/apis"]
    accepted = fake_cluster.requests[0][2]["Accept"].split(",")
    assert [value.rpartition(";v=")[2] for value in accepted] == [
        "v2;as=APIGroupDiscoveryList",
        "v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    ]


@pytest.mark.parametrize("media_type", [V2, V2BETA1])
def test_aggregated_discovery_keeps_order_and_leaves_out_what_is_no_candidate(
    client: ClusterClient, fake_cluster: FakeCluster, media_type: str
) -> None:
    widgets = [resource("widgets", "Widget", scope="Cluster"), resource("parents", None)]
    fake_cluster.answer("/api", CORE, media_type=media_type)
    fake_cluster.answer(
        "/apis",
        groups(
            group("metrics.k8s.io", ("v1beta1", "Current", [resource("pods", "PodMetrics")])),
            group("custom.metrics.k8s.io", ("v1beta2", "Current", [resource("pods", "MetricValueList")])),
            group("example.com", ("v2", "Current", widgets), ("v1", "Current", [*widgets, resource("olds", "Old")])),
            {"metadata": {"name": "empty.example.com"}},
        ),
        media_type=media_type,
    )
    table = ResourceReader(client, logger=LOGGER).read()
    assert names(table) == ["/v1/pods", "example.com/v2/widgets", "example.com/v1/olds"]
    assert [(found.singular, found.namespaced) for found in table.mappings] == [
        ("pod", True),
        ("widget", False),
        ("old", True),
    ]


@pytest.mark.parametrize(
    ("resources", "found", "logged"),
    [
        pytest.param(None, ["/v1/pods", "apps/v1/deployments"], True, id="with nothing inside it is left out"),
        pytest.param(
            [resource("widgets", "Widget")],
            ["/v1/pods", "example.com/v1/widgets", "apps/v1/deployments"],
            False,
            id="with what the cluster last knew it counts",
        ),
    ],
)
def test_a_stale_group_costs_only_itself(
    client: ClusterClient,
    fake_cluster: FakeCluster,
    caplog: pytest.LogCaptureFixture,
    resources: list[dict[str, Any]] | None,
    found: list[str],
    logged: bool,
) -> None:
    apps = group("apps", ("v1", "Current", [resource("deployments", "Deployment")]))
    fake_cluster.answer("/api", CORE, media_type=V2)
    fake_cluster.answer("/apis", groups(group("example.com", ("v1", "Stale", resources)), apps), media_type=V2)
    assert names(ResourceReader(client, logger=LOGGER).read()) == found
    expected = "the resources of example.com/v1 cannot be read, 0 are known from before: the cluster calls them stale"
    assert (expected in caplog.text) is logged


def test_legacy_discovery_asks_each_group_but_the_metrics_groups(
    client: ClusterClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    serve_legacy(fake_cluster)
    table = ResourceReader(client, logger=LOGGER).read()
    assert names(table) == [
        "/v1/pods",
        "/v1/nodes",
        "apps/v1/deployments",
        "example.com/v1/widgets",
        "example.com/v1alpha1/olds",
    ]
    # K3s leaves the singular empty.
    assert [(found.singular, found.namespaced) for found in table.mappings][:2] == [("pod", True), ("node", False)]
    assert not [path for path in fake_cluster.paths if "metrics.k8s.io" in path]
    assert "the resources of broken.example.com/v1 cannot be read" in caplog.text
    assert "unable to handle the request" in caplog.text


def test_a_group_whose_list_is_none_costs_only_itself(
    client: ClusterClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    serve_legacy(fake_cluster)
    fake_cluster.answer("/apis/apps/v1", {"resources": [{"kind": "Deployment"}]})
    assert "apps/v1/deployments" not in names(ResourceReader(client, logger=LOGGER).read())
    assert "GET /apis/apps/v1: the answer is not a list of resources" in caplog.text


@pytest.mark.parametrize(
    ("path", "body", "media_type"),
    [
        pytest.param("/api", {}, V2, id="an aggregated core without items"),
        pytest.param("/api", {"items": [5]}, V2, id="a group that is not an object"),
        pytest.param("/api", {}, "application/json", id="a core without versions"),
        pytest.param("/apis", {}, "application/json", id="no groups"),
        pytest.param("/api/v1", {}, "application/json", id="a core version without resources"),
    ],
)
def test_without_the_core_or_the_groups_there_is_no_table(
    client: ClusterClient, fake_cluster: FakeCluster, path: str, body: object, media_type: str
) -> None:
    serve_legacy(fake_cluster)
    fake_cluster.answer(path, body, media_type=media_type)
    with pytest.raises(ClusterError, match=f"GET {path}: the answer is not a"):
        ResourceReader(client, logger=LOGGER).read()


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/apis"])
def test_a_refused_root_is_an_error(client: ClusterClient, fake_cluster: FakeCluster, path: str) -> None:
    serve_legacy(fake_cluster)
    fake_cluster.refuse(path, 403, "no")
    with pytest.raises(ClusterError, match=f"GET {path}: 403 Forbidden: no"):
        ResourceReader(client, logger=LOGGER).read()


def test_what_was_known_of_a_group_outlives_its_being_stale(
    client: ClusterClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    fake_cluster.answer("/api", CORE, media_type=V2)
    reader = ResourceReader(client, logger=LOGGER)
    widgets = [resource("widgets", "Widget")]
    for freshness, found in (("Current", widgets), ("Stale", None), ("Stale", None), ("Current", widgets)):
        fake_cluster.answer("/apis", groups(group("example.com", ("v1", freshness, found))), media_type=V2)
        assert names(reader.read()) == ["/v1/pods", "example.com/v1/widgets"]
    assert caplog.text.count("the resources of example.com/v1 cannot be read, 1 are known from before") == 1
    fake_cluster.answer("/apis", groups(), media_type=V2)
    assert names(reader.read()) == ["/v1/pods"]


def test_what_was_known_of_a_group_outlives_its_error(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    serve_legacy(fake_cluster)
    reader = ResourceReader(client, logger=LOGGER)
    before = names(reader.read())
    fake_cluster.refuse("/apis/apps/v1", 503, "the server is currently unable to handle the request")
    assert names(reader.read()) == before
