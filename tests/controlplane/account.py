"""The ServiceAccount with whose token our server runs: what it may, and no more; never the admin's certificate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.controlplane.credentials import write_token_kubeconfig
from tests.controlplane.plane import ControlPlane

__all__ = ["ACCOUNT", "ACCOUNT_NAMESPACE", "account_kubeconfig", "account_token", "create_account"]

ACCOUNT, ACCOUNT_NAMESPACE = "metrics-apiserver-of-the-tests", "default"
# What these tests read by selector, and so what is listed and watched; the last group has the tests' own CRDs.
LISTED = {
    "": ["namespaces", "nodes", "pods", "services"],
    "apps": ["deployments"],
    "living.example.com": ["pods", "widgets"],
}


def account_kubeconfig(control_plane: ControlPlane, folder: Path) -> Path:
    """Make the account, if need be, and write a kubeconfig with a token of it."""
    control_plane.kubectl("apply", "--filename=-", input=_list(_objects()))
    path = folder / "account.kubeconfig"
    token = account_token(control_plane, ACCOUNT, namespace=ACCOUNT_NAMESPACE)
    write_token_kubeconfig(path, server=control_plane.url, ca=control_plane.ca, token=token)
    return path


def create_account(control_plane: ControlPlane, name: str, *, namespace: str) -> None:
    """Make an account without any rights of its own, and its namespace."""
    control_plane.kubectl("apply", "--filename=-", input=_list(_account(name, namespace)))


def account_token(control_plane: ControlPlane, name: str, *, namespace: str) -> str:
    """Give a new token of an account, for the cluster's own audience."""
    arguments = ("create", "token", name, f"--namespace={namespace}", "--duration=1h")
    return control_plane.kubectl(*arguments).stdout.strip()


def _objects() -> Iterator[dict[str, Any]]:
    yield from _account(ACCOUNT, ACCOUNT_NAMESPACE)
    yield {
        **_head("ClusterRole", ACCOUNT),
        "rules": [
            {"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]}
            for group, resources in LISTED.items()
        ],
    }
    yield _binding("ClusterRoleBinding", ACCOUNT, "ClusterRole", ACCOUNT)
    yield _binding("ClusterRoleBinding", f"{ACCOUNT}:auth-delegator", "ClusterRole", "system:auth-delegator")
    reader = "extension-apiserver-authentication-reader"
    yield _binding("RoleBinding", f"{ACCOUNT}:{reader}", "Role", reader, namespace="kube-system")


def _account(name: str, namespace: str) -> Iterator[dict[str, Any]]:
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def _head(kind: str, name: str, **metadata: str) -> dict[str, Any]:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name, **metadata}}


def _binding(kind: str, name: str, role_kind: str, role: str, **metadata: str) -> dict[str, Any]:
    return {
        **_head(kind, name, **metadata),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": ACCOUNT_NAMESPACE}],
    }


def _list(items: Iterator[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
