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
from tests.controlplane.certificates import Authority, Usage
from tests.fakes import LOGGER, provider_context, request_context
from tests.live.test_readme import python_of
from tests.providers.proxy.other import OtherServer, issue, reply


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


NOT_OVER_HTTP = "Everybody on the way could read it with http://: use https://."
NO_TLS = "There is no TLS with http://, and this has no effect: use https://."
TOGETHER = "username and passwordFile belong together"


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        pytest.param({"tokenFile": "/t"}, {"tokenFile": [NOT_OVER_HTTP]}, id="a token over plain HTTP"),
        pytest.param(
            {"username": "a", "passwordFile": "/p"}, {"passwordFile": [NOT_OVER_HTTP]}, id="a password over plain HTTP"
        ),
        pytest.param({"caFile": "/ca"}, {"caFile": [NO_TLS]}, id="a CA without TLS"),
        pytest.param({"serverName": "a"}, {"serverName": [NO_TLS]}, id="a certificate's name without TLS"),
        pytest.param(
            {"clientCertFile": "/c", "clientKeyFile": "/k"},
            {"clientCertFile": [NO_TLS]},
            id="a client certificate",
        ),
        pytest.param({"url": "https://a", "username": "a"}, {"_schema": [TOGETHER]}, id="a user alone"),
        pytest.param({"url": "https://a", "passwordFile": "a"}, {"_schema": [TOGETHER]}, id="a password alone"),
        pytest.param(
            {"url": "https://a", "tokenFile": "/t", "username": "a", "passwordFile": "/p"},
            {"_schema": ["tokenFile and username are two ways to say who asks: give one"]},
            id="a token and a user",
        ),
        pytest.param({"username": "a:b", "passwordFile": "/p", "url": "https://a"}, ["username"], id="a colon"),
        pytest.param({"headers": {"X Y": "a"}}, ["headers"], id="no name of a field"),
        pytest.param({"headers": {"": "a"}}, ["headers"], id="an empty name"),
        pytest.param({"headers": {"X": "a\r\nY: b"}}, ["headers"], id="a field that is two"),
        pytest.param({"headers": {"X": "ä"}}, ["headers"], id="a value that is not ASCII"),
        pytest.param({"headers": {"Host": "a"}}, ["headers"], id="a field that frames the request"),
        pytest.param({"headers": {"authorization": "a"}}, ["headers"], id="a credential in the configuration"),
    ],
)
def test_options_that_are_refused(given: dict[str, Any], messages: Any) -> None:
    """Also `tokenFile: ""` is taken: it is how one says that there is none."""
    with pytest.raises(ValidationError) as caught:
        WithPath().load({"url": "http://a.b.svc", **given})
    assert caught.value.messages == messages or list(caught.value.messages) == messages
    assert WithPath().load({"url": "http://a.b.svc", "tokenFile": ""})["token_file"] == ""


@pytest.fixture(name="authority")
def _authority() -> Authority:
    return Authority("backend-ca")


@pytest.fixture(name="secure")
def _secure(authority: Authority, tmp_path: Path) -> Iterator[OtherServer]:
    """A backend with TLS, which takes client certificates."""
    (tmp_path / "ca.crt").write_bytes(authority.certificate_pem)
    started = OtherServer(issue(authority), tmp_path, clients=authority)
    started.answer = reply(200, b"{}", **{"X-Request-Cost": "7"})
    yield started
    started.close()


def secure_client(secure: OtherServer, folder: Path, **given: Any) -> HTTPClient:
    options = ServerOptions().load({"url": secure.url, "caFile": str(folder / "ca.crt"), **given})
    return HTTPClient.from_options(options, logger=LOGGER, what="the backend")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, {}, id="nobody"),
        pytest.param({"tokenFile": "token"}, {"authorization": "Bearer abc"}, id="a token"),
        pytest.param({"tokenFile": ""}, {}, id="a token that is taken away"),
        pytest.param(
            {"username": "me", "passwordFile": "password"},
            {"authorization": "Basic bWU6cMOkc3M6IHdvcmQ="},
            id="a user and a password",
        ),
        pytest.param({"headers": {"X-Scope-OrgID": "a"}}, {"x-scope-orgid": "a"}, id="a tenant"),
    ],
)
def test_who_asks_goes_with_every_request(
    secure: OtherServer, tmp_path: Path, given: dict[str, Any], expected: dict[str, str]
) -> None:
    (tmp_path / "token").write_text("abc\n", encoding="ascii")
    (tmp_path / "password").write_text("päss: word\n", encoding="utf-8")
    given = {key: str(tmp_path / value) if key.endswith("File") and value else value for key, value in given.items()}
    client = secure_client(secure, tmp_path, **given)
    for _ in range(2):
        answer = client.get("/x", {"Accept": "text/plain"}, timeout=5)
        assert (answer.status, answer.body, answer.headers["x-request-cost"]) == (200, b"{}", "7")
    client.close()
    for request in secure.requests:
        fields_of = {name.lower(): value for name, value in request.headers}
        assert {name: fields_of[name] for name in expected} == expected
        assert ("authorization" in fields_of) == ("authorization" in expected)
        assert fields_of["accept"] == "text/plain"


def test_a_field_of_the_request_goes_before_the_clients_own(secure: OtherServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc", encoding="ascii")
    client = secure_client(secure, tmp_path, tokenFile=str(tmp_path / "token"), headers={"X-Tenant": "a"})
    client.get("/x", {"authorization": "Bearer other", "x-tenant": "b"}, timeout=5)
    client.close()
    (request,) = secure.requests
    assert (request.values("authorization"), request.values("x-tenant")) == (["Bearer other"], ["b"])


def test_the_client_certificate_is_shown(secure: OtherServer, authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("the-provider", usage=Usage.CLIENT).write(tmp_path, "client")
    client = secure_client(secure, tmp_path, clientCertFile=str(cert), clientKeyFile=str(key))
    client.get("/x", {}, timeout=5)
    client.close()
    assert [request.client for request in secure.requests] == ["the-provider"]


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        pytest.param({"caFile": None}, "its certificate is refused: ", id="signed by nobody that is known"),
        pytest.param({"serverName": "other.svc"}, "its certificate is refused: Hostname mismatch", id="another's name"),
    ],
)
def test_another_server_is_told_nothing(secure: OtherServer, tmp_path: Path, given: dict[str, Any], cause: str) -> None:
    (tmp_path / "token").write_text("abc", encoding="ascii")
    client = secure_client(secure, tmp_path, tokenFile=str(tmp_path / "token"), **given)
    with pytest.raises(ServiceUnavailableError, match="cannot be reached") as caught:
        client.get("/x", {}, timeout=5)
    assert cause in (caught.value.cause or "")
    assert secure.requests == []


@pytest.mark.parametrize("content", [None, b"\xff"], ids=["no file", "not UTF-8"])
def test_a_password_that_cannot_be_read_is_quoted_nowhere(
    secure: OtherServer, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(b"hunter2" + content)
    client = secure_client(secure, tmp_path, username="me", passwordFile=str(path))
    with pytest.raises(ServiceUnavailableError, match="its password cannot be read") as caught:
        client.get("/x", {}, timeout=5)
    assert "hunter2" not in caught.value.whole
    assert secure.requests == []


def test_client_of_the_page_reads_its_backend(secure: OtherServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n", encoding="ascii")
    provider_class = python_of("docs/providers.md")["BrokerProvider"]
    options = provider_class.Options().load(
        {"url": f"{secure.url}/api", "tokenFile": str(token), "caFile": str(tmp_path / "ca.crt")}
    )
    provider = provider_class(provider_context(), options)
    secure.answer = reply(200, b'[{"name": "orders", "depth": 30}, {"name": "mail", "depth": 12}]')
    found = provider.get_external_metric(request_context(), "shop", parse("queue=mail"), ExternalMetricInfo("depth"))
    assert [(str(value.value), value.metric_labels) for value in found] == [("12", {"queue": "mail"})]
    (request,) = secure.requests
    assert (request.target, request.values("authorization")) == ("/api/queues/main", ["Bearer abc"])
    provider.stop()
