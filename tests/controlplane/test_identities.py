"""Who asks, and what is answered: the reference's own table, by real certificates, tokens and reviews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import aggregated
from tests.controlplane.account import account_token, create_account
from tests.controlplane.certificates import Authority, Usage
from tests.controlplane.plane import ControlPlane
from tests.controlplane.requests import Files, Reply, request
from tests.live.server import LiveServer

RECORDED: dict[str, dict[str, dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "conformance" / "identities.json").read_text(encoding="utf-8")
)
NAMESPACE, NOBODY = "shop", "nobody"
# All identities ask for this; that there is no such value means: allowed.
READ = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/cart-0/packets-per-second"

TOKEN = ("Authorization", "Bearer {token}")
MASTER = [("X-Remote-User", "bob"), ("X-Remote-Group", "system:masters")]
# Which certificate is shown, by its name in `_certificates`, and which header fields are sent, in this order.
IDENTITIES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "nothing": ("none", []),
    "valid client cert, no rights": ("alice", []),
    "client cert of system:masters": ("master", []),
    "client cert with serverAuth only, system:masters": ("master's server", []),
    "foreign client cert": ("foreign", []),
    "foreign client cert and a good token without rights": ("foreign", [TOKEN]),
    "X-Remote headers without cert": ("none", MASTER),
    "X-Remote headers with a client-CA cert": ("alice", MASTER),
    "X-Remote headers with the front-proxy cert": ("front proxy", MASTER),
    "X-Remote headers with a front-proxy-CA cert of another name": ("other front proxy", MASTER),
    "X-Remote headers with a serverAuth front-proxy cert": ("front proxy's server", MASTER),
    "front-proxy cert without X-Remote headers": ("front proxy", []),
    "front-proxy cert, user without groups": ("front proxy", MASTER[:1]),
    "front-proxy cert, repeated groups": ("front proxy", [MASTER[0], ("X-Remote-Group", "testers"), MASTER[1]]),
    "front-proxy cert, one group header with a comma": (
        "front proxy",
        [MASTER[0], ("X-Remote-Group", "testers,system:masters")],
    ),
    "front-proxy cert, underscore header": ("front proxy", [("X_Remote_User", "bob"), MASTER[1]]),
    "bad token": ("none", [("Authorization", "Bearer nonsense")]),
    "empty token": ("none", [("Authorization", "Bearer ")]),
    "basic auth": ("none", [("Authorization", "Basic Ym9iOmJvYg==")]),
    "front-proxy cert, user and a token": ("front proxy", [*MASTER, TOKEN]),
    "valid client cert no rights and impersonation header": ("alice", [("Impersonate-User", "bob")]),
}
# Where we differ on purpose: nobody has to be asked whether somebody may do what we do not do.
DIFFERENCES = {
    "valid client cert no rights and impersonation header": {
        "status": 403,
        "reason": "Forbidden",
        "message": "this server does not impersonate: the kube-apiserver does that before it forwards a request;"
        " leave the Impersonate-* header fields out",
        "details": None,
    }
}


@pytest.fixture(name="server", scope="module")
def _server(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server in cluster mode, with its own account's token; nothing is written."""
    with aggregated.start(control_plane, tmp_path_factory.mktemp("identities")) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(name="token", scope="module")
def _token(control_plane: ControlPlane) -> str:
    """The token of an account without any right but those of every authenticated user."""
    create_account(control_plane, NOBODY, namespace=NAMESPACE)
    return account_token(control_plane, NOBODY, namespace=NAMESPACE)


@pytest.fixture(name="certificates", scope="module")
def _certificates(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    """The client certificates by what they are."""
    folder = tmp_path_factory.mktemp("clients")
    users, proxies, masters = control_plane.ca, control_plane.front_proxy_ca, ["system:masters"]
    made = {
        "alice": users.issue("alice"),
        "master": users.issue("mallory", organizations=masters),
        "master's server": users.issue("mallory", organizations=masters, usage=Usage.SERVER),
        "foreign": Authority("foreign").issue("mallory", organizations=masters),
        "front proxy": proxies.issue("front-proxy-client"),
        "other front proxy": proxies.issue("other-client"),
        "front proxy's server": proxies.issue("front-proxy-client", usage=Usage.SERVER),
    }
    files: dict[str, Files] = {
        what: each.write(folder, f"client-{number}") for number, (what, each) in enumerate(made.items())
    }
    return {"none": None, **files}


def check(recorded: dict[str, Any], reply: Reply) -> None:
    """Hold an answer against its record: all of it that was recorded."""
    assert reply.status == recorded["status"], reply.body
    if "body" in recorded:
        assert reply.body.decode() == recorded["body"]
    if "message" not in recorded:
        return
    status = reply.json
    assert {"status": status["code"], **{key: status.get(key) for key in ("reason", "message", "details")}} == recorded
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    # Another difference on purpose: a client is told what it may present.
    assert (reply.headers["WWW-Authenticate"] is not None) is (reply.status == 401)


def test_every_recorded_identity_is_asked_for() -> None:
    """A new row of the record is a new row here."""
    assert set(IDENTITIES) == set(RECORDED["identities"])


@pytest.mark.parametrize("identity", [pytest.param(name, id=name) for name in IDENTITIES])
def test_identity(server: LiveServer, token: str, certificates: dict[str, Files], identity: str) -> None:
    """As recorded, or as the named difference says."""
    certificate, fields = IDENTITIES[identity]
    fields = [(name, value.format(token=token)) for name, value in fields]
    reply = request(server, READ, certificate=certificates[certificate], fields=fields)
    check(DIFFERENCES.get(identity, RECORDED["identities"][identity]), reply)


@pytest.mark.parametrize("path", [pytest.param(path, id=path) for path in RECORDED["token_without_rights"]])
def test_token_without_rights(server: LiveServer, token: str, path: str) -> None:
    """What every authenticated user may see, and the sentence about the rest."""
    reply = request(server, path, fields=[("Authorization", f"Bearer {token}")])
    check(RECORDED["token_without_rights"][path], reply)


@pytest.mark.parametrize("path", [pytest.param(path, id=path) for path in RECORDED["anonymous"]])
def test_anonymous(server: LiveServer, path: str) -> None:
    """What everybody may see, and the sentence about the rest."""
    check(RECORDED["anonymous"][path], request(server, path))


def test_neither_token_nor_its_review_is_in_the_log(server: LiveServer, token: str) -> None:
    """After all that was asked above."""
    assert request(server, "/apis", fields=[("Authorization", f"Bearer {token}")]).status == 200
    signature = token.rpartition(".")[2]
    assert len(signature) > 40
    assert signature not in server.log()
    assert "Bearer" not in server.log()
