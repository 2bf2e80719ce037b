"""The ConfigMap of authentication: read, followed, and kept while the cluster is away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

import pytest

from metrics_apiserver.kube.authentication_config import AuthenticationConfigMap
from metrics_apiserver.kube.cache import CachePolicy
from metrics_apiserver.kube.client import ClusterClient
from tests.controlplane.waiting import wait_until
from tests.kube.conftest import FakeCluster

PATH = "/api/v1/namespaces/kube-system/configmaps"
SELECTOR = "metadata.name=extension-apiserver-authentication"
GONE = "there is no ConfigMap kube-system/extension-apiserver-authentication in the cluster"
QUICK = CachePolicy(first_retry=0.001, last_retry=0.01, spacing=0)
# A retry that would be noticed as a test that hangs.
SLOW = CachePolicy(first_retry=600, last_retry=600)
CHANGED = {"type": "MODIFIED", "object": {"metadata": {"name": "x", "resourceVersion": "2"}}}
BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "2"}}}


def page(*datas: object) -> dict[str, object]:
    """A list with these ConfigMaps."""
    return {"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {}, "data": data} for data in datas]}


class Followed:
    """The ConfigMap, and every change of which it told."""

    def __init__(self, client: ClusterClient, policy: CachePolicy = QUICK, fail: int = 0) -> None:
        self.changes: list[Mapping[str, str]] = []
        self._fail = fail
        self.config = AuthenticationConfigMap(
            client, on_change=self._changed, logger=logging.getLogger("tests.config"), policy=policy
        )

    def _changed(self, data: Mapping[str, str]) -> None:
        if self._fail:
            self._fail -= 1
            raise RuntimeError("not today")
        self.changes.append(data)

    def wait(self, condition: Callable[[], object]) -> None:
        wait_until(condition, 20, lambda: f"{self.changes} {self.config.problem}", interval=0.005)


Follow = Callable[..., Followed]


@pytest.fixture
def follow(client: ClusterClient) -> Iterator[Follow]:
    """Make started ones, which stop at the end."""
    made = []

    def make(policy: CachePolicy = QUICK, **arguments: int) -> Followed:
        followed = Followed(client, policy, **arguments)
        followed.config.start()
        made.append(followed)
        return followed

    yield make
    for followed in made:
        followed.config.stop()


def test_it_is_asked_for_by_its_name_alone(follow: Follow, fake_cluster: FakeCluster) -> None:
    """The Role extension-apiserver-authentication-reader allows this one only, in a list and a watch as well."""
    (watch,) = fake_cluster.watches(1)
    fake_cluster.answer(PATH, page({"client-ca-file": "pem"}))
    followed = follow()
    followed.wait(lambda: watch.opened)
    assert followed.config.data == {"client-ca-file": "pem"} == followed.changes[0]
    followed.wait(lambda: followed.config.problem is None)
    assert [(path, query["fieldSelector"]) for path, query, _ in fake_cluster.requests] == [(PATH, SELECTOR)] * 2
    assert watch.query["resourceVersion"] == "1"


def test_before_it_is_read_nothing_is_known(client: ClusterClient) -> None:
    followed = Followed(client)
    assert followed.config.data is None
    assert "has not been read yet" in str(followed.config.problem)
    followed.config.stop()


def test_a_change_is_told_as_it_happens(follow: Follow, fake_cluster: FakeCluster) -> None:
    first, _ = fake_cluster.watches(2)
    fake_cluster.answer(PATH, page({"a": "1"}))
    followed = follow()
    first.wait_until_open()
    fake_cluster.answer(PATH, page({"a": "2"}))
    first.send(CHANGED)
    followed.wait(lambda: len(followed.changes) == 2)
    assert followed.changes == [{"a": "1"}, {"a": "2"}]
    followed.wait(lambda: followed.config.data == {"a": "2"})


def test_a_change_that_changes_nothing_is_not_told(follow: Follow, fake_cluster: FakeCluster) -> None:
    """A bookmark, another version of the same data, the end of a watch: nobody has to verify anything again."""
    first, second, third = fake_cluster.watches(3)
    fake_cluster.answer(PATH, page({"a": "1"}))
    followed = follow()
    first.wait_until_open()
    first.send(BOOKMARK, CHANGED)
    second.wait_until_open()
    second.send(CHANGED)
    third.wait_until_open()
    assert followed.changes == [{"a": "1"}]


def test_what_is_no_text_is_left_out(follow: Follow, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer(PATH, page({"a": "1", "b": 2}))
    followed = follow()
    followed.wait(lambda: followed.changes)
    assert followed.changes == [{"a": "1"}]


def test_without_a_config_map_there_are_no_data_until_there_is_one(follow: Follow, fake_cluster: FakeCluster) -> None:
    (watch,) = fake_cluster.watches(1)
    fake_cluster.answer(PATH, page())
    followed = follow()
    watch.wait_until_open()
    followed.wait(lambda: followed.config.problem == GONE)
    assert followed.config.data == {}
    fake_cluster.answer(PATH, page({"a": "1"}))
    watch.send(CHANGED)
    followed.wait(lambda: followed.config.problem is None and followed.config.data)
    assert followed.changes == [{}, {"a": "1"}]


def test_a_deleted_config_map_leaves_its_last_data(
    follow: Follow, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """As in Kubernetes' own servers: nobody is locked out while it is being made anew."""
    first, second = fake_cluster.watches(2)
    fake_cluster.answer(PATH, page({"a": "1"}))
    followed = follow()
    first.wait_until_open()
    fake_cluster.answer(PATH, page())
    first.send({**CHANGED, "type": "DELETED"})
    second.wait_until_open()
    followed.wait(lambda: followed.config.problem == GONE)
    assert followed.config.data == {"a": "1"}
    assert followed.changes == [{"a": "1"}]
    assert "what it said last stays in use" in caplog.text


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        pytest.param({"kind": "Status", "message": "no rights"}, 403, "403 Forbidden: no rights", id="no rights"),
        pytest.param({}, 200, "the answer is not a list of objects", id="no list"),
        pytest.param({"metadata": {"resourceVersion": "1"}, "items": [1]}, 200, "not a list", id="no objects"),
        pytest.param(page([1]), 200, "not a list", id="data that are a list"),
    ],
)
def test_a_cluster_that_gives_no_answer_is_asked_again(
    follow: Follow, fake_cluster: FakeCluster, body: object, status: int, problem: str
) -> None:
    fake_cluster.answer(PATH, body, status=status)
    followed = follow()
    followed.wait(lambda: problem in str(followed.config.problem))
    assert followed.config.data is None
    fake_cluster.answer(PATH, page({"a": "1"}))
    followed.wait(lambda: followed.config.problem is None)
    assert followed.changes == [{"a": "1"}]


def test_a_broken_watch_is_a_problem_until_the_next_one(follow: Follow, fake_cluster: FakeCluster) -> None:
    """The data stay, and what happened in between is not missed."""
    first, second, third = fake_cluster.watches(3)
    second.refuse(500, "not now")
    fake_cluster.answer(PATH, page({"a": "1"}))
    followed = follow()
    first.wait_until_open()
    fake_cluster.answer(PATH, page({"a": "2"}))
    first.cut()
    third.wait_until_open()
    followed.wait(lambda: followed.config.problem is None)
    assert followed.changes == [{"a": "1"}, {"a": "2"}]


def test_a_watch_that_ends_at_once_is_not_repeated_at_once(follow: Follow, fake_cluster: FakeCluster) -> None:
    (first,) = fake_cluster.watches(1)
    fake_cluster.answer(PATH, page({"a": "1"}))
    followed = follow(SLOW)
    first.wait_until_open()
    first.end()
    followed.wait(lambda: "it ended at once" in str(followed.config.problem))
    assert fake_cluster.watching == 1


def test_a_version_that_is_too_old_is_read_again_at_once(follow: Follow, fake_cluster: FakeCluster) -> None:
    first, second = fake_cluster.watches(2)
    fake_cluster.answer(PATH, page({"a": "1"}))
    followed = follow(SLOW)
    first.wait_until_open()
    first.send({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
    second.wait_until_open()
    followed.wait(lambda: followed.config.problem is None)


def test_a_mistake_of_who_is_told_does_not_end_it(
    follow: Follow, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    fake_cluster.answer(PATH, page({"a": "1"}))
    followed = follow(fail=2)
    followed.wait(lambda: followed.config.problem is None)
    assert followed.changes == [{"a": "1"}]
    assert "could not be taken over" in caplog.text


def test_stop_wakes_a_watch(follow: Follow, fake_cluster: FakeCluster) -> None:
    (watch,) = fake_cluster.watches(1)
    fake_cluster.answer(PATH, page({"a": "1"}))
    followed = follow()
    watch.wait_until_open()
    followed.wait(lambda: followed.config.problem is None)
    followed.config.stop()
    assert not followed.config.alive
    followed.config.stop()
