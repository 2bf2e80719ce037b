"""Reviews: what is asked, what the answer means, and that no token is told to anybody else."""

from __future__ import annotations

import logging

import pytest

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.reviews import Review, ReviewedUser, SubjectAccessReviews, TokenReviews
from tests.kube.conftest import FakeCluster

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESSES = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
TOKEN = "t0k3n-of-alice"
ALICE = ReviewedUser("alice", "", (), {})


@pytest.mark.parametrize(
    ("status", "audiences", "expected"),
    [
        pytest.param(
            {
                "authenticated": True,
                "user": {"username": "alice", "uid": "1", "groups": ["a", "b,c"], "extra": {"k": ["v", "w"]}},
            },
            [],
            ReviewedUser("alice", "1", ("a", "b,c"), {"k": ("v", "w")}),
            id="all that is known of a user",
        ),
        pytest.param({"authenticated": True, "user": {"username": "alice"}}, [], ALICE, id="a name alone"),
        pytest.param({}, [], None, id="a bad token"),
        pytest.param({"authenticated": False, "error": "bad"}, [], None, id="a bad token, with the reason"),
        pytest.param({"authenticated": "true", "user": {"username": "alice"}}, [], None, id="a text is no yes"),
        pytest.param(
            {"authenticated": True, "audiences": ["b", "c"], "user": {"username": "alice"}},
            ["a", "b"],
            ALICE,
            id="for one of our audiences",
        ),
        pytest.param(
            {"authenticated": True, "audiences": ["c"], "user": {"username": "alice"}},
            ["a", "b"],
            None,
            id="for another audience",
        ),
        pytest.param(
            {"authenticated": True, "user": {"username": "alice"}},
            ["a"],
            None,
            id="from a cluster that knows nothing of audiences",
        ),
    ],
)
def test_a_token_is_reviewed(
    client: ClusterClient, fake_cluster: FakeCluster, status: object, audiences: list[str], expected: ReviewedUser
) -> None:
    fake_cluster.answer(TOKENS, {"kind": "TokenReview", "status": status}, status=201)
    assert TokenReviews(client).review(TOKEN, audiences) == expected
    spec = {"token": TOKEN, "audiences": audiences} if audiences else {"token": TOKEN}
    assert fake_cluster.posted == [{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="no status"),
        pytest.param({"status": []}, id="a status that is a list"),
        pytest.param({"status": {"authenticated": True}}, id="no user"),
        pytest.param({"status": {"authenticated": True, "user": {"username": ""}}}, id="an empty name"),
        pytest.param({"status": {"authenticated": True, "user": {"username": 1}}}, id="a name that is a number"),
        pytest.param({"status": {"authenticated": True, "user": {"username": "a", "groups": "b"}}}, id="one group"),
        pytest.param(
            {"status": {"authenticated": True, "user": {"username": "a", "extra": ["k"]}}}, id="a list of extra"
        ),
        pytest.param({"status": {"authenticated": True, "user": {"username": "a", "extra": {"k": "v"}}}}, id="a text"),
    ],
)
def test_what_is_no_review_is_no_answer(client: ClusterClient, fake_cluster: FakeCluster, answer: object) -> None:
    fake_cluster.answer(TOKENS, answer)
    with pytest.raises(ClusterError, match=f"POST {TOKENS}: the answer"):
        TokenReviews(client).review(TOKEN, [])


def test_a_token_that_is_no_text_is_no_good(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    assert TokenReviews(client).review("\udc80", []) is None
    assert fake_cluster.paths == []


@pytest.mark.parametrize("status", [400, 403, 422, 500])
def test_no_token_is_told(
    client: ClusterClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Neither by the error nor by a log line, however loud, when the cluster refuses and quotes the body."""
    caplog.set_level(logging.DEBUG)

    def refuse(document: dict[str, object]) -> tuple[int, object]:
        # What is refused for want of rights was not read.
        return status, {"kind": "Status", "message": "no rights" if status == 403 else f"cannot read {document}"}

    fake_cluster.answer(TOKENS, refuse)
    reviews = TokenReviews(client)
    with pytest.raises(ClusterError) as caught:
        reviews.review(TOKEN, [])
    assert TOKEN not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caplog.text} {reviews!r}"
    assert caught.value.status == status
    assert ("no rights" in str(caught.value)) is (status == 403)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"allowed": True}, Review(True, False, ""), id="yes"),
        pytest.param({"allowed": True, "reason": "RBAC: x"}, Review(True, False, "RBAC: x"), id="yes, with the reason"),
        pytest.param({"allowed": False, "reason": "x"}, Review(False, False, "x"), id="no opinion"),
        pytest.param({"allowed": False, "denied": True}, Review(False, True, ""), id="a firm no"),
        pytest.param({}, Review(False, False, ""), id="nothing said is no yes"),
        pytest.param({"allowed": "true"}, Review(False, False, ""), id="a text is no yes"),
    ],
)
def test_an_access_is_reviewed(
    client: ClusterClient, fake_cluster: FakeCluster, status: object, expected: Review
) -> None:
    fake_cluster.answer(ACCESSES, {"status": status}, status=201)
    spec = {"user": "alice", "nonResourceAttributes": {"path": "/", "verb": "get"}}
    assert SubjectAccessReviews(client).review(spec) == expected
    assert fake_cluster.posted == [
        {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    ]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="no status"),
        pytest.param({"status": {"allowed": True, "denied": True}}, id="yes and no"),
    ],
)
def test_an_access_without_an_answer_is_an_error(
    client: ClusterClient, fake_cluster: FakeCluster, answer: object
) -> None:
    fake_cluster.answer(ACCESSES, answer)
    with pytest.raises(ClusterError, match=f"POST {ACCESSES}: the answer"):
        SubjectAccessReviews(client).review({})


def test_a_cluster_that_is_not_there_is_an_error(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    fake_cluster.close()
    for review in (lambda: SubjectAccessReviews(client).review({}), lambda: TokenReviews(client).review(TOKEN, [])):
        with pytest.raises(ClusterError, match="refused") as caught:
            review()
        assert caught.value.status is None
