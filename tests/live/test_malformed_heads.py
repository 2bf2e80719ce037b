"""A head that cannot be read may hold credentials anywhere: neither the log nor the answer quotes them."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator

import pytest

from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer
from tests.serving.attacks import Target

SECRET = "s3cr3t-0paqu3-Value"
BASIC = base64.b64encode(f"jane:{SECRET}".encode()).decode()
REST = "Host: localhost\r\n\r\n"


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("server"), "-v=10") as server:
        yield server


def ask(server: LiveServer, request: str) -> str:
    """Send it, and read what comes until the end."""
    target, received = Target(server.port, str(server.ca_file), "/"), b""
    with target.connect() as client, contextlib.suppress(OSError):
        client.sendall(request.encode("latin-1"))
        # Half a head is over when its sender is.
        if request.endswith("half"):
            client.unwrap()
            return ""
        while chunk := client.recv(1 << 16):
            received += chunk
    return received.decode()


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        pytest.param(f"GET / HTTP/1.1\r\nAuthorization Basic {BASIC}\r\n{REST}", 400, id="a field without a colon"),
        pytest.param(f"GET / HTTP/1.1\r\nAuthorization : Basic {BASIC}\r\n{REST}", 400, id="a blank before the colon"),
        pytest.param(f"GET / HTTP/1.1\r\nAuthorization Basic {BASIC} x: y\r\n{REST}", 400, id="a value in the name"),
        pytest.param(f"GET / HTTP/1.1\r\n{SECRET} x: y\r\n{REST}", 400, id="a secret in the name"),
        pytest.param(f"GET / HTTP/1.1\r\n{SECRET}\r\n{REST}", 400, id="a secret as a line"),
        pytest.param(f"GET / HTTP/1.1\r\nA: b\r\n Basic {BASIC}\r\n{REST}", 400, id="a folded line"),
        pytest.param(f"GET / HTTP/1.1\r\nAuthorization: Basic {BASIC}\x00\r\n{REST}", 400, id="a NUL in the value"),
        pytest.param(
            f"Authorization: Basic {BASIC}\r\nGET / HTTP/1.1\r\n{REST}", 400, id="a field as the request line"
        ),
        pytest.param(f"GET / {BASIC} HTTP/1.1\r\n{REST}", 400, id="a word too many in the line"),
        pytest.param(f"GET /?token={SECRET}\r\n{REST}", 400, id="a line without a version"),
        pytest.param(f"GET /?token={SECRET} HTTP/9.9\r\n{REST}", 400, id="an unknown version"),
        pytest.param(f"GET / {SECRET}\r\n{REST}", 400, id="a secret as the version"),
        pytest.param(f"{SECRET} / HTTP/1.1\r\n{REST}", 400, id="a secret as the method"),
        pytest.param(f"G@T /?token={SECRET} HTTP/1.1\r\n{REST}", 400, id="a method that is none"),
        pytest.param(f"GET / HTTP/1.1\nAuthorization: Basic {BASIC}\n\n", 400, id="bare line feeds"),
        pytest.param(f"GET / HTTP/1.1\r\nExpect: {SECRET}\r\n{REST}", 417, id="an expectation"),
        pytest.param(f"POST / HTTP/1.1\r\nTransfer-Encoding: {SECRET}\r\n{REST}", 501, id="a transfer coding"),
        pytest.param(f"GET / HTTP/1.1\r\nHost: a\r\nHost: {SECRET}\r\n\r\n", 400, id="two hosts"),
        pytest.param(f"GET /{SECRET}{'a' * 8200} HTTP/1.1\r\n{REST}", 414, id="a long line"),
        pytest.param(f"GET / HTTP/1.1\r\nX-Auth: {SECRET}{'a' * 9000}\r\n{REST}", 431, id="a long field"),
    ],
)
def test_what_is_refused_is_not_quoted(server: LiveServer, request_text: str, code: int) -> None:
    """The Status says what is wrong, and the log too; neither says what was sent."""
    answer = ask(server, request_text)
    assert answer.startswith(f"HTTP/1.1 {code} ")
    status = json.loads(answer.partition("\r\n\r\n")[2])
    assert status["kind"] == "Status"
    assert [word for word in (SECRET, BASIC, BASIC[:12]) if word in answer] == []
    check_log(server)


def test_half_a_head_is_not_quoted(server: LiveServer) -> None:
    """Its sender goes away in the middle of it."""
    assert ask(server, f"GET / HTTP/1.1\r\nAuthorization: Basic {BASIC}\r\nhalf") == ""
    check_log(server)


@pytest.mark.parametrize(
    "target",
    [
        f"https://jane:{SECRET}@localhost/livez",
        f"//jane:{SECRET}@localhost/livez",
        f"/livez?%74oken={SECRET}",
        f"/livez?key={SECRET}",
        f"/livez?pwd={SECRET}",
        f"/livez;{SECRET}",
    ],
)
def test_request_that_is_read_is_not_quoted_either(server: LiveServer, target: str) -> None:
    """Whatever is answered."""
    answer = ask(server, f"GET {target} HTTP/1.1\r\nX-Auth: {SECRET}\r\nConnection: close\r\n{REST}")
    assert SECRET not in answer
    check_log(server)


def check_log(server: LiveServer) -> None:
    """Ask for something else, so that all before it is in the log when that is."""
    lines = server.log().count("/no/such/end")
    server.ask("GET", "/no/such/end", {})
    wait_until(lambda: server.log().count("/no/such/end") > lines, 20, "the log has no line of the request")
    log = server.log()
    assert [word for word in (SECRET, BASIC, BASIC[:12]) if word in log] == []
