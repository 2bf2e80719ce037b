"""The short path lets in whom the filter lets in, and only what is known already."""

from __future__ import annotations

import pytest

from metrics_apiserver.factory import MetricsServer
from tests.auth.conftest import Ask, Reviewing
from tests.auth.making import Answer, der
from tests.auth.test_identities import ASKED, RECORD, VALUE
from tests.controlplane.certificates import Certificate

MASTERS = "client cert of system:masters"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/my-external-metric"
GOOD_TOKEN = [("AUTHORIZATION", "Bearer good")]


def at_once(
    server: MetricsServer, target: str, pairs: list[tuple[str, str]], certificate: Certificate | None = None
) -> tuple[int, bytes] | None:
    """Ask as the worker does; the code and the body."""
    assert server.answer is not None
    made = server.answer(target, tuple(pairs), der(certificate) if certificate else None)
    if made is None:
        return None
    head, body = made.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), body


@pytest.mark.parametrize("name", list(ASKED))
def test_only_who_was_let_in_is_answered(cluster_server: MetricsServer, ask: Ask, name: str) -> None:
    """Nobody before the filter knows the identity, and then those whom it lets in: 404 means that, as in the record."""
    pairs, certificate = ASKED[name]
    assert at_once(cluster_server, VALUE, pairs, certificate) is None
    answer = ask(VALUE, pairs, certificate)
    expected = (404, answer.data) if RECORD["identities"][name]["status"] == 404 else None
    assert at_once(cluster_server, VALUE, pairs, certificate) == expected


@pytest.mark.parametrize("header", ["IMPERSONATE-USER", "IMPERSONATE-GROUP", "IMPERSONATE-EXTRA-SCOPES"])
def test_nobody_is_impersonated(cluster_server: MetricsServer, ask: Ask, header: str) -> None:
    pairs, certificate = ASKED[MASTERS]
    ask(VALUE, pairs, certificate)
    assert at_once(cluster_server, VALUE, pairs, certificate) is not None
    assert at_once(cluster_server, VALUE, [*pairs, (header, "root")], certificate) is None


def test_a_decision_is_one_of_its_request_alone(cluster_server: MetricsServer, ask: Ask, reviewing: Reviewing) -> None:
    """Another selector, another metric, another user: the cluster has to be asked."""
    reviewing.decide = lambda _spec: Answer(True)
    assert ask(f"{EXTERNAL}?labelSelector=a%3Db", GOOD_TOKEN).status_code == 200
    assert at_once(cluster_server, f"{EXTERNAL}?labelSelector=a%3Db", GOOD_TOKEN) is not None
    assert at_once(cluster_server, f"{EXTERNAL}?labelSelector=a%3Dc", GOOD_TOKEN) is None
    assert at_once(cluster_server, EXTERNAL, GOOD_TOKEN) is None
    assert at_once(cluster_server, f"{EXTERNAL}?labelSelector=a%3Db", []) is None


def test_probes_are_answered_to_anybody_who_presents_nothing(cluster_server: MetricsServer) -> None:
    assert at_once(cluster_server, "/livez", []) == (200, b"ok")
    assert at_once(cluster_server, "/readyz", []) == (200, b"ok")
    assert at_once(cluster_server, "/livez", [("AUTHORIZATION", "Bearer bad")]) is None


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/apis/custom.metrics.k8s.io/v1beta2/watch/pods/cart-0/rps", id="a watch"),
        pytest.param("/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/status", id="a subresource of a namespace"),
    ],
)
def test_what_a_route_would_read_otherwise_is_not_served(cluster_server: MetricsServer, ask: Ask, target: str) -> None:
    pairs, certificate = ASKED[MASTERS]
    assert ask(target, pairs, certificate).status_code == 404
    assert at_once(cluster_server, target, pairs, certificate) is None
