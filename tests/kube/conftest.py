"""A small cluster that answers what a test says, over real HTTP on loopback."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from kubernetes.client import ApiClient

from metrics_apiserver.kube.client import ClusterClient
from metrics_apiserver.kube.config import load_client
from tests.kube.raw import Peer, RawCluster

HERE = Path(__file__).parent


class FakeWatch:
    """The answer to one watch request: what a test sends, when it sends it. Without a word it stays open."""

    _END, _CUT = b"", None

    def __init__(self) -> None:
        self.query: dict[str, str] = {}
        self._opened = threading.Event()
        self._steps: queue.Queue[bytes | None] = queue.Queue()
        self._refusal: tuple[int, str] | None = None

    def wait_until_open(self) -> None:
        """Wait until somebody watches."""
        assert self._opened.wait(20), "nobody watches"

    @property
    def opened(self) -> bool:
        """Whether somebody watches, or has."""
        return self._opened.is_set()

    def send(self, *events: object) -> None:
        """Send events, as JSON lines, or bytes as they are."""
        for event in events:
            self._steps.put(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")

    def end(self) -> None:
        """End as the cluster does when the time is over."""
        self._steps.put(self._END)

    def cut(self) -> None:
        """Break the connection."""
        self._steps.put(self._CUT)

    def refuse(self, status: int, message: str = "no") -> None:
        """Answer with a Status; to be said before somebody watches."""
        self._refusal = status, message

    def serve(self, handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        """Answer the request."""
        self.query = query
        self._opened.set()
        if self._refusal:
            status, message = self._refusal
            reply(handler, status, "application/json", json.dumps({"kind": "Status", "message": message}).encode())
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True
        while step := self._steps.get():
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(step), step))
        if step == self._END:
            handler.wfile.write(b"0\r\n\r\n")


def reply(handler: BaseHTTPRequestHandler, status: int, media_type: str, body: bytes) -> None:
    """Answer a request as a whole; the connection ends with it."""
    handler.send_response(status)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Connection", "close")
    if status == 302:
        handler.send_header("Location", "/elsewhere")
    handler.end_headers()
    handler.wfile.write(body)


class FakeCluster:
    """Answers each path with what `answer` was told, another path with a Status 404; remembers every request.

    Watches are answered by what `watches` gave, in that order, and stay open without a word after that.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Mapping[str, str]]] = []
        self.posted: list[Any] = []
        self._answers: dict[str, Callable[[Any], tuple[int, str, bytes]]] = {}
        self._watches: list[FakeWatch] = []
        self._taken: list[FakeWatch] = []
        self._lock = threading.Lock()
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                cluster.requests.append((parts.path, query, dict(self.headers)))
                if "watch" in query:
                    # The client may be gone before the test has said all.
                    with contextlib.suppress(OSError):
                        cluster.take_watch().serve(self, query)
                else:
                    reply(self, *cluster.respond(parts.path, query))

            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                cluster.requests.append((self.path, {}, dict(self.headers)))
                cluster.posted.append(document)
                # The client may have given up on it.
                with contextlib.suppress(OSError):
                    reply(self, *cluster.respond(self.path, document))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, path: str, body: object, *, status: int = 200, media_type: str = "application/json") -> None:
        """Answer a path: bytes as they are, JSON, or what a function makes of the query (a pair has a status first).

        Of a POST the function is given the document.
        """

        def respond(asked: Any) -> tuple[int, str, bytes]:
            content = body(asked) if callable(body) else body
            code, content = content if isinstance(content, tuple) else (status, content)
            return code, media_type, content if isinstance(content, bytes) else json.dumps(content).encode()

        self._answers[path] = respond

    def refuse(self, path: str, status: int, message: str) -> None:
        """Answer a path with a Status."""
        self.answer(path, {"kind": "Status", "apiVersion": "v1", "message": message}, status=status)

    def respond(self, path: str, asked: Any) -> tuple[int, str, bytes]:
        """Give the answer to a request, with its query or its document."""
        if path in self._answers:
            return self._answers[path](asked)
        return 404, "application/json", b'{"kind":"Status","message":"the server could not find it"}'

    def watches(self, count: int) -> list[FakeWatch]:
        """Make the answers to the next watches."""
        made = [FakeWatch() for _ in range(count)]
        with self._lock:
            self._watches += made
        return made

    def take_watch(self) -> FakeWatch:
        """Give the answer to one watch request."""
        with self._lock:
            watch = self._watches.pop(0) if self._watches else FakeWatch()
            self._taken.append(watch)
        return watch

    @property
    def watching(self) -> int:
        """How many watches there were."""
        with self._lock:
            return len(self._taken)

    @property
    def paths(self) -> list[str]:
        """The paths that were asked, in order."""
        return [path for path, _, _ in self.requests]

    def close(self) -> None:
        """Stop answering: connections are refused from now on."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self._lock:
            for watch in self._taken:
                watch.cut()


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
    api.rest_client.pool_manager.clear()
    api.close()


@pytest.fixture
def client(api: ApiClient) -> ClusterClient:
    """A client of the fake cluster."""
    return ClusterClient(api)


MakeRaw = Callable[..., tuple[RawCluster, ClusterClient]]


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[MakeRaw]:
    """Make clusters of bytes, each with its client."""
    made: list[tuple[RawCluster, ClusterClient]] = []

    def make(*peers: Peer) -> tuple[RawCluster, ClusterClient]:
        cluster = RawCluster(*peers)
        path = tmp_path / "raw-kubeconfig"
        document = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
            "users": [{"name": "u", "user": {}}],
        }
        path.write_text(yaml.safe_dump(document))
        made.append((cluster, ClusterClient(load_client(str(path)))))
        return made[-1]

    yield make
    for cluster, client in made:
        client.close()
        cluster.close()


@pytest.fixture(scope="session")
def recorded_discovery() -> dict[str, Any]:
    """What kube-apiserver 1.36.3 answers on /api and /apis, without verbs, categories and short names."""
    return json.loads((HERE / "discovery-v1.36.3.json").read_text())
