"""What a provider asks another server with: deadlines, bounds, verified TLS; the proxy's tests try the rest of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError, fields

from metrics_apiserver.model.selectors import parse
from metrics_apiserver.provider import (
    BadGatewayError,
    ExternalMetricInfo,
    GatewayTimeoutError,
    ServiceUnavailableError,
)
from metrics_apiserver.provider.http import HTTPClient, ServerOptions, bearer_token
from tests.fakes import LOGGER, provider_context, request_context
from tests.live.test_readme import python_of


class Backend(ThreadingHTTPServer):
    """A plain HTTP server that answers what a test tells it to, and notes what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.content, self.fields = 200, b"{}", {}
        self.asked: list[tuple[str, str, bytes, str]] = []
        self.hold = threading.Event()
        self.hold.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Backend

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, body, self.headers.get("Authorization", "")))
        self.server.hold.wait(20)
        self.send_response(self.server.status)
        for name, value in {"Content-Length": str(len(self.server.content)), **self.server.fields}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.content)

    do_GET = do_POST = _answer  # noqa: N815 - the names are the standard library's

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(name="backend")
def _backend() -> Iterator[Backend]:
    started = Backend()
    yield started
    started.hold.set()
    started.shutdown()
    started.server_close()


@pytest.fixture(name="client")
def _client(backend: Backend) -> Iterator[HTTPClient]:
    made = HTTPClient(f"{backend.url}/api/?tenant=a", logger=LOGGER, what="the backend", most_bytes=1 << 20)
    yield made
    made.close()


def test_a_post_sends_its_body_and_connections_are_kept(client: HTTPClient, backend: Backend) -> None:
    """The path and the query of the address are for the caller to use."""
    for _ in range(3):
        answer = client.request("POST", f"{client.prefix}/query?{client.query}", {}, timeout=5, body=b"a=b")
    assert (answer.status, answer.body) == (200, b"{}")
    assert backend.asked == [("POST", "/api/query?tenant=a", b"a=b", "")] * 3


def test_a_redirect_is_an_answer(client: HTTPClient, backend: Backend) -> None:
    """Following it would carry the credentials elsewhere."""
    backend.status, backend.fields = 302, {"Location": "/elsewhere"}
    assert client.get("/x", {"Authorization": "Bearer a"}, timeout=5).status == 302
    assert [path for _, path, _, _ in backend.asked] == ["/x"]


def test_an_answer_that_does_not_come_ends_by_the_timeout(client: HTTPClient, backend: Backend) -> None:
    backend.hold.clear()
    with pytest.raises(GatewayTimeoutError, match=r"the backend did not answer in time\Z"):
        client.get("/x", {}, timeout=0.1)


def test_an_answer_is_read_up_to_the_bound(client: HTTPClient, backend: Backend) -> None:
    backend.content = b" " * ((1 << 20) + 1)
    with pytest.raises(BadGatewayError, check=lambda error: error.cause.endswith("it has more than 1 MiB")):
        client.get("/x", {}, timeout=5)


def test_where_nobody_listens_only_the_cause_says_where(client: HTTPClient, backend: Backend) -> None:
    backend.shutdown()
    backend.server_close()
    with pytest.raises(ServiceUnavailableError, match=r"the backend cannot be reached\Z") as caught:
        client.get("/x", {}, timeout=5)
    assert caught.value.cause.startswith(f"{backend.url}: ")


def test_a_header_field_that_cannot_be_sent_is_quoted_nowhere(client: HTTPClient, backend: Backend) -> None:
    with pytest.raises(BadGatewayError) as caught:
        client.get("/x", {"Authorization": "Bearer secret\r\nX: y"}, timeout=5)
    assert "secret" not in caught.value.whole
    assert backend.asked == []


def test_a_token_is_its_file_without_the_white_space_around_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" \n abc \n\n", encoding="ascii")
    assert bearer_token(str(file)) == "abc"


class WithPath(ServerOptions):
    url_schemes = ("http", "https")
    url_has_path = True
    url_example = "http://prometheus.monitoring.svc:9090/prefix"
    more = fields.String(load_default="x")


@pytest.mark.parametrize(
    ("options", "url", "taken"),
    [
        pytest.param(ServerOptions, "https://a.b.svc:443", True, id="a server"),
        pytest.param(ServerOptions, "https://a.b.svc/", True, id="with a slash"),
        pytest.param(ServerOptions, "https://a.b.svc/x", False, id="with a path, where there is none"),
        pytest.param(ServerOptions, "http://a.b.svc", False, id="without TLS"),
        pytest.param(ServerOptions, "https://user:secret@a.b.svc", False, id="with a password"),
        pytest.param(WithPath, "http://a.b.svc:9090/prefix?tenant=a", True, id="with a path and a query"),
        pytest.param(WithPath, "http://user:secret@a.b.svc/x", False, id="with a password and a path"),
        pytest.param(WithPath, "http://a.b.svc/x#y", False, id="with a fragment"),
        pytest.param(WithPath, "ftp://a.b.svc/x", False, id="another scheme"),
        pytest.param(WithPath, "a.b.svc:9090", False, id="no scheme"),
        pytest.param(WithPath, "", False, id="nothing"),
    ],
)
def test_addresses(options: type[ServerOptions], url: str, taken: bool) -> None:
    if taken:
        assert options().load({"url": url})["url"] == url
        return
    with pytest.raises(ValidationError) as caught:
        options().load({"url": url})
    assert caught.value.messages == {"url": [f"Not the address of a server: write it as {options.url_example}."]}


def test_client_of_the_page_reads_its_backend(backend: Backend, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n", encoding="ascii")
    provider_class = python_of("docs/providers.md")["BrokerProvider"]
    options = provider_class.Options().load({"url": f"{backend.url}/api", "tokenFile": str(token)})
    provider = provider_class(provider_context(), options)
    backend.content = b'[{"name": "orders", "depth": 30}, {"name": "mail", "depth": 12}]'
    found = provider.get_external_metric(request_context(), "shop", parse("queue=mail"), ExternalMetricInfo("depth"))
    assert [(str(value.value), value.metric_labels) for value in found] == [("12", {"queue": "mail"})]
    assert backend.asked == [("GET", "/api/queues/main", b"", "Bearer abc")]
    provider.stop()
