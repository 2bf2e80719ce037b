"""A cluster from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.kube.manifests import load_objects
from metrics_apiserver.kube.standalone import StandaloneCluster
from metrics_apiserver.model import selectors
from metrics_apiserver.model.resources import GroupResource

CLUSTER = Path(__file__).parents[1] / "conformance" / "cluster.yaml"


@pytest.fixture(scope="module")
def cluster() -> StandaloneCluster:
    """The cluster of the recorded answers."""
    return StandaloneCluster(load_objects(CLUSTER))


@pytest.mark.parametrize(
    ("resource", "namespace", "selector", "found"),
    [
        pytest.param("pods", "shop", "", ["shop/cart-0", "shop/cart-1", "shop/db-0"], id="all of a namespace"),
        pytest.param("pod", "shop", "app=cart", ["shop/cart-0", "shop/cart-1"], id="by label"),
        pytest.param("pods", "", "app=db", ["shop/db-0"], id="in every namespace"),
        pytest.param("pods", "other", "", [], id="another namespace"),
        pytest.param("nodes", "", "zone!=z1", ["node-b"], id="root scope"),
        pytest.param("namespaces", "", "team=a", ["shop"], id="namespaces"),
        pytest.param("deployments", "shop", "", ["shop/cart"], id="a group"),
        pytest.param("configmaps", "", "", [], id="a kind without objects"),
    ],
)
def test_objects_are_listed(
    cluster: StandaloneCluster, resource: str, namespace: str, selector: str, found: list[str]
) -> None:
    mapping = cluster.mapper.mapping_for(GroupResource.parse(resource))
    names = cluster.objects.list_names(mapping, namespace=namespace, selector=selectors.parse(selector), timeout=5)
    assert [str(name) for name in names] == found


def test_a_namespace_of_an_object_implies_no_namespace_object() -> None:
    cluster = StandaloneCluster(
        [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "implied"}}]
    )
    mapping = cluster.mapper.mapping_for(GroupResource("namespaces"))
    assert not cluster.objects.list_names(mapping, namespace="", selector=selectors.EVERYTHING, timeout=5)


def test_an_older_version_of_a_kind_is_the_same_resource() -> None:
    document = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"}}
    cluster = StandaloneCluster([document])
    mapping = cluster.mapper.mapping_for(GroupResource("horizontalpodautoscalers"))
    assert mapping.resource.version == "v2"
    assert cluster.objects.list_names(mapping, namespace="", selector=selectors.EVERYTHING, timeout=5)


def test_it_is_always_ready(cluster: StandaloneCluster) -> None:
    assert cluster.check() is None
    cluster.start()
    cluster.stop()
    assert cluster.check() is None
