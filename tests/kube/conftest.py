"""A small cluster that answers what a test says, over real HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from kubernetes.client import ApiClient

from app.kube.client import ClusterClient
from app.kube.config import load_client

HERE = Path(__file__).parent


class FakeCluster:
    """Answers each path with what `answer` was told, another path with a Status 404; remembers every request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Mapping[str, str]]] = []
        self._answers: dict[str, Callable[[dict[str, str]], tuple[int, str, bytes]]] = {}
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                cluster.requests.append((parts.path, query, dict(self.headers)))
                status, media_type, body = cluster.respond(parts.path, query)
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, path: str, body: object, *, status: int = 200, media_type: str = "application/json") -> None:
        """Answer a path: with bytes as they are, a function's result for the query, or anything else as JSON."""

        def respond(query: dict[str, str]) -> tuple[int, str, bytes]:
            content = body(query) if callable(body) else body
            return status, media_type, content if isinstance(content, bytes) else json.dumps(content).encode()

        self._answers[path] = respond

    def refuse(self, path: str, status: int, message: str) -> None:
        """Answer a path with a Status."""
        self.answer(path, {"kind": "Status", "apiVersion": "v1", "message": message}, status=status)

    def respond(self, path: str, query: dict[str, str]) -> tuple[int, str, bytes]:
        """Give the answer to a request."""
        if path in self._answers:
            return self._answers[path](query)
        return 404, "application/json", b'{"kind":"Status","message":"the server could not find it"}'

    @property
    def paths(self) -> list[str]:
        """The paths that were asked, in order."""
        return [path for path, _, _ in self.requests]

    def close(self) -> None:
        """Stop answering: connections are refused from now on."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def fake_cluster() -> Iterator[FakeCluster]:
    """A cluster that knows nothing until it is told."""
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def kubeconfig(fake_cluster: FakeCluster, tmp_path: Path) -> Path:
    """The kubeconfig of the fake cluster."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": {"server": fake_cluster.url}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[ApiClient]:
    """The client library's client of the fake cluster."""
    api = load_client(str(kubeconfig))
    yield api
    api.close()


@pytest.fixture
def client(api: ApiClient) -> ClusterClient:
    """A client of the fake cluster."""
    return ClusterClient(api)


@pytest.fixture(scope="session")
def recorded_discovery() -> dict[str, Any]:
    """What kube-apiserver 1.36.3 answers on /api and /apis, without verbs, categories and short names."""
    return json.loads((HERE / "discovery-v1.36.3.json").read_text())
