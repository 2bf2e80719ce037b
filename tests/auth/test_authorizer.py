"""May they: what is asked of the cluster, what needs no asking, and what a no says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.auth.authorizer import Authorizer, access_review
from metrics_apiserver.auth.request_info import RequestInfo, request_info
from metrics_apiserver.auth.user import ANONYMOUS, MASTERS
from metrics_apiserver.auth.waiting import Waiting
from metrics_apiserver.errors import ForbiddenError, ServiceUnavailableError, WouldWaitError
from metrics_apiserver.model.users import UserInfo
from metrics_apiserver.target import read_target
from tests.auth.making import Answer, FakeAccess, WallClock

ALICE = UserInfo("alice", "7", ("dev", "system:authenticated"), {"scopes": ("a", "b")})
ROOT = UserInfo("root", groups=(MASTERS,))
CUSTOM, EXTERNAL = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/external.metrics.k8s.io/v1beta1"
PATHS = ("/healthz", "/livez", "/readyz")
METRICS = RequestInfo("get", "/metrics")
POD = request_info("GET", read_target(CUSTOM + "/namespaces/shop/pods/cart-0/qps"))
YES, NO = Answer(allowed=True), Answer(allowed=False)


def authorizer(access: FakeAccess, clock: WallClock | None = None, *, paths: tuple[str, ...] = PATHS) -> Authorizer:
    clock = clock or WallClock()
    return Authorizer(access, always_allow_paths=paths, monotonic=clock.monotonic, waiting=Waiting())


@pytest.mark.parametrize(
    ("method", "target", "attributes"),
    [
        pytest.param(
            "GET",
            CUSTOM + "/namespaces/shop/pods/*/qps?labelSelector=a",
            {"verb": "get", "namespace": "shop", "resource": "pods", "subresource": "qps", "name": "*"},
            id="a custom metric",
        ),
        pytest.param(
            "GET",
            CUSTOM + "/nodes/a/heat",
            {"verb": "get", "resource": "nodes", "subresource": "heat", "name": "a"},
            id="a custom metric of the cluster's scope",
        ),
        pytest.param(
            "GET",
            CUSTOM + "/namespaces/shop/metrics/qps",
            {"verb": "get", "namespace": "shop", "resource": "metrics", "name": "qps"},
            id="a custom metric of a namespace",
        ),
    ],
)
def test_a_custom_metric_is_reviewed(method: str, target: str, attributes: dict[str, Any]) -> None:
    assert access_review(ALICE, request_info(method, read_target(target))) == {
        "user": "alice",
        "uid": "7",
        "groups": ["dev", "system:authenticated"],
        "extra": {"scopes": ["a", "b"]},
        "resourceAttributes": {"group": "custom.metrics.k8s.io", "version": "v1beta2", **attributes},
    }


def test_an_external_metric_is_reviewed_with_its_selectors() -> None:
    target = EXTERNAL + "/namespaces/shop/queue?labelSelector=a%3Db&fieldSelector=metadata.name%3Dx"
    info = request_info("GET", read_target(target))
    assert access_review(UserInfo("bob"), info) == {
        "user": "bob",
        "resourceAttributes": {
            "verb": "list",
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "namespace": "shop",
            "resource": "queue",
            "name": "x",
            "labelSelector": {"rawSelector": "a=b"},
            "fieldSelector": {"rawSelector": "metadata.name=x"},
        },
    }


def test_a_path_is_reviewed() -> None:
    info = request_info("POST", read_target("/write-metrics/pods/%61/qps"))
    assert access_review(ANONYMOUS, info) == {
        "user": "system:anonymous",
        "groups": ["system:unauthenticated"],
        "nonResourceAttributes": {"path": "/write-metrics/pods/a/qps", "verb": "post"},
    }


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        pytest.param("/healthz", True, id="one of the paths"),
        pytest.param("/healthz/", False, id="with a slash behind"),
        pytest.param("/healthz/ping", False, id="below one of the paths"),
        pytest.param("/health", False, id="shorter"),
        pytest.param("/open/", True, id="the beginning of a prefix"),
        pytest.param("/open/a/b", True, id="below a prefix"),
        pytest.param("/open", False, id="shorter than the prefix"),
        pytest.param("/", False, id="the root"),
    ],
)
def test_paths_are_always_allowed(path: str, allowed: bool) -> None:
    access = FakeAccess(NO)
    access.silent = True
    judge = authorizer(access, paths=("/healthz", "/open/*"))
    for verb in ("get", "delete"):
        info = RequestInfo(verb, path)
        assert judge.always_allows(info) == allowed
        if allowed:
            judge.authorize(ANONYMOUS, info)
        else:
            with pytest.raises(ServiceUnavailableError):
                judge.authorize(ANONYMOUS, info)
    assert bool(access.asked) != allowed


def test_no_resource_is_a_path_that_is_allowed() -> None:
    judge = authorizer(FakeAccess(NO), paths=("/apis/*",))
    judge.authorize(ANONYMOUS, RequestInfo("get", "/apis/custom.metrics.k8s.io"))
    with pytest.raises(ForbiddenError):
        judge.authorize(ANONYMOUS, POD)


def test_masters_may_do_all_without_asking() -> None:
    access = FakeAccess(NO)
    judge = authorizer(access)
    for info in (POD, METRICS):
        judge.authorize(ROOT, info)
        judge.authorize(ROOT, info, may_wait=False)
    assert access.asked == []
    with pytest.raises(ForbiddenError):
        judge.authorize(UserInfo("eve", groups=("dev,system:masters",)), POD)


@pytest.mark.parametrize("answer", [pytest.param(YES, id="a yes"), pytest.param(NO, id="a no")])
def test_a_decision_counts_for_ten_seconds(answer: Answer) -> None:
    access, clock = FakeAccess(answer), WallClock()
    judge = authorizer(access, clock)
    with pytest.raises(WouldWaitError):
        judge.authorize(ALICE, POD, may_wait=False)
    for moment, asked in ((0, 1), (9.9, 1), (10.1, 2), (20.3, 3)):
        clock.moved = moment
        decide(judge, ALICE)
        assert len(access.asked) == asked
        assert decide(judge, ALICE, may_wait=False) == answer.allowed


def decide(judge: Authorizer, user: UserInfo, info: RequestInfo = POD, *, may_wait: bool = True) -> bool:
    try:
        judge.authorize(user, info, may_wait=may_wait)
    except ForbiddenError:
        return False
    return True


def test_decisions_are_kept_apart() -> None:
    access = FakeAccess(YES)
    judge = authorizer(access)
    queue = EXTERNAL + "/namespaces/shop/queue"
    infos = [
        POD,
        POD._replace(name="cart-1"),
        POD._replace(verb="delete"),
        request_info("GET", read_target(queue)),
        request_info("GET", read_target(f"{queue}?labelSelector=a")),
        request_info("GET", read_target(f"{queue}?fieldSelector=a%3Db")),
        METRICS,
    ]
    users = [ALICE, UserInfo("alice"), UserInfo("alice", "8", ALICE.groups, ALICE.extra), ANONYMOUS]
    for _ in range(2):
        for user in users:
            for info in infos:
                judge.authorize(user, info)
    assert len(access.asked) == len(infos) * len(users)
    # What makes no difference to the decision makes none to its key.
    judge.authorize(UserInfo("alice", "7", ALICE.groups, ALICE.extra), POD)
    assert len(access.asked) == len(infos) * len(users)


def test_when_the_cluster_is_silent_a_decision_lives_to_its_end() -> None:
    access, clock = FakeAccess(YES), WallClock()
    judge = authorizer(access, clock)
    judge.authorize(ALICE, POD)
    access.silent = True
    clock.moved = 9.9
    judge.authorize(ALICE, POD)
    for user, info in ((ALICE, METRICS), (ANONYMOUS, POD)):
        with pytest.raises(ServiceUnavailableError, match=r"cannot tell whether this is allowed\Z") as caught:
            judge.authorize(user, info)
        assert "no answer within" in caught.value.cause
    clock.moved = 10.1
    with pytest.raises(ServiceUnavailableError):
        judge.authorize(ALICE, POD)
    # As soon as it speaks, it counts.
    access.silent = False
    judge.authorize(ALICE, POD)


@pytest.mark.parametrize(
    ("info", "answer", "message", "details"),
    [
        pytest.param(METRICS, NO, 'forbidden: User "alice" cannot get path "/metrics"', {}, id="a path"),
        pytest.param(
            RequestInfo("post", '/a"\\\x7fé\u200b\U000e0001<&>'),
            NO,
            r'forbidden: User "alice" cannot post path "/a\"\\\x7fé\u200b\U000e0001&lt;&amp;&gt;"',
            {},
            id="quoted as Go does, and no HTML",
        ),
        pytest.param(
            POD,
            NO,
            'pods.custom.metrics.k8s.io "cart-0" is forbidden: User "alice" cannot get resource "pods/qps"'
            ' in API group "custom.metrics.k8s.io" in the namespace "shop"',
            {"name": "cart-0", "group": "custom.metrics.k8s.io", "kind": "pods"},
            id="a resource with a name",
        ),
        pytest.param(
            request_info("GET", read_target(CUSTOM + "/nodes")),
            NO,
            'nodes.custom.metrics.k8s.io is forbidden: User "alice" cannot list resource "nodes"'
            ' in API group "custom.metrics.k8s.io" at the cluster scope',
            {"group": "custom.metrics.k8s.io", "kind": "nodes"},
            id="without a name, at the cluster's scope",
        ),
        pytest.param(
            request_info("GET", read_target("/api/v1/pods")),
            Answer(allowed=False, reason="RBAC: clusterrole <x> not found"),
            'pods is forbidden: User "alice" cannot list resource "pods" in API group "" at the cluster scope:'
            " RBAC: clusterrole <x> not found",
            {"kind": "pods"},
            id="without a group, with a reason",
        ),
    ],
)
def test_a_no_is_said_in_upstream_s_words(
    info: RequestInfo, answer: Answer, message: str, details: dict[str, str]
) -> None:
    with pytest.raises(ForbiddenError) as caught:
        authorizer(FakeAccess(answer)).authorize(ALICE, info)
    assert (caught.value.message, caught.value.details) == (message, details)


@given(name=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_is_quoted_on_one_line(name: str) -> None:
    with pytest.raises(ForbiddenError) as caught:
        authorizer(FakeAccess(NO)).authorize(UserInfo(name), METRICS)
    assert caught.value.message.isprintable()
    if name.isascii() and not set(name) & set("&<>\a\v\x7f") and all(ord(character) > 31 for character in name):
        quoted = caught.value.message.removeprefix("forbidden: User ").removesuffix(' cannot get path "/metrics"')
        assert json.loads(quoted) == name
