import base64
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.certificates import Usage
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until

TIMEOUT = 60.0
GROUP, VERSION = "harness.example.com", "v1"
NAMESPACE, SERVICE = "default", "aggregated"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every path with an empty resource list that repeats who asks."""

    def do_GET(self) -> None:
        user = self.headers.get("X-Remote-User")
        document = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{GROUP}/{VERSION}",
            "resources": [],
            "user": user,
            "groups": self.headers.get_all("X-Remote-Group"),
        }
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives
        """Keep quiet."""


@pytest.fixture
def aggregated_port(control_plane: ControlPlane, tmp_path: Path) -> Iterator[int]:
    """Serve on loopback, to the bearer of the front proxy's certificate only."""
    certificate = control_plane.ca.issue("aggregated", dns_names=[f"{SERVICE}.{NAMESPACE}.svc"], usage=Usage.SERVER)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=control_plane.front_proxy_ca_file)
    context.load_cert_chain(*certificate.write(tmp_path, "server"))
    context.verify_mode = ssl.CERT_REQUIRED
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def api_service(control_plane: ControlPlane, aggregated_port: int) -> Iterator[str]:
    """Register the server by a Service of type ExternalName; give the name of the APIService."""
    name = f"{VERSION}.{GROUP}"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    registration = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": SERVICE, "namespace": NAMESPACE, "port": aggregated_port},
            "caBundle": base64.b64encode(control_plane.ca.certificate_pem).decode(),
        },
    }
    documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": [service, registration]})
    control_plane.kubectl("apply", "--filename=-", input=documents)
    yield name
    control_plane.kubectl("delete", "--filename=-", input=documents)


def test_the_aggregator_reaches_a_server_on_loopback(control_plane: ControlPlane, api_service: str) -> None:
    """It resolves the Service's external name, verifies the server, and shows the front proxy's certificate."""
    control_plane.kubectl("wait", "--for=condition=Available", f"apiservice/{api_service}", "--timeout=30s")
    path = f"/apis/{GROUP}/{VERSION}"
    # Each handler of the apiserver learns of a new APIService in its own time.
    result = wait_until(
        lambda: answer if (answer := control_plane.kubectl("get", "--raw", path, check=False)).stdout else None,
        TIMEOUT,
        f"nothing at {path}",
    )
    assert json.loads(result.stdout)["user"] == "admin"
    assert json.loads(result.stdout)["groups"] == ["system:masters", "system:authenticated"]
