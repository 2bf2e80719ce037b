"""Whoever floods the server with what needs a review takes nothing from those who were verified: the real application.

The cluster is a real one on a socket, and never answers those who flood; the server's threads are a pool as large as
gunicorn's.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from metrics_apiserver.auth.authorizer import Authorizer
from metrics_apiserver.auth.bearer_token import BearerTokens
from metrics_apiserver.auth.request_info import request_info
from metrics_apiserver.auth.user import ANONYMOUS as USER_ANONYMOUS
from metrics_apiserver.auth.waiting import Waiting
from metrics_apiserver.concurrency.budget import REVIEWS_OF_ONE_USER, REVIEWS_OF_STRANGERS, THREADS
from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.target import read_target
from tests.auth.conftest import ACCESS_REVIEWS, CLIENT_CA, PROXY_CA, TOKEN_REVIEWS, Ask, Reviewing, asker, wait_until
from tests.auth.making import Answer, FakeAccess, FakeTokens, Gate, TokenUser, WallClock, make, named
from tests.controlplane.certificates import Certificate

VALUE = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/cart-0"
PROXY = make(named("front-proxy-client"), by=PROXY_CA)
OPERATOR = make(named("operator"), by=CLIENT_CA)
AUTOSCALER = [("X-REMOTE-USER", "system:serviceaccount:kube-system:horizontal-pod-autoscaler")]
GUEST = [("X-REMOTE-USER", "system:anonymous"), ("X-REMOTE-GROUP", "system:unauthenticated")]
# Whose questions the cluster leaves unanswered.
FLOODING = ("system:anonymous", "mallory")
CLIENTS = 64
READS = 15


class Identity(NamedTuple):
    """What a request presents."""

    pairs: list[tuple[str, str]]
    certificate: Certificate | None = None


def bearer(token: str) -> Identity:
    return Identity([("AUTHORIZATION", f"Bearer {token}")])


ANONYMOUS = Identity([])
# The cluster knows these tokens, and no other.
TOKENS = {"of-mallory": "mallory", "of-prometheus": "prometheus"}
VERIFIED = {
    "the autoscaler through the front proxy": Identity(AUTOSCALER, PROXY),
    "a client certificate": Identity([], OPERATOR),
    "a token that was accepted before": bearer("of-prometheus"),
}
STORMS: dict[str, tuple[Callable[[], Identity], int]] = {
    "the anonymous, who ask for paths that nobody asked for": (lambda: ANONYMOUS, REVIEWS_OF_STRANGERS),
    "the anonymous, through the front proxy": (lambda: Identity(GUEST, PROXY), REVIEWS_OF_STRANGERS),
    "tokens that were made up": (lambda: bearer(secrets.token_hex()), REVIEWS_OF_STRANGERS),
    "made-up tokens and the anonymous": (
        lambda: secrets.choice((ANONYMOUS, bearer(secrets.token_hex()))),
        REVIEWS_OF_STRANGERS,
    ),
    "one user without rights": (lambda: bearer("of-mallory"), REVIEWS_OF_ONE_USER),
}


class Storm:
    """A cluster that holds the questions of those who flood."""

    def __init__(self, reviewing: Reviewing) -> None:
        self.gate = Gate()
        reviewing.answer(TOKEN_REVIEWS, self._token)
        reviewing.answer(ACCESS_REVIEWS, self._access)

    def _token(self, document: Mapping[str, Any]) -> dict[str, Any]:
        name = TOKENS.get(document["spec"]["token"])
        if name is None:
            self.gate.pass_through()
            return {"status": {"authenticated": False}}
        return {"status": {"authenticated": True, "user": {"username": name}}}

    def _access(self, document: Mapping[str, Any]) -> dict[str, Any]:
        if document["spec"]["user"] in FLOODING:
            self.gate.pass_through()
            return {"status": {"allowed": False}}
        return {"status": {"allowed": True}}


@pytest.fixture(name="storm")
def _storm(reviewing: Reviewing) -> Iterator[Storm]:
    storm = Storm(reviewing)
    yield storm
    storm.gate.open()


def status(ask: Ask, target: str, identity: Identity) -> int:
    return ask(target, *identity).status_code


class Flood:
    """Clients who ask without a pause, each for another path; they count the answers that say no at once."""

    def __init__(self, send: Callable[[str, Identity], Future[int]], who: Callable[[], Identity]) -> None:
        self._send, self._who = send, who
        self._over = threading.Event()
        self._numbers = itertools.count()
        self._refused = threading.Semaphore(0)

    def __call__(self) -> None:
        while not self._over.is_set():
            if self._send(f"/nothing/{next(self._numbers)}", self._who()).result(60) == 503:
                self._refused.release()

    def wait_for_refusals(self, count: int) -> None:
        for _ in range(count):
            assert self._refused.acquire(timeout=20), "nothing is refused"

    def end(self) -> None:
        self._over.set()


@pytest.mark.parametrize("name", list(STORMS))
def test_no_read_of_a_verified_user_fails(cluster_server: MetricsServer, storm: Storm, name: str) -> None:
    """Each of its reads is of another metric, so that each needs a review; 404 is what such a metric is."""
    who, most = STORMS[name]
    assert cluster_server.delegation is not None
    ask = asker(cluster_server)
    for identity in (bearer("of-prometheus"), bearer("of-mallory")):
        assert status(ask, "/livez", identity) == 200
    with ThreadPoolExecutor(THREADS) as pool, ThreadPoolExecutor(CLIENTS + len(VERIFIED)) as clients:

        def send(target: str, identity: Identity) -> Future[int]:
            return pool.submit(status, ask, target, identity)

        def read(identity: Identity) -> list[int]:
            return [send(f"{VALUE}/metric-{number}", identity).result(60) for number in range(READS)]

        flood = Flood(send, who)
        flooding = [clients.submit(flood) for _ in range(CLIENTS)]
        try:
            storm.gate.wait_for(most)
            flood.wait_for_refusals(5 * CLIENTS)
            reads = list(clients.map(read, VERIFIED.values()))
            flood.wait_for_refusals(CLIENTS)
            held = cluster_server.delegation.waiting.taken
        finally:
            flood.end()
            storm.gate.open()
        for each in flooding:
            each.result(60)
    assert dict(zip(VERIFIED, map(set, reads), strict=True)) == {verified: {404} for verified in VERIFIED}
    # Nobody of those who flood waits but in a place of theirs, nor does anybody wait when it is over.
    assert held <= most
    assert cluster_server.delegation.waiting.taken == 0


class HeldTokens(FakeTokens):
    """Knows the tokens of the cluster at once, and never says whose any other is."""

    def __init__(self) -> None:
        super().__init__({token: TokenUser(name) for token, name in TOKENS.items()})
        self.gate = Gate()

    def review(self, token: str, audiences: Sequence[str]) -> TokenUser | None:
        if token not in self.users:
            self.gate.pass_through()
        return super().review(token, audiences)


def test_a_token_that_was_accepted_lately_is_reviewed_ahead_of_made_up_ones() -> None:
    """Ten seconds later, an hour later it is a stranger's; so is one that was refused since."""
    tokens, clock = HeldTokens(), WallClock()
    bearer_tokens = BearerTokens(tokens, audiences=(), monotonic=clock.monotonic, waiting=Waiting())

    def user(token: str) -> str | None:
        found = bearer_tokens.user(token)
        return found.name if found else None

    assert [user(token) for token in TOKENS] == list(TOKENS.values())
    with ThreadPoolExecutor(CLIENTS) as pool:
        made_up = [pool.submit(user, secrets.token_hex()) for _ in range(CLIENTS)]
        tokens.gate.wait_for(REVIEWS_OF_STRANGERS)
        wait_until(lambda: sum(each.done() for each in made_up) == CLIENTS - REVIEWS_OF_STRANGERS)
        clock.moved = 11
        assert user("of-prometheus") == "prometheus"
        # Refused: now it is as good as any other.
        tokens.users["of-mallory"] = None
        assert user("of-mallory") is None
        clock.moved = 22
        with pytest.raises(ServiceUnavailableError, match="too many tokens"):
            user("of-mallory")
        assert user("of-prometheus") == "prometheus"
        clock.moved = 4000
        with pytest.raises(ServiceUnavailableError, match="too many tokens"):
            user("of-prometheus")
        tokens.gate.open()
        given = [each.exception(20) for each in made_up]
    assert sum(error is None for error in given) == REVIEWS_OF_STRANGERS


def test_made_up_tokens_drive_out_none_that_is_kept() -> None:
    """Nor do the questions of the anonymous the decisions about others."""
    tokens, access, clock, waiting = FakeTokens(), FakeAccess(Answer(allowed=True)), WallClock(), Waiting()
    bearer_tokens = BearerTokens(tokens, audiences=(), monotonic=clock.monotonic, waiting=waiting)
    authorizer = Authorizer(access, always_allow_paths=(), monotonic=clock.monotonic, waiting=waiting)
    known, info = bearer_tokens.user("good"), request_info("GET", read_target("/version"))
    assert known is not None
    authorizer.authorize(known, info)
    for number in range(12_000):
        bearer_tokens.user(f"made up {number}")
        authorizer.authorize(USER_ANONYMOUS, request_info("GET", read_target(f"/{number}")))
    assert bearer_tokens.user("good", may_wait=False) == known
    authorizer.authorize(known, info, may_wait=False)
