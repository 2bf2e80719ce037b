"""The cluster's API is away while our server runs: probes pass, a yes counts to its end, everything else is 503."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import aggregated
from tests.controlplane.account import account_token, create_account
from tests.controlplane.plane import ControlPlane
from tests.controlplane.requests import Fields, Files, request
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer

SPACE, READER = "outage", "reader"
API = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{SPACE}/pods/web"
CACHED_SECONDS = 10.0
NO_ANSWER = "the cluster cannot tell whether this is allowed"


def _objects() -> Iterator[dict[str, Any]]:
    rbac, name = "rbac.authorization.k8s.io", f"{SPACE}-{READER}"
    rules = [{"apiGroups": ["custom.metrics.k8s.io"], "resources": ["*"], "verbs": ["get"]}]
    yield {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    yield {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
        "subjects": [
            {"kind": "ServiceAccount", "name": READER, "namespace": SPACE},
            {"apiGroup": rbac, "kind": "User", "name": "carol"},
        ],
    }


@pytest.fixture(name="plane", scope="module")
def _plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of its own: the controllers of one that was away for long take their time to come back."""
    with ControlPlane.start(tmp_path_factory.mktemp("outage")) as plane:
        yield plane


@pytest.fixture(name="token", scope="module")
def _token(plane: ControlPlane) -> str:
    """The token of an account that may read every metric; so may the user carol."""
    create_account(plane, READER, namespace=SPACE)
    documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(_objects())})
    plane.kubectl("apply", "--filename=-", input=documents)
    return account_token(plane, READER, namespace=SPACE)


def last_allowed(plane: ControlPlane, server: LiveServer, certificate: Files, fields: Fields) -> str:
    """Stop kube-apiserver, while always new things are asked for; give the last for which it still said yes."""
    stop = threading.Thread(target=plane.stop_apiserver)
    allowed = ""
    for number in range(10_000):
        path = f"{API}/metric-{number}"
        reply = request(server, path, certificate=certificate, fields=fields)
        if number and reply.status == 503:
            break
        assert reply.status == 404, reply.body
        allowed = path
        if not number:
            stop.start()
    stop.join()
    return allowed


@pytest.mark.parametrize("who", ["a token", "a certificate"])
def test_outage(plane: ControlPlane, token: str, tmp_path: Path, who: str) -> None:
    """And the server is the same when the cluster is back."""
    carol = plane.ca.issue("carol").write(tmp_path, "carol")
    bearer = [("Authorization", f"Bearer {token}")]
    certificate, fields = (None, bearer) if who == "a token" else (carol, [])
    with aggregated.start(plane, tmp_path) as server, contextlib.ExitStack() as stack:
        server.wait_until_ready()
        stack.callback(plane.start_apiserver)
        cached = last_allowed(plane, server, certificate, fields)

        # Reviewed a moment ago: allowed, and there is no such value.
        assert request(server, cached, certificate=certificate, fields=fields).status == 404
        for path in ("/healthz", "/livez", "/readyz"):
            for credentials in ({}, {"fields": bearer}, {"fields": [("Authorization", "Bearer nonsense")]}):
                assert request(server, path, **credentials).status == 200, (path, credentials)
        # A member of system:masters needs nobody's word.
        assert server.ask("GET", f"{API}/metric", {}).status == 404
        for path in ("/apis", "/metrics", f"{API}/metric"):
            reply = request(server, path)
            assert (reply.status, reply.json["reason"]) == (503, "ServiceUnavailable"), path
            assert reply.json["message"] == NO_ANSWER
        assert request(server, "/apis", fields=[("Authorization", "Bearer new")]).status == 503

        def ended() -> bool:
            return request(server, cached, certificate=certificate, fields=fields).status == 503

        wait_until(ended, CACHED_SECONDS + 5, "a yes outlives its time")
        stack.close()
        wait_until(lambda: not ended(), 15, lambda: f"the cluster is back, and nobody is let in:\n{server.log()}")
        assert request(server, cached, certificate=certificate, fields=fields).status == 404
        assert token not in server.log()
