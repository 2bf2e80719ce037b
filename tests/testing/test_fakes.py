"""The fakes: a clock that moves when it is told to, and a cluster made of objects."""

from __future__ import annotations

from typing import Any

import pytest

from metrics_apiserver.kube.manifests import ObjectsError
from metrics_apiserver.model import selectors
from metrics_apiserver.provider import GroupResource, NamespacedName, NotFoundError
from metrics_apiserver.testing import FakeClock, FakeCluster, provider_context, request_context

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "labels": {"app": "web"}}}
YAML = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
"""


def test_clock_moves_when_it_is_told_to() -> None:
    """Both of its times, and never back."""
    clock = FakeClock()
    time, seconds = clock.now(), clock.monotonic()
    clock.move(1.5)
    assert (clock.now() - time).total_seconds() == clock.monotonic() - seconds == 1.5
    assert clock.now() == clock.now()
    with pytest.raises(ValueError, match="does not go back"):
        clock.move(-1)


def test_deadline_comes_as_the_clock_moves() -> None:
    """And stays over."""
    clock = FakeClock()
    ctx = request_context(seconds=2, clock=clock)
    left = []
    for _ in range(3):
        left.append(ctx.remaining())
        clock.move(1.5)
    assert left == [2, 0.5, 0]


@pytest.mark.parametrize(
    ("objects", "namespace", "expected"),
    [
        pytest.param((), "", [], id="no object"),
        pytest.param((POD,), "", [NamespacedName("default", "web-0")], id="a dict, in the default namespace"),
        pytest.param((YAML,), "", [NamespacedName("shop", "web-1")], id="YAML"),
        pytest.param((POD, YAML), "shop", [NamespacedName("shop", "web-1")], id="both, and one namespace"),
    ],
)
def test_cluster_has_the_objects_it_is_made_of(
    objects: tuple[Any, ...], namespace: str, expected: list[NamespacedName]
) -> None:
    """By the standard kinds."""
    context = provider_context(*objects)
    mapping = context.mapper.mapping_for(GroupResource("pod"))
    selector = selectors.parse("app=web")
    assert list(context.objects.list_names(mapping, namespace=namespace, selector=selector, timeout=1)) == expected


def test_object_that_is_none_is_refused_with_a_sentence() -> None:
    """As `--objects` does."""
    with pytest.raises(ObjectsError, match="v1 Pot is not one of the standard kinds"):
        FakeCluster({**POD, "kind": "Pot"})
    with pytest.raises(NotFoundError):
        FakeCluster().mapper.mapping_for(GroupResource("pots"))
