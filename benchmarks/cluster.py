"""What the benchmarks put into the control plane: the pods, and an account that may read everything."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubernetes import client, config

from tests.controlplane.plane import ControlPlane

__all__ = ["LABEL", "NAMESPACE", "POD_NAMES", "make_pods", "make_token"]

NAMESPACE = "bench"
ACCOUNT = "bench"
LABEL = ("app", "bench")
POD_NAMES = tuple(f"bench-{number:04}" for number in range(1_000))
REQUEST_TIMEOUT = (5, 30)


def make_pods(plane: ControlPlane) -> None:
    """Make the namespace and its pods. Nobody runs them: to list them, it is enough that they exist."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    plane.kubectl("create", "--filename=-", input=json.dumps(namespace))
    api_client = config.new_client_from_config(config_file=str(plane.kubeconfig))
    api = client.CoreV1Api(api_client)

    def create(name: str) -> None:
        api.create_namespaced_pod(NAMESPACE, _pod(name), _request_timeout=REQUEST_TIMEOUT)

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(create, POD_NAMES))
    finally:
        api_client.rest_client.pool_manager.clear()
        api_client.close()


def make_token(plane: ControlPlane) -> str:
    """Make a service account that may do everything, and return a token of it: wrk cannot send a client certificate."""
    plane.kubectl("create", "serviceaccount", ACCOUNT, f"--namespace={NAMESPACE}")
    plane.kubectl(
        "create",
        "clusterrolebinding",
        ACCOUNT,
        "--clusterrole=cluster-admin",
        f"--serviceaccount={NAMESPACE}:{ACCOUNT}",
    )
    return plane.kubectl("create", "token", ACCOUNT, f"--namespace={NAMESPACE}", "--duration=1h").stdout.strip()


def _pod(name: str) -> dict[str, Any]:
    key, value = LABEL
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {key: value, "pod-template-hash": "5d9c7b8f6d"}},
        "spec": {"containers": [{"name": "main", "image": "example.org/bench:1"}]},
    }
