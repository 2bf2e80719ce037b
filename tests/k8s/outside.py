"""A pod of the Deployment without a node: a process with its arguments, its mounts and its account's token."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.controlplane.plane import ControlPlane
from tests.k8s.checkout import NAMESPACE, Checkout, account_kubeconfig
from tests.live.server import COMMAND, LiveServer

__all__ = ["NAME", "Outside", "mount", "pod", "reached", "secret_of"]

NAME = "metrics-apiserver.metrics-apiserver.svc"
ADDRESS = "127.0.0.1"


class Outside(LiveServer):
    """A started server with the Secret's certificate, which is for the Service's name."""

    def connect_as(self, certificate: tuple[Path, Path] | None) -> http.client.HTTPSConnection:
        """Open a connection that verifies the server for the Service's name, as the aggregator does."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return _Connection(NAME, self.port, context=context, timeout=30)


class _Connection(http.client.HTTPSConnection):
    def __init__(self, host: str, port: int, *, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(host, port, context=context, timeout=timeout)
        self._verified = context

    def connect(self) -> None:
        self.sock = self._verified.wrap_socket(
            socket.create_connection((ADDRESS, self.port), self.timeout), server_hostname=self.host
        )


def mount(folder: Path, files: Mapping[str, bytes]) -> None:
    """Bring files into a folder as the kubelet does: all of them change at once, when one symbolic link does."""
    folder.mkdir(exist_ok=True)
    version = folder / f"..version-{len(list(folder.iterdir()))}"
    version.mkdir(mode=0o700)
    for name, content in files.items():
        (version / name).write_bytes(content)
    new = folder / "..data_tmp"
    new.symlink_to(version.name)
    new.replace(folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data", name))


def secret_of(control_plane: ControlPlane, name: str) -> dict[str, bytes]:
    """Give what is in a Secret of the cluster."""
    secret = control_plane.kubectl("get", "secret", name, f"--namespace={NAMESPACE}", "--output=json")
    return {key: base64.b64decode(value) for key, value in json.loads(secret.stdout)["data"].items()}


@contextlib.contextmanager
def pod(control_plane: ControlPlane, folder: Path) -> Iterator[Outside]:
    """Start what a pod of the cluster's Deployment would run; only its paths, its port and its address are others."""
    found = control_plane.kubectl("get", "deployment/metrics-apiserver", f"--namespace={NAMESPACE}", "--output=json")
    spec = json.loads(found.stdout)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    arguments = [argument.replace("$(POD_IP)", ADDRESS) for argument in container["args"]]
    places = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    for volume in spec["volumes"]:
        here = folder / volume["name"]
        mount(here, _content(control_plane, volume))
        arguments = [argument.replace(places[volume["name"]], str(here)) for argument in arguments]
    # LiveServer says which port, by the variable.
    arguments.remove("--secure-port=6443")
    (folder / "certificates").mkdir()
    server_ca = secret_of(control_plane, "metrics-apiserver-serving-certs")["ca.crt"]
    (folder / "certificates" / "apiserver.crt").write_bytes(server_ca)
    # In a pod the kubelet brings the token, and the server finds it by itself.
    kubeconfig = account_kubeconfig(control_plane, folder, name=spec["serviceAccountName"])
    with Outside(folder, command=(str(COMMAND), "serve", *arguments, f"--kubeconfig={kubeconfig}")) as server:
        yield server


def _content(control_plane: ControlPlane, volume: dict[str, Any]) -> dict[str, bytes]:
    if "secret" in volume:
        return secret_of(control_plane, volume["secret"]["secretName"])
    name = volume["configMap"]["name"]
    found = control_plane.kubectl("get", "configmap", name, f"--namespace={NAMESPACE}", "--output=json")
    return {key: text.encode() for key, text in json.loads(found.stdout)["data"].items()}


def reached(checkout: Checkout, control_plane: ControlPlane, server: Outside) -> None:
    """Apply an overlay that leads the aggregator out of the cluster: the Service is a name, the port the server's."""
    external = {"type": "ExternalName", "externalName": "localhost"}
    name = checkout.overlay(
        "outside",
        resources=["../openssl"],
        patches=[
            _patch("Service", "/spec", external),
            _patch("APIService", "/spec/service/port", server.port),
        ],
    )
    checkout.run(f"kubectl apply --server-side --kustomize k8s/{name}", kubeconfig=control_plane.kubeconfig)


def _patch(kind: str, path: str, value: object) -> dict[str, Any]:
    return {"target": {"kind": kind}, "patch": json.dumps([{"op": "replace", "path": path, "value": value}])}
