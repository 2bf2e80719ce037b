"""The other server: HTTPS on loopback, which answers what a test tells it to, down to the bytes."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.controlplane.certificates import Authority, Certificate, Usage

__all__ = ["OtherServer", "Request", "custom_list", "external_list", "issue", "listing", "reply", "status"]


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    target: str
    headers: tuple[tuple[str, str], ...]
    connection: int
    # The common name of the client's certificate; "" without one.
    client: str

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


# Writes the answer; what it raises, or returns as false, ends the connection.
Answer = Callable[[ssl.SSLSocket, Request], bool]


class OtherServer:
    """One thread for each connection, kept alive; `answer` and the certificate can be exchanged while it runs."""

    def __init__(self, certificate: Certificate, folder: Path, *, clients: Authority | None = None) -> None:
        self._folder = folder
        self._clients = clients
        self.requests: list[Request] = []
        self.connections = 0
        self.answer: Answer = reply(404, b"404 page not found", media_type="text/plain")
        self.serve_as(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def serve_as(self, certificate: Certificate) -> None:
        """Show another certificate on new connections."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate.write(self._folder, "other"))
        if self._clients is not None:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=self._clients.certificate_pem.decode())
        self._context = context

    def close(self) -> None:
        """Stop listening, and break off every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.break_off()
        self._thread.join()

    def break_off(self) -> None:
        """Close every connection that is open."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        # A client that leaves in the middle is a part of many tests.
        with contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
            self._open.append(connection)
            client = _common_name(connection.getpeercert())
            while (request := _read(connection, number, client)) is not None:
                self.requests.append(request)
                if not self.answer(connection, request):
                    return


def _read(connection: ssl.SSLSocket, number: int, client: str) -> Request | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        received = connection.recv(65536)
        if not received:
            return None
        head += received
    first, *rest = head.decode("utf-8").removesuffix("\r\n\r\n").split("\r\n")
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in rest))
    return Request(first.split()[1], headers, number, client)


def _common_name(certificate: Any) -> str:
    subject = (certificate or {}).get("subject", ())
    return str(dict(part[0] for part in subject).get("commonName", ""))


def issue(authority: Authority, *, name: str = "localhost") -> Certificate:
    """Issue a certificate for the other server."""
    return authority.issue(name, dns_names=[name], usage=Usage.SERVER)


def reply(
    code: int, body: bytes | dict[str, Any], *, media_type: str = "application/json", packed: bool = False, **more: str
) -> Answer:
    """Give an answer with this status and body; `more` are header fields."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if packed:
        content = gzip.compress(content)
        more["Content-Encoding"] = "gzip"
    fields = {"Content-Type": media_type, "Content-Length": str(len(content)), **more}
    head = f"HTTP/1.1 {code} Whatever\r\n" + "".join(f"{key}: {value}\r\n" for key, value in fields.items())

    def answer(connection: ssl.SSLSocket, request: Request) -> bool:
        connection.sendall(head.encode() + b"\r\n" + content)
        return True

    return answer


def status(code: int, message: str, *, reason: str = "") -> Answer:
    """Give an answer with a Status."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return reply(code, {**body, "reason": reason})


def custom_list(*items: dict[str, Any], version: str = "v1beta2") -> dict[str, Any]:
    """Make a MetricValueList."""
    api_version = f"custom.metrics.k8s.io/{version}"
    return {"kind": "MetricValueList", "apiVersion": api_version, "metadata": {}, "items": list(items)}


def external_list(*items: dict[str, Any]) -> dict[str, Any]:
    """Make an ExternalMetricValueList."""
    api_version = "external.metrics.k8s.io/v1beta1"
    return {"kind": "ExternalMetricValueList", "apiVersion": api_version, "metadata": {}, "items": list(items)}


def listing(group_version: str, *names: str) -> dict[str, Any]:
    """Make an APIResourceList; metrics of nodes and namespaces are not namespaced."""
    root = ("nodes/", "namespaces/")
    resources = [{"name": name, "namespaced": not name.startswith(root), "kind": "X"} for name in names]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}
