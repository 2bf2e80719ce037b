"""A LIST in all: its pages, its bounds, and the largest cluster that has to fit into them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.listing import ListBounds, list_objects
from tests.kube.conftest import FakeCluster

PODS = "/api/v1/pods"


def page(names: list[str], following: object = None, **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"resourceVersion": "7", "continue": following},
        "items": [{"metadata": {"namespace": "shop", "name": name, **more}} for name in names],
    }


def endless(token: Callable[[int], str], names: Callable[[int], list[str]]) -> Callable[[Any], Any]:
    asked = iter(range(1_000_000))

    def answer(_query: dict[str, str]) -> bytes:
        number = next(asked)
        return json.dumps(page(names(number), token(number))).encode()

    return answer


@pytest.mark.parametrize(
    ("answer", "bounds", "problem"),
    [
        pytest.param(
            endless(lambda number: f"t{number}", lambda number: [f"pod-{number}"]),
            ListBounds(pages=50),
            "the list has more than 50 pages",
            id="always another token",
        ),
        pytest.param(
            endless(lambda number: f"t{number}", lambda _: []),
            ListBounds(pages=50),
            "the list has more than 50 pages",
            id="always another token, and no object",
        ),
        pytest.param(
            endless(lambda _: "again", lambda number: [f"pod-{number}"]),
            ListBounds(),
            "the list does not end: a continue token came twice",
            id="always the same token",
        ),
        pytest.param(
            endless(lambda number: f"t{number % 3}", lambda number: [f"pod-{number}"]),
            ListBounds(),
            "the list does not end: a continue token came twice",
            id="tokens in a circle",
        ),
        pytest.param(
            endless(lambda number: f"t{number}", lambda number: [f"pod-{number}-{each}" for each in range(100)]),
            ListBounds(objects=1000),
            "there are more than 1000 objects",
            id="always more objects",
        ),
        pytest.param(
            endless(lambda number: f"t{number}", lambda number: [f"pod-{number}"]),
            ListBounds(seconds=0.2),
            "the list has not ended within 0.2 s",
            id="for ever, page by page",
        ),
    ],
)
def test_a_list_without_an_end_is_an_error(
    client: ClusterClient, fake_cluster: FakeCluster, answer: Any, bounds: ListBounds, problem: str
) -> None:
    fake_cluster.answer(PODS, answer)
    with pytest.raises(ClusterError, match=f"GET {PODS}: {problem}"):
        list_objects(client, PODS, bounds)


def test_the_largest_cluster_stays_below_the_bounds(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    """150,000 pods are the most that Kubernetes supports."""

    def answer(query: dict[str, str]) -> bytes:
        start = int(query.get("continue", "0"))
        names = [f"pod-{number}" for number in range(start, start + int(query["limit"]))]
        following = str(start + len(names)) if start + len(names) < 150_000 else None
        return json.dumps(page(names, following)).encode()

    fake_cluster.answer(PODS, answer)
    store, version = list_objects(client, PODS)
    assert (len(store), version) == (150_000, "7")
    assert len(fake_cluster.requests) == 300


def test_pages_get_shorter_where_objects_are_large(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    """Annotations may have 256 KiB each; all the objects are found, and no page is asked for twice in its length."""
    total, large = 70, "x" * (200 * 1024)

    def answer(query: dict[str, str]) -> bytes:
        start = int(query.get("continue", "0"))
        names = [f"pod-{number}" for number in range(start, min(total, start + int(query["limit"])))]
        following = str(start + len(names)) if start + len(names) < total else None
        return json.dumps(page(names, following, annotations={"a": large})).encode()

    fake_cluster.answer(PODS, answer)
    store, _ = list_objects(client, PODS)
    assert len(store) == total
    assert [query["limit"] for _, query, _ in fake_cluster.requests] == ["500", "125", "31"] + ["7"] * 10


def test_one_object_that_is_too_large_is_an_error(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer(PODS, page(["one"], annotations={"a": "x" * (5 * 1024 * 1024)}))
    with pytest.raises(ClusterError, match="the answer has more than 4194304 bytes"):
        list_objects(client, PODS)
    assert [query["limit"] for _, query, _ in fake_cluster.requests] == ["500", "125", "31", "7", "1"]
