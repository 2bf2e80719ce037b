"""The real application: what comes before what, what is logged, and what happens while the cluster is away."""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from werkzeug.test import Client

from metrics_apiserver.concurrency.budget import REVIEWS_OF_STRANGERS
from metrics_apiserver.logs import DECISIONS
from metrics_apiserver.provider import UserInfo
from metrics_apiserver.server import MetricsServer
from tests.auth.conftest import (
    ACCESS_REVIEWS,
    CLIENT_CA,
    CONFIG_MAPS,
    PROXY_CA,
    TOKEN_REVIEWS,
    Ask,
    Reviewing,
    asker,
    config_maps,
    wait_until,
)
from tests.auth.making import Answer, Gate, der, make, named, root
from tests.controlplane.certificates import Certificate
from tests.dispatch.making import Scripted, instance, series

CUSTOM, EXTERNAL = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/external.metrics.k8s.io/v1beta1"
VALUE = CUSTOM + "/namespaces/shop/pods/cart-0/qps"
ALICE = make(named("alice"), by=CLIENT_CA)
ADMIN = make(named("admin", "system:masters"), by=CLIENT_CA)
PROXY = make(named("front-proxy-client"), by=PROXY_CA)
TOKEN, BAD = [("AUTHORIZATION", "Bearer good")], [("AUTHORIZATION", "Bearer bad")]
MASTER = [("X-REMOTE-USER", "bob"), ("X-REMOTE-GROUP", "system:masters")]


@pytest.mark.parametrize(
    ("target", "pairs", "status"),
    [
        pytest.param("/apis//a", BAD, 404, id="an ambiguous path before who asks"),
        pytest.param("/metrics/..%2f", BAD, 404, id="an encoded slash before who asks"),
        pytest.param("/nope", BAD, 401, id="who asks before whether there is such a path"),
        pytest.param("/nope", [], 403, id="whether they may before whether there is such a path"),
        pytest.param("/nope", MASTER, 404, id="then whether there is such a path"),
        pytest.param(CUSTOM + "/namespaces/shop/pods/a/b?labelSelector=((", MASTER, 400, id="then its content"),
        pytest.param(EXTERNAL + "/namespaces/shop/a?x=%ff", MASTER, 400, id="a query that cannot be read"),
        pytest.param("/healthz", BAD, 401, id="a bad token also where everybody may"),
        pytest.param("/healthz", [], 200, id="where everybody may"),
    ],
)
def test_what_comes_first(ask: Ask, target: str, pairs: list[tuple[str, str]], status: int) -> None:
    assert ask(target, pairs, PROXY if pairs is MASTER else None).status_code == status


@pytest.mark.parametrize(
    ("method", "pairs", "status"),
    [
        pytest.param("HEAD", [], 403, id="HEAD who may not"),
        pytest.param("HEAD", MASTER, 405, id="HEAD who may"),
        pytest.param("POST", [], 403, id="POST who may not"),
        pytest.param("BREW", [], 403, id="an unknown method"),
    ],
)
def test_the_method_comes_after_who_may(ask: Ask, method: str, pairs: list[tuple[str, str]], status: int) -> None:
    assert ask(VALUE, pairs, PROXY if pairs else None, method=method).status_code == status


def test_writes_are_paths(ask: Ask, reviewing: Reviewing) -> None:
    target = "/write-metrics/namespaces/shop/pods/cart-0/qps"
    for method in ("POST", "DELETE"):
        answer = ask(target, TOKEN, method=method, body=b'"1"')
        assert (answer.status_code, answer.get_json()["details"]) == (403, {})
        assert f"cannot {method.lower()} path" in answer.get_json()["message"]
    attributes = [spec["nonResourceAttributes"] for spec in reviewing.access_reviews]
    assert attributes == [{"path": target, "verb": "post"}, {"path": target, "verb": "delete"}]


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(CUSTOM + "/watch/a/b", id="watch in front"),
        pytest.param(CUSTOM + "/namespaces/shop/status/a/b", id="a namespace's status, to a route a resource"),
        pytest.param(EXTERNAL + "/namespaces/shop/status", id="a namespace's status, to a route a metric"),
        pytest.param(EXTERNAL + "/namespaces/shop/finalize/", id="a namespace's finalize"),
    ],
)
def test_what_a_route_would_read_otherwise_is_not_served(ask: Ask, target: str) -> None:
    assert ask(target).status_code == 403
    assert ask(target, [], ADMIN).status_code == 404


def test_a_decision_is_asked_for_once(ask: Ask, reviewing: Reviewing) -> None:
    for _ in range(3):
        ask(VALUE, TOKEN)
    assert [document["kind"] for document in reviewing.posted] == ["TokenReview", "SubjectAccessReview"]


def test_decisions_are_logged_without_the_token(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(DECISIONS, "metrics_apiserver")
    ask("/version", TOKEN)
    ask("/nope", TOKEN)
    ask(VALUE, [("AUTHORIZATION", "Bearer a-secret")], make(named("eve"), by=root("foreign")))
    lines = [record.getMessage() for record in caplog.records if record.name == "metrics_apiserver.auth"]
    allowed, forbidden, refused = (line for line in lines if "allowed" in line or "refused" in line)
    assert "allowed" in allowed
    assert "system:serviceaccount:shop:nobody" in forbidden
    assert "cannot get path" in forbidden
    assert "the cluster refused the token" in refused
    assert "local issuer" in refused
    assert not any("a-secret" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("path", ["/token=a-secret/x", "/x;token=a-secret", "/x%3Ftoken=a-secret", "/u:a-secret@h"])
def test_a_refusal_quotes_no_path_that_hides_something(ask: Ask, caplog: pytest.LogCaptureFixture, path: str) -> None:
    """What is answered says it; that is the client's own."""
    caplog.set_level(DECISIONS, "metrics_apiserver")
    assert ask(path, TOKEN).status_code == 403
    lines = [record.getMessage() for record in caplog.records]
    assert any("refused" in line for line in lines)
    assert not any("a-secret" in line for line in lines)


def test_the_user_is_in_the_request_s_line(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "metrics_apiserver")
    for pairs, certificate in (([], ALICE), (MASTER, PROXY), ([], None), (BAD, None)):
        ask("/nope", pairs, certificate)
    lines = [record.msg for record in caplog.records if record.name == "metrics_apiserver.requests"]
    for line, user in zip(lines, ("alice", "bob", "system:anonymous", "-"), strict=True):
        assert line["user"] == user


def test_while_the_config_map_is_unread_the_server_is_not_ready(
    reviewing: Reviewing, make_cluster_server: Callable[..., MetricsServer], caplog: pytest.LogCaptureFixture
) -> None:
    reviewing.refuse(CONFIG_MAPS, 403, "no right to read it")
    server = make_cluster_server()
    ask = asker(server)
    wait_until(lambda: "no right to read it" in (server.authentication_check() or ""))
    answer = ask("/readyz")
    assert answer.status_code == 500
    assert "[-]authentication failed: " in answer.text
    assert ask("/livez").status_code == 200
    answer = ask(VALUE, [], ALICE)
    assert (answer.status_code, answer.get_json()["reason"]) == (503, "ServiceUnavailable")
    assert answer.get_json()["message"] == "nobody can tell yet whether the client certificate is good"
    assert "no right to read it" in caplog.text
    assert ask(VALUE, TOKEN).status_code == 403
    assert server.client_authorities() == ()
    reviewing.answer(CONFIG_MAPS, config_maps())
    wait_until(lambda: server.authentication_check() is None)
    assert ask(VALUE, [], ALICE).status_code == 403


@pytest.mark.parametrize("setting", ["authentication_skip_lookup", "authentication_tolerate_lookup_failure"])
def test_a_lookup_that_fails_may_be_taken(
    reviewing: Reviewing, make_cluster_server: Callable[..., MetricsServer], setting: str
) -> None:
    reviewing.refuse(CONFIG_MAPS, 403, "no right to read it")
    server = make_cluster_server(**{setting: "true"})
    assert server.authentication_check() is None
    ask = asker(server)
    assert ask(VALUE, [], ALICE).status_code == 401
    assert ask(VALUE, TOKEN).status_code == 403
    assert ask("/readyz/authentication", MASTER).status_code == 403
    if setting == "authentication_skip_lookup":
        assert CONFIG_MAPS not in reviewing.paths


def test_the_files_of_flags_are_read_at_the_start(
    make_cluster_server: Callable[..., MetricsServer], reviewing: Reviewing, tmp_path: Path
) -> None:
    client, proxy = tmp_path / "client.crt", tmp_path / "proxy.crt"
    client.write_bytes(CLIENT_CA.certificate_pem)
    proxy.write_bytes(PROXY_CA.certificate_pem)
    server = make_cluster_server(client_ca_file=str(client), requestheader_client_ca_file=str(proxy))
    assert server.authentication_check() is None
    assert server.client_authorities() == (der(CLIENT_CA), der(PROXY_CA))
    ask = asker(server)
    assert ask("/nope", [], ADMIN).status_code == 404
    assert ask("/nope", MASTER, PROXY).status_code == 404
    assert CONFIG_MAPS not in reviewing.paths


def test_a_rotated_config_map_is_in_use_without_a_restart(reviewing: Reviewing, make_cluster_server) -> None:
    (watch,) = reviewing.watches(1)
    server = make_cluster_server()
    wait_until(lambda: watch.opened)
    ask = asker(server)
    assert server.client_authorities() == (der(CLIENT_CA), der(PROXY_CA))
    assert ask("/nope", [], ADMIN).status_code == 404
    other = root("other-ca")
    reviewing.answer(CONFIG_MAPS, config_maps(client_ca=other))
    watch.send({"type": "MODIFIED", "object": {"metadata": {"name": "x", "resourceVersion": "2"}}})
    wait_until(lambda: server.client_authorities() == (der(other), der(PROXY_CA)))
    assert ask("/nope", [], ADMIN).status_code == 401
    assert ask("/nope", [], make(named("admin", "system:masters"), by=other)).status_code == 404


class TestWhileTheClusterIsSilent:
    """It takes requests, and answers none."""

    @pytest.fixture(name="gate")
    def _gate(self, reviewing: Reviewing, cluster_server: MetricsServer):
        gate = Gate()

        def hold(_: object) -> tuple[int, dict[str, str]]:
            gate.pass_through()
            return 500, {"kind": "Status", "message": "out of order"}

        reviewing.answer(TOKEN_REVIEWS, hold)
        reviewing.answer(ACCESS_REVIEWS, hold)
        yield gate
        gate.open()

    def test_probes_and_masters_are_answered(self, ask: Ask, gate: Gate) -> None:
        answers: list[int] = []
        asked = [
            threading.Thread(target=lambda number=number: answers.append(ask(f"/{number}").status_code))
            for number in range(REVIEWS_OF_STRANGERS)
        ]
        for thread in asked:
            thread.start()
        gate.wait_for(REVIEWS_OF_STRANGERS)
        for path in ("/livez", "/readyz", "/healthz"):
            assert ask(path).status_code == 200
        assert ask("/nope", MASTER, PROXY).status_code == 404
        assert ask("/nope", [], ADMIN).status_code == 404
        # The next question is refused at once.
        answer = ask("/17")
        assert (answer.status_code, answer.get_json()["reason"]) == (503, "ServiceUnavailable")
        gate.open()
        for thread in asked:
            thread.join(20)
        assert answers == [503] * REVIEWS_OF_STRANGERS

    def test_what_is_always_allowed_stays_so_with_a_token(self, ask: Ask, gate: Gate) -> None:
        gate.open()
        assert ask("/livez", TOKEN).status_code == 200
        answer = ask(VALUE, TOKEN)
        assert answer.status_code == 503
        assert "cannot tell whose the token is" in answer.get_json()["message"]
        assert "good" not in answer.get_json()["message"]


@pytest.mark.parametrize(
    ("target", "pairs", "certificate"),
    [
        pytest.param("/readyz?verbose", [], None, id="a probe"),
        pytest.param("/readyz/rest-mapping", [], None, id="one check"),
        pytest.param(VALUE, TOKEN, None, id="whose a token is"),
        pytest.param(VALUE, [], None, id="whether anybody may"),
        pytest.param(VALUE, [], ALICE, id="whether a certificate is good"),
        pytest.param(VALUE, MASTER[:1], PROXY, id="whether a front proxy's is"),
    ],
)
def test_nobody_is_told_where_the_cluster_is(
    reviewing: Reviewing,
    make_cluster_server: Callable[..., MetricsServer],
    caplog: pytest.LogCaptureFixture,
    target: str,
    pairs: list[tuple[str, str]],
    certificate: Certificate | None,
) -> None:
    """The log has it, once in a while, and whoever may read /debug."""
    address = reviewing.url.removeprefix("http://")
    reviewing.close()
    server = make_cluster_server()
    wait_until(lambda: "Connection refused" in (server.cluster.check() or ""))
    wait_until(lambda: "Connection refused" in (server.authentication_check() or ""))
    answer = asker(server)(target, pairs, certificate)
    assert answer.status_code in (500, 503)
    for told in ("127.0.0.1", address.partition(":")[2], "refused", "Connection"):
        assert told not in answer.text
    assert "Connection refused" in caplog.text
    assert "Connection refused" in str(server.cluster.check())


def test_a_reason_of_the_cluster_is_told(ask: Ask, reviewing: Reviewing) -> None:
    reviewing.decide = lambda _: Answer(allowed=False, reason="RBAC: not today")
    assert ask("/version").get_json()["message"].endswith('cannot get path "/version": RBAC: not today')


def test_a_standalone_server_knows_nobody(server: MetricsServer, client: Client) -> None:
    assert server.client_authorities() == ()
    assert server.authentication_check() is None
    assert client.get("/metrics").status_code == 200
    assert client.get("/readyz/authentication").text == "ok"


def test_the_certificate_s_end_is_a_metric(server: MetricsServer, client: Client) -> None:
    server.observe_certificate(datetime.datetime(2033, 5, 18, 3, 33, 20, tzinfo=datetime.UTC))
    name = "metrics_apiserver_serving_certificate_expiration_timestamp_seconds"
    assert f"{name} 2e+09" in client.get("/metrics").text.splitlines()


def test_who_asks_reaches_a_provider_that_wants_to_know(cluster_server: MetricsServer, ask: Ask) -> None:
    seen = []
    provider = Scripted(lambda ctx: seen.append(ctx.user) or series(1), from_memory=True, per_user=True)
    cluster_server.router.replace([instance(provider)])
    extra = ("X-REMOTE-EXTRA-SCOPES", "a")
    assert ask(EXTERNAL + "/namespaces/shop/queue", [*MASTER, extra], PROXY).status_code == 200
    groups = ("system:masters", "system:authenticated")
    assert seen == [UserInfo("bob", groups=groups, extra={"scopes": ("a",)})]
