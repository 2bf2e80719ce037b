"""The two servers, started alike on one control plane, with the same values written to both."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cluster import NAMESPACE, POD_NAMES
from benchmarks.errors import BenchmarkError
from benchmarks.works import METRIC
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import free_ports
from tests.controlplane.process import Process
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer

__all__ = ["GO_WRITE_PORT", "Peer", "go_adapter", "ours"]

START_SECONDS = 30.0
# Written into the test adapter's code, on every interface.
GO_WRITE_PORT = 8080
# Its own default lets 5 requests to the cluster through per second; there is no flag for "no limit".
GO_CLIENT_LIMIT = 1_000_000


@dataclass(frozen=True)
class Peer:
    """A running server: where it answers, and the process whose CPU time counts."""

    name: str
    port: int
    ca_file: Path
    pid: int

    @property
    def url(self) -> str:
        """The beginning of every URL."""
        return f"https://127.0.0.1:{self.port}"

    def get(self, path: str, token: str) -> tuple[int, Any]:
        """Ask once, on a connection of its own; return the status and the document, or the text if it is none."""
        context = ssl.create_default_context(cafile=self.ca_file)
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=START_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            text = response.read().decode()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(text) if is_json else text


@contextlib.contextmanager
def ours(plane: ControlPlane, folder: Path, token: str, *, series: int = 0) -> Iterator[Peer]:
    """Run our server in cluster mode, as users start it, and write the values.

    With `series` it has so many of the external metric `many` from the start: the Go adapter has three of any.
    """
    provider = f"--config={_configured(folder, series)}" if series else "--provider=writable"
    with LiveServer(folder, f"--kubeconfig={plane.kubeconfig}", provider) as server:
        server.wait_until_ready()
        with contextlib.closing(server.connect()) as connection:
            _write_values(connection, token)
        yield Peer("ours", server.port, server.ca_file, server.process.pid)


@contextlib.contextmanager
def go_adapter(plane: ControlPlane, folder: Path, program: Path, token: str) -> Iterator[Peer]:
    """Run the Go test adapter, with its client's limits out of the way, and write the values."""
    _require_free_write_port()
    (port,) = free_ports(1)
    certificates = folder / "certificates"
    process = Process("test-adapter", _go_command(program, plane, port, certificates), directory=folder)
    process.start()
    try:
        peer = Peer("Go", port, certificates / "apiserver.crt", process.pid or 0)

        def ready() -> bool:
            process.check()
            try:
                return peer.get("/readyz", token="")[0] == http.HTTPStatus.OK
            except (OSError, http.client.HTTPException):
                return False

        wait_until(ready, START_SECONDS, lambda: f"the Go test adapter is not ready. {process.tail()}")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", GO_WRITE_PORT, timeout=30)) as connection:
            _write_values(connection, token)
        yield peer
        process.check()
    finally:
        process.stop()


def _go_command(program: Path, plane: ControlPlane, port: int, certificates: Path) -> Sequence[str]:
    return [
        str(program),
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={certificates}",
        f"--lister-kubeconfig={plane.kubeconfig}",
        f"--authentication-kubeconfig={plane.kubeconfig}",
        f"--authorization-kubeconfig={plane.kubeconfig}",
        f"--client-qps={GO_CLIENT_LIMIT}",
        f"--client-burst={GO_CLIENT_LIMIT}",
    ]


def _configured(folder: Path, series: int) -> Path:
    """Write a configuration of the writable provider with so many series."""
    values = [{"metric": "many", "value": "1", "labels": {"number": str(number)}} for number in range(series)]
    file = folder / "config.json"
    # JSON is YAML.
    file.write_text(json.dumps({"providers": [{"name": "values", "kind": "writable", "options": {"values": values}}]}))
    return file


def _require_free_write_port() -> None:
    with contextlib.closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", GO_WRITE_PORT))
        except OSError as e:
            raise BenchmarkError(
                f"Port {GO_WRITE_PORT} is taken, and the Go test adapter takes values on no other: stop what listens "
                "there (another benchmark?)."
            ) from e


def _write_values(connection: http.client.HTTPConnection, token: str) -> None:
    """Write one value for each pod, a different one, on one connection."""
    for number, name in enumerate(POD_NAMES):
        path = f"/write-metrics/namespaces/{NAMESPACE}/pods/{name}/{METRIC}"
        body = json.dumps(f"{100 + number}m")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        connection.request("POST", path, body=body, headers=headers)
        response = connection.getresponse()
        said = response.read().decode(errors="replace")
        if response.status != http.HTTPStatus.OK:
            raise BenchmarkError(f"POST {path} was answered with {response.status}: {said}")
