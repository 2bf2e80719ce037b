"""Plain requests are judged as all others, on the loop from what is known already."""

from __future__ import annotations

from unittest.mock import ANY

import pytest

from metrics_apiserver.server import MetricsServer
from tests.answering.plain import plain
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
    """Ask as the worker's loop does; the code and the body."""
    made = plain(server, target, pairs, der(certificate) if certificate else None)
    return (made.code, made.body) if made is not None else None


@pytest.mark.parametrize("name", list(ASKED))
def test_identity_is_known_on_the_loop_once_it_was_decided(cluster_server: MetricsServer, ask: Ask, name: str) -> None:
    """Before that nobody is; and then each gets the recorded answer there: 404 means that it may."""
    pairs, certificate = ASKED[name]
    shown = der(certificate) if certificate else None
    status = RECORD["identities"][name]["status"]
    assert at_once(cluster_server, VALUE, pairs, certificate) in (None, (401, ANY))
    waited = plain(cluster_server, VALUE, pairs, shown, may_wait=True)
    assert waited is not None
    assert waited.code == status
    answer = ask(VALUE, pairs, certificate)
    assert at_once(cluster_server, VALUE, pairs, certificate) == (status, answer.data)


@pytest.mark.parametrize("header", ["IMPERSONATE-USER", "IMPERSONATE-GROUP", "IMPERSONATE-EXTRA-SCOPES"])
def test_nobody_is_impersonated(cluster_server: MetricsServer, ask: Ask, header: str) -> None:
    pairs, certificate = ASKED[MASTERS]
    ask(VALUE, pairs, certificate)
    assert at_once(cluster_server, VALUE, pairs, certificate) is not None
    refused = at_once(cluster_server, VALUE, [*pairs, (header, "root")], certificate)
    assert refused is not None
    assert refused[0] == 403


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
    answer = at_once(cluster_server, target, pairs, certificate)
    assert answer is None or answer[0] == 404
