"""Who asks, and what is answered: every row of the record, on a small cluster that decides as the real one did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.auth.conftest import CLIENT_CA, PROXY_CA, Ask, Reviewing, asker, start_server, wait_until_ready
from tests.auth.making import CLIENT, SERVER, make, named, root
from tests.controlplane.certificates import Certificate

RECORD = json.loads((Path(__file__).parent.parent / "conformance" / "identities.json").read_text())
VALUE = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/cart-0/packets-per-second"

ALICE = make(named("alice"), by=CLIENT_CA)
PROXY = make(named("front-proxy-client"), by=PROXY_CA)
FOREIGN = make(named("eve"), by=root("foreign-ca"))
TOKEN = [("AUTHORIZATION", "Bearer good")]
BOB, MASTER = ("X-REMOTE-USER", "bob"), ("X-REMOTE-GROUP", "system:masters")

# How each row of the record was asked.
ASKED: dict[str, tuple[list[tuple[str, str]], Certificate | None]] = {
    "nothing": ([], None),
    "valid client cert, no rights": ([], ALICE),
    "client cert of system:masters": ([], make(named("admin", "system:masters"), by=CLIENT_CA)),
    "client cert with serverAuth only, system:masters": (
        [],
        make(named("admin", "system:masters"), by=CLIENT_CA, usages=[SERVER]),
    ),
    "foreign client cert": ([], FOREIGN),
    "foreign client cert and a good token without rights": (TOKEN, FOREIGN),
    "X-Remote headers without cert": ([BOB, MASTER], None),
    "X-Remote headers with a client-CA cert": ([BOB, MASTER], ALICE),
    "X-Remote headers with the front-proxy cert": ([BOB, MASTER], PROXY),
    "X-Remote headers with a front-proxy-CA cert of another name": (
        [BOB, MASTER],
        make(named("another"), by=PROXY_CA, usages=[CLIENT]),
    ),
    "X-Remote headers with a serverAuth front-proxy cert": (
        [BOB, MASTER],
        make(named("front-proxy-client"), by=PROXY_CA, usages=[SERVER]),
    ),
    "front-proxy cert without X-Remote headers": ([], PROXY),
    "front-proxy cert, user without groups": ([BOB], PROXY),
    "front-proxy cert, repeated groups": ([BOB, ("X-REMOTE-GROUP", "dev"), MASTER], PROXY),
    "front-proxy cert, one group header with a comma": ([BOB, ("X-REMOTE-GROUP", "dev,system:masters")], PROXY),
    # The worker drops a name with an underscore; if it did not, it would be another name.
    "front-proxy cert, underscore header": ([("X_REMOTE_USER", "bob"), ("X_REMOTE_GROUP", "system:masters")], PROXY),
    "bad token": ([("AUTHORIZATION", "Bearer bad")], None),
    "empty token": ([("AUTHORIZATION", "Bearer ")], None),
    "basic auth": ([("AUTHORIZATION", "Basic YTpi")], None),
    "front-proxy cert, user and a token": ([BOB, MASTER, ("AUTHORIZATION", "Bearer bad")], PROXY),
}
# Ours: a kube-apiserver impersonates before it forwards.
IMPERSONATION = "valid client cert no rights and impersonation header"


@pytest.fixture(name="ask", scope="module")
def _ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask one server for all: no row changes anything."""
    cluster = Reviewing()
    server = start_server(cluster, tmp_path_factory.mktemp("cluster"))
    wait_until_ready(server)
    yield asker(server)
    server.stop()
    cluster.close()


def check(answer: Any, row: dict[str, Any]) -> None:
    assert answer.status_code == row["status"]
    if row["status"] == 200:
        return
    status = answer.get_json()
    assert (status["reason"], status["message"]) == (row["reason"], row["message"])
    assert status.get("details") == row["details"]


@pytest.mark.parametrize("name", [name for name in RECORD["identities"] if name != IMPERSONATION])
def test_every_identity_is_answered_as_recorded(ask: Ask, name: str) -> None:
    pairs, certificate = ASKED[name]
    answer = ask(VALUE, pairs, certificate)
    check(answer, RECORD["identities"][name])
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if answer.status_code == 401 else None)


@pytest.mark.parametrize("path", list(RECORD["anonymous"]))
def test_every_path_is_answered_to_the_anonymous(ask: Ask, path: str) -> None:
    check(ask(path), RECORD["anonymous"][path])


@pytest.mark.parametrize("path", list(RECORD["token_without_rights"]))
def test_every_path_is_answered_to_a_token_without_rights(ask: Ask, path: str) -> None:
    check(ask(path, TOKEN), RECORD["token_without_rights"][path])


@pytest.mark.parametrize(
    "header", ["IMPERSONATE-USER", "IMPERSONATE-GROUP", "IMPERSONATE-UID", "IMPERSONATE-EXTRA-SCOPES"]
)
def test_nobody_is_impersonated(ask: Ask, header: str) -> None:
    for pairs, certificate in (([], ALICE), ([BOB, MASTER], PROXY), ([], None)):
        answer = ask(VALUE, [*pairs, (header, "root")], certificate)
        assert (answer.status_code, answer.get_json()["reason"]) == (403, "Forbidden")
        assert "this server does not impersonate" in answer.get_json()["message"]
    assert ask(VALUE, [(header, "root"), ("AUTHORIZATION", "Bearer bad")]).status_code == 401
