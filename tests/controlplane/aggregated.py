"""Our server behind the real aggregator: a Service of type ExternalName and the three APIServices."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.controlplane.account import account_kubeconfig
from tests.controlplane.plane import ControlPlane
from tests.live.server import LiveServer

__all__ = ["API_SERVICES", "NAMESPACE", "SERVICE", "registered", "start"]

SERVICE, NAMESPACE = "metrics-apiserver", "metrics-apiserver"
# Name of the APIService → group, version, and how it ranks in its group.
API_SERVICES = {
    "v1beta2.custom.metrics.k8s.io": ("custom.metrics.k8s.io", "v1beta2", 200),
    "v1beta1.custom.metrics.k8s.io": ("custom.metrics.k8s.io", "v1beta1", 100),
    "v1beta1.external.metrics.k8s.io": ("external.metrics.k8s.io", "v1beta1", 100),
}


def start(
    control_plane: ControlPlane,
    folder: Path,
    *flags: str,
    provider: str = "writable",
    kubeconfig: Path | None = None,
) -> LiveServer:
    """Start the server in cluster mode with the tests' account, with one provider and its default options.

    Its `ask` comes as a member of system:masters, who need no rights in the cluster. `kubeconfig` is for who made one
    of that account before.
    """
    certificate = control_plane.ca.issue("asks-directly", organizations=["system:masters"]).write(folder, "masters")
    return LiveServer(
        folder,
        f"--kubeconfig={kubeconfig or account_kubeconfig(control_plane, folder)}",
        f"--service-name={SERVICE}",
        f"--service-namespace={NAMESPACE}",
        f"--provider={provider}",
        *flags,
        certificate=certificate,
    )


@contextlib.contextmanager
def registered(control_plane: ControlPlane, server: LiveServer) -> Iterator[None]:
    """Register the server and wait until the cluster calls it Available; unregister it at the end."""
    # The namespace stays: it would take its time to go, and the next module needs it again.
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    control_plane.kubectl("apply", "--filename=-", input=json.dumps(namespace))
    documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(_objects(server))})
    control_plane.kubectl("apply", "--filename=-", input=documents)
    try:
        for name in API_SERVICES:
            control_plane.kubectl("wait", "--for=condition=Available", f"apiservice/{name}", "--timeout=45s")
        yield
    finally:
        control_plane.kubectl("delete", "--filename=-", input=documents)


def _objects(server: LiveServer) -> Iterator[dict[str, Any]]:
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    authority = base64.b64encode(server.ca_file.read_bytes()).decode()
    for name, (group, version, priority) in API_SERVICES.items():
        yield {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": priority,
                "service": {"name": SERVICE, "namespace": NAMESPACE, "port": server.port},
                "caBundle": authority,
            },
        }
