"""Reads through the aggregator by users with and without rights: what Kubernetes asks, and what our server does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import aggregated
from tests.controlplane.credentials import write_kubeconfig
from tests.controlplane.plane import ControlPlane
from tests.controlplane.requests import request
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer

SPACE = "users"
API = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{SPACE}"
READ = f"{API}/pods/web/packets"
READER = "reads-custom-metrics"
FORBIDDEN = (
    'pods.custom.metrics.k8s.io "web" is forbidden: User "{user}" cannot get resource "pods/packets"'
    ' in API group "custom.metrics.k8s.io" in the namespace "users"'
)


def _objects() -> Iterator[dict[str, Any]]:
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
    rbac = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": ["custom.metrics.k8s.io"], "resources": ["pods/packets"], "verbs": ["get"]}]
    yield {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": READER}, "rules": rules}
    yield {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": READER},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": READER},
        "subjects": [
            {"apiGroup": rbac, "kind": "User", "name": "carol"},
            {"apiGroup": rbac, "kind": "Group", "name": "readers, of metrics"},
        ],
    }


@pytest.fixture(name="server", scope="module")
def _server(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server, registered, with one value, and a ClusterRole that some may use."""
    documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(_objects())})
    control_plane.kubectl("apply", "--filename=-", input=documents)
    with aggregated.start(control_plane, tmp_path_factory.mktemp("users"), "-v=4") as server:
        server.wait_until_ready()
        assert server.ask("POST", f"/write-metrics/namespaces/{SPACE}/pods/web/packets", {}, b"7").status == 200
        with aggregated.registered(control_plane, server):
            # Each handler of kube-apiserver learns of a new APIService in its own time.
            wait_until(
                lambda: control_plane.kubectl("get", "--raw", READ, check=False).returncode == 0, 60, "it is not served"
            )
            yield server
    control_plane.kubectl("delete", "--filename=-", "--wait=false", input=documents)


def read(control_plane: ControlPlane, folder: Path, user: str, *groups: str) -> subprocess.CompletedProcess[str]:
    """Read through the aggregator with a client certificate of this user in these groups."""
    kubeconfig = folder / "user.kubeconfig"
    client = control_plane.ca.issue(user, organizations=groups)
    write_kubeconfig(kubeconfig, server=control_plane.url, ca=control_plane.ca, client=client)
    return control_plane.kubectl("get", "--raw", READ, f"--kubeconfig={kubeconfig}", check=False)


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        pytest.param("carol", [], id="a user who is named in the binding"),
        pytest.param("dave", ["testers", "readers, of metrics"], id="a member of a group, whose name has a comma"),
    ],
)
def test_user_with_the_role_reads(
    control_plane: ControlPlane, server: LiveServer, tmp_path: Path, user: str, groups: list[str]
) -> None:
    """The value, and our log says who asked: the user, not the aggregator."""
    answer = read(control_plane, tmp_path, user, *groups)
    assert [item["value"] for item in json.loads(answer.stdout)["items"]] == ["7"]
    wait_until(lambda: [line for line in server.log().splitlines() if READ in line and user in line], 10, server.log)


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        pytest.param("erin", [], id="a user whom nobody bound to it"),
        pytest.param("erin", ["testers,readers, of metrics"], id="a group whose name holds another one's"),
        pytest.param("erin", ["testers,system:masters"], id="a group whose name holds the masters'"),
    ],
)
def test_user_without_the_role_is_forbidden(
    control_plane: ControlPlane, server: LiveServer, tmp_path: Path, user: str, groups: list[str]
) -> None:
    """By kube-apiserver before it asks us, and by us in the same words, whoever comes past it."""
    answer = read(control_plane, tmp_path, user, *groups)
    assert answer.returncode != 0
    assert FORBIDDEN.format(user=user) in answer.stderr
    certificate = control_plane.ca.issue(user, organizations=groups).write(tmp_path, "user")
    direct = request(server, READ, certificate=certificate)
    assert direct.status == 403
    assert direct.json["message"] == FORBIDDEN.format(user=user)


def test_front_proxy_speaks_for_users_and_is_none_itself(
    control_plane: ControlPlane, server: LiveServer, tmp_path: Path
) -> None:
    """Its certificate alone opens nothing; with a user's name and groups it opens what that user may."""
    proxy = control_plane.front_proxy_ca.issue("front-proxy-client").write(tmp_path, "proxy")
    user, group = ("X-Remote-User", "dave"), ("X-Remote-Group", "readers, of metrics")
    assert request(server, READ, certificate=proxy).status == 401
    assert request(server, READ, certificate=proxy, fields=[user]).status == 403
    assert request(server, READ, certificate=proxy, fields=[group, user]).status == 200
    assert request(server, READ, certificate=proxy, fields=[user, ("X-Remote-Group", "readers"), group]).status == 200


def test_kubectl_as_another_user_is_decided_by_kube_apiserver(control_plane: ControlPlane, server: LiveServer) -> None:
    """It impersonates before it asks us: our server sees the other user, as a front proxy's."""
    assert control_plane.kubectl("get", "--raw", READ, "--as=carol").stdout
    refused = control_plane.kubectl("get", "--raw", READ, "--as=erin", check=False)
    assert FORBIDDEN.format(user="erin") in refused.stderr
