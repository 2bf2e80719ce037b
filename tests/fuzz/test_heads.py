"""Bytes that no client would send: each connection gets whole answers or none, in time, and the server stays."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.live.server import LiveServer

EXTERNAL = b"/apis/external.metrics.k8s.io/v1beta1/namespaces/default/my-external-metric"
# What real requests are made of, and what they are made wrong with.
LINES = st.sampled_from(
    [
        b"GET " + EXTERNAL + b" HTTP/1.1",
        b"GET /apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/packets-per-second?labelSelector=a HTTP/1.1",
        b"GET /apis HTTP/1.1",
        b"HEAD /livez HTTP/1.0",
        b"POST /write-metrics/namespaces/shop/pods/cart-0/m HTTP/1.1",
        b"DELETE /write-metrics/namespaces/shop/pods/cart-0/m HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT example.org:443 HTTP/1.1",
        b"GET https://example.org" + EXTERNAL + b" HTTP/1.1",
        b"GET //apis/%2F/..%00 HTTP/1.1",
        b"PRI * HTTP/2.0",
    ]
)
FIELDS = st.sampled_from(
    [
        b"Host: localhost",
        b"Accept: application/json",
        b"Accept: application/vnd.kubernetes.protobuf",
        b"Content-Length: 4",
        b"Content-Length: 99999999999999999999",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Expect: 100-continue",
        b"Connection: close",
        b"Connection: upgrade",
        b"Upgrade: h2c",
        b"X-Remote-User: root",
        b"X-Remote-Group: system:masters",
        b"Authorization: Bearer \xff\xfe",
        b"Audit-Id: \xe2\x80\xae",
        b"Impersonate-User: root",
        b"SCRIPT_NAME: /x",
        b"",
    ]
)
NOISE = st.binary(max_size=40)
PIECES = st.one_of(LINES, FIELDS, NOISE, st.sampled_from([b"4\r\nabcd", b"0", b"\r", b"\n", b"\x00", b"a" * 9000]))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A line, fields, a body, and something cut out of it or put into it."""
    lines = [
        draw(LINES),
        *draw(st.lists(st.one_of(FIELDS, FIELDS, FIELDS, PIECES), max_size=4)),
        b"",
        *draw(st.lists(PIECES, max_size=3)),
    ]
    whole = draw(st.sampled_from([b"\r\n"] * 9 + [b"\n"])).join(lines) + b"\r\n\r\n"
    if draw(st.booleans()):
        return whole
    at = draw(st.integers(0, len(whole)))
    return whole[:at] + draw(st.one_of(st.just(b""), NOISE)) + whole[at + draw(st.integers(0, 3)) :]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(stream=st.lists(requests(), min_size=1, max_size=3).map(b"".join))
@example(stream=b"\r\n\r\nGET / HTTP/1.1\r\n\r\n")
@example(stream=b"GET / HTTP/1.1\r\n" * 2000)
def test_any_bytes_get_whole_answers_or_none(server: LiveServer, stream: bytes) -> None:
    """Never a 500, never a half answer, never a wait of more than the deadlines."""
    context = ssl.create_default_context(cafile=server.ca_file)
    received = b""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
        client = context.wrap_socket(plain, server_hostname="localhost")
        with client, contextlib.suppress(ConnectionResetError, BrokenPipeError, ssl.SSLError):
            client.sendall(stream)
            # Nothing more will come. (The method of SSLSocket would forget the keys.)
            socket.socket.shutdown(client, socket.SHUT_WR)
            while chunk := client.recv(1 << 16):
                received += chunk
    assert time.monotonic() - began < 15
    codes = _codes(received)
    assert all(100 <= code < 500 or code == 501 for code in codes), received
    assert b"Traceback" not in received


ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


def _codes(received: bytes) -> list[int]:
    """Take a stream of answers apart; each must be whole, unless the connection was cut after the last."""
    codes, at = [], 0
    while at < len(received):
        answer = ANSWER.match(received, at)
        assert answer, received[at:]
        code, fields = int(answer[1]), answer[2].lower()
        length = re.search(rb"^content-length: (\d+)\r$", fields, re.MULTILINE)
        codes.append(code)
        at = answer.end()
        body = int(length[1]) if length else 0
        # The answer to HEAD has a length and no body.
        if not received[at : at + 5].startswith(b"HTTP/"):
            at += body
    return codes
