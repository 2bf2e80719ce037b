"""Listing a cluster's objects."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import ServiceUnavailableError
from app.kube.client import ClusterClient
from app.kube.objects import ClusterObjects
from app.kube.standard import standard_resources
from app.model import selectors
from app.model.resources import GroupResource, NamespacedName, RESTMapping
from tests.kube.conftest import FakeCluster


def mapping(name: str) -> RESTMapping:
    """Give the mapping of a standard resource."""
    return standard_resources().mapping_for(GroupResource.parse(name))


def page(*names: str, following: str = "") -> dict[str, Any]:
    """Make a page of metadata from `namespace/name`, or `name` for a root-scoped object."""
    items = []
    for name in names:
        namespace, _, last = name.rpartition("/")
        items.append({"metadata": {"name": last, "namespace": namespace} if namespace else {"name": last}})
    return {"kind": "PartialObjectMetadataList", "metadata": {"continue": following}, "items": items}


@pytest.mark.parametrize(
    ("resource", "namespace", "path"),
    [
        pytest.param("pods", "shop", "/api/v1/namespaces/shop/pods", id="core, one namespace"),
        pytest.param("pods", "", "/api/v1/pods", id="core, every namespace"),
        pytest.param("nodes", "", "/api/v1/nodes", id="core, root scope"),
        pytest.param("deployments", "shop", "/apis/apps/v1/namespaces/shop/deployments", id="a group, one namespace"),
        pytest.param("clusterroles", "", "/apis/rbac.authorization.k8s.io/v1/clusterroles", id="a group, root scope"),
    ],
)
def test_the_path_follows_group_and_scope(
    client: ClusterClient, fake_cluster: FakeCluster, resource: str, namespace: str, path: str
) -> None:
    fake_cluster.answer(path, page("only"))
    found = ClusterObjects(client).list_names(
        mapping(resource), namespace=namespace, selector=selectors.EVERYTHING, timeout=5
    )
    assert found == [NamespacedName("", "only")]
    asked, query, headers = fake_cluster.requests[0]
    assert (asked, query) == (path, {"limit": "500"})
    assert headers["Accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def test_pages_are_joined_and_sorted(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    pages = {"": page("b/2", "a/9", following="one&two="), "one&two=": page("a/10", "b/1")}
    fake_cluster.answer("/api/v1/pods", lambda query: pages[query.get("continue", "")])
    selector = selectors.parse("app in (web,api),!canary")
    found = ClusterObjects(client).list_names(mapping("pods"), namespace="", selector=selector, timeout=5)
    assert [str(name) for name in found] == ["a/10", "a/9", "b/1", "b/2"]
    assert [query for _, query, _ in fake_cluster.requests] == [
        {"limit": "500", "labelSelector": str(selector)},
        {"limit": "500", "labelSelector": str(selector), "continue": "one&two="},
    ]


@pytest.mark.parametrize("status", [404, 405])
def test_a_resource_that_has_no_list_has_no_objects(
    client: ClusterClient, fake_cluster: FakeCluster, status: int
) -> None:
    fake_cluster.refuse("/api/v1/pods", status, "no")
    assert not ClusterObjects(client).list_names(
        mapping("pods"), namespace="", selector=selectors.EVERYTHING, timeout=5
    )


def test_a_refusal_is_service_unavailable_with_the_reason(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    fake_cluster.refuse("/api/v1/pods", 403, "pods is forbidden")
    with pytest.raises(ServiceUnavailableError) as caught:
        ClusterObjects(client).list_names(mapping("pods"), namespace="", selector=selectors.EVERYTHING, timeout=5)
    expected = "the cluster does not list pods: GET /api/v1/pods: 403 Forbidden: pods is forbidden"
    assert caught.value.message == expected


@pytest.mark.parametrize("namespace", ["..", "a/b", "A", "-a", "a" * 64, "a?b", "a\n"])
def test_a_name_that_no_namespace_has_never_reaches_a_path(
    client: ClusterClient, fake_cluster: FakeCluster, namespace: str
) -> None:
    assert not ClusterObjects(client).list_names(
        mapping("pods"), namespace=namespace, selector=selectors.EVERYTHING, timeout=5
    )
    assert fake_cluster.requests == []
