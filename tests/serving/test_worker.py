"""The worker over real sockets: requests, refusals, and clients that mean no good."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import time
from collections.abc import Callable
from inspect import signature
from uuid import UUID

import pytest
from gunicorn.http import wsgi
from gunicorn.http.body import Body, ChunkedReader
from gunicorn.http.message import Message
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import Unreader
from gunicorn.workers import base

from tests.serving.attacks import ATTACKS, Attack, Client, Target, under_attack
from tests.serving.conftest import Server, headers, read_all, read_response

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


# Of the base class of workers: called, or overridden.
USED = ["handle_exit", "init_process", "load_wsgi", "notify", "run"]


def test_the_names_of_gunicorn_that_the_worker_builds_on_are_there() -> None:
    """The base class, the parser and WSGI: what else there is of gunicorn may change as it likes."""
    for name in USED:
        assert callable(getattr(base.Worker, name)), name
    assert {"age", "ppid", "sockets", "app", "timeout", "cfg", "log"} <= signature(base.Worker).parameters.keys()
    assert list(signature(RequestParser).parameters)[:3] == ["cfg", "source", "source_addr"]
    assert list(signature(wsgi.create).parameters)[:5] == ["req", "sock", "client", "server", "cfg"]
    assert all(callable(getattr(wsgi.Response, name)) for name in ("start_response", "write", "close", "should_close"))
    assert callable(Message.force_close)
    assert callable(Unreader.take_buffered)
    assert "deadline" in signature(RequestParser.finish_body).parameters
    assert list(signature(Body._read_reader).parameters) == ["self", "size"]
    assert list(signature(ChunkedReader.read_into).parameters) == ["self", "unreader", "buf"]
    assert list(signature(ChunkedReader.parse_chunk_size).parameters) == ["self", "unreader", "data"]
    assert {"limit_chunk_size_line", "limit_trailer_section"} <= vars(ChunkedReader(None, Unreader())).keys()


class TestRequests:
    def test_a_connection_is_used_again(self, server: Server) -> None:
        with server.connect() as client:
            for _ in range(3):
                client.sendall(GET)
                response = read_response(client)
                assert response.startswith(b"HTTP/1.1 200 OK\r\n")
                assert headers(response)["connection"] == "keep-alive"

    @pytest.mark.parametrize(
        "records",
        [
            pytest.param([GET + GET + LAST], id="in one record"),
            pytest.param([GET, GET, LAST], id="in a record each"),
            pytest.param([GET + GET[:9], GET[9:] + LAST[:1], LAST[1:]], id="cut across records"),
            pytest.param([GET * 600 + LAST], id="over more than a record"),
        ],
    )
    def test_pipelined_requests_are_all_answered(self, server: Server, records: list[bytes]) -> None:
        received = server.exchange(*records)
        assert received.count(b"HTTP/1.1 200 OK\r\n") == b"".join(records).count(b"GET /hello")

    def test_two_records_in_one_packet_are_both_answered(self, server: Server) -> None:
        with server.plain() as plain:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = server.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
            _handshake(tls, plain, incoming, outgoing)
            tls.write(GET)
            tls.write(LAST)
            # Both records in the bytes of one send.
            plain.sendall(outgoing.read())
            incoming.write(read_all(plain))
            assert _decrypted(tls).count(b"HTTP/1.1 200 OK") == 2

    def test_a_pipelined_request_after_a_body_is_answered(self, server: Server) -> None:
        post = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345"
        received = server.exchange(post + GET[:12], GET[12:] + LAST)
        assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert b"5 " + hashlib.sha256(b"12345").hexdigest().encode() in received

    def test_a_large_answer_arrives_whole(self, server: Server) -> None:
        received = server.request("/large")
        assert received.split(b"\r\n\r\n", 1)[1] == b"x" * 5_000_000

    @pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
    def test_a_large_body_arrives_whole(self, server: Server, chunked: bool) -> None:
        body = bytes(range(256)) * 20_000
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
        content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        received = server.exchange(
            b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + framing + b"\r\n\r\n", content
        )
        assert received.endswith(f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode())

    def test_a_client_that_waits_to_be_told_to_go_on_is_told(self, server: Server) -> None:
        with server.connect() as client:
            client.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert client.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"ab")
            assert read_response(client).startswith(b"HTTP/1.1 200 OK")

    def test_a_body_that_nobody_reads_does_not_spoil_the_connection(self, server: Server) -> None:
        with server.connect() as client:
            client.sendall(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345" + GET)
            assert read_response(client).startswith(b"HTTP/1.1 200 OK")
            assert read_response(client).startswith(b"HTTP/1.1 200 OK")

    def test_repeated_header_fields_stay_apart_and_in_order(self, server: Server) -> None:
        received = server.exchange(
            b"GET /pairs HTTP/1.1\r\nHost: x\r\nX-Remote-Group: a\r\nAccept: */*\r\n"
            b"X-Remote-Group: b,system:masters\r\nX_Remote_Group: c\r\nConnection: close\r\n\r\n"
        )
        assert json.loads(received.split(b"\r\n\r\n", 1)[1]) == [
            ["HOST", "x"],
            ["X-REMOTE-GROUP", "a"],
            ["ACCEPT", "*/*"],
            ["X-REMOTE-GROUP", "b,system:masters"],
            ["CONNECTION", "close"],
        ]

    def test_no_client_can_send_the_header_pairs_key_itself(self, server: Server) -> None:
        received = server.exchange(
            b"GET /pairs HTTP/1.1\r\nHost: x\r\nmetrics_apiserver.header_pairs: a\r\n"
            b"Metrics-Apiserver.Header-Pairs: b\r\nConnection: close\r\n\r\n"
        )
        assert ["METRICS-APISERVER.HEADER-PAIRS", "b"] in json.loads(received.split(b"\r\n\r\n", 1)[1])

    def test_a_script_name_from_the_client_changes_nothing(self, server: Server) -> None:
        received = server.exchange(
            b"GET /hello HTTP/1.1\r\nHost: x\r\nSCRIPT_NAME: /hello\r\nX-Forwarded-Proto: http\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert received.endswith(b"hello")


def _handshake(tls: ssl.SSLObject, plain: socket.socket, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(1 << 16))
        else:
            plain.sendall(outgoing.read())
            return


def _decrypted(tls: ssl.SSLObject) -> bytes:
    received = b""
    while chunk := tls.read(1 << 16):
        received += chunk
    return received


class TestRefusals:
    @pytest.mark.parametrize(
        ("request_bytes", "code", "reason", "says"),
        [
            pytest.param(b"GARBAGE\r\n\r\n", 400, "BadRequest", "GARBAGE", id="a bad request line"),
            pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", 400, "BadRequest", "bare LF", id="bare line feeds"),
            pytest.param(b"GET / HTTP/1.1\r\nHost: x\nA: b\n", 400, "BadRequest", "bare LF", id="a bare line feed"),
            pytest.param(b"GET / HTTP/3.0\r\n\r\n", 400, "BadRequest", "Version", id="an unknown version"),
            pytest.param(b"GET / HTTP/1.1\r\nA : b\r\n\r\n", 400, "BadRequest", "header name", id="a bad header name"),
            pytest.param(b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400, "BadRequest", "folding", id="a folded header"),
            pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "BadRequest", "HOST", id="two hosts"),
            pytest.param(
                b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
                "BadRequest",
                "CONTENT-LENGTH",
                id="two framings",
            ),
            pytest.param(
                b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\n\r\n", 414, "BadRequest", "too long", id="a long line"
            ),
            pytest.param(b"GET /" + b"a" * 9000, 414, "BadRequest", "too long", id="a long line without an end"),
            pytest.param(
                b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431, "BadRequest", "size", id="a large header"
            ),
            pytest.param(
                b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1001 + b"\r\n", 431, "BadRequest", "fields", id="many headers"
            ),
            pytest.param(
                b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 180_000, 431, "BadRequest", "larger than", id="a head without end"
            ),
            pytest.param(
                b"POST / HTTP/1.1\r\nTransfer-Encoding: magic\r\n\r\n",
                501,
                "BadRequest",
                "transfer coding",
                id="an unknown transfer coding",
            ),
            pytest.param(
                b"POST / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n",
                417,
                "BadRequest",
                "miracles",
                id="an expectation nobody meets",
            ),
            pytest.param(
                b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                400,
                "BadRequest",
                "chunk size",
                id="a bad chunk",
            ),
        ],
    )
    def test_what_the_parser_refuses_is_answered_with_a_status(
        self, server: Server, request_bytes: bytes, code: int, reason: str, says: str
    ) -> None:
        status, fields = _status(server.exchange(request_bytes), code)
        assert status["reason"] == reason
        assert says in status["message"]
        assert fields["connection"] == "close"

    def test_a_failing_application_is_answered_with_the_audit_id_of_the_log(self, server: Server) -> None:
        status, fields = _status(server.request("/boom"), 500)
        assert status["reason"] == "InternalError"
        assert fields["audit-id"] in status["message"]
        assert "secret" not in json.dumps(status)
        log = server.logged()
        assert f"GET /boom from 127.0.0.1 failed, audit id {fields['audit-id']}" in log
        assert "RuntimeError: the secret of the house" in log

    def test_a_head_request_is_refused_without_a_body(self, server: Server) -> None:
        received = server.exchange(b"HEAD /boom HTTP/1.1\r\nHost: x\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 500 INTERNAL SERVER ERROR\r\n")
        assert received.endswith(b"\r\n\r\n")

    def test_an_application_that_exits_does_not_take_the_worker_along(self, server: Server) -> None:
        _status(server.request("/exit"), 500)
        assert server.request("/hello").endswith(b"hello")
        assert server.notes() == ["start"]

    def test_an_application_that_fails_late_ends_the_connection(self, server: Server) -> None:
        with server.connect() as client:
            client.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
            received = read_all(client)
        assert received.endswith(b"\r\n\r\n12345")
        assert server.request("/hello").endswith(b"hello")

    @pytest.mark.parametrize(
        "noise",
        [pytest.param(b"\x00\xff" * 500, id="noise"), pytest.param(b"", id="none")],
    )
    def test_what_is_not_tls_gets_nothing_in_plain_text(self, server: Server, noise: bytes) -> None:
        before = server.logged()
        with server.plain() as client:
            client.sendall(noise)
            client.shutdown(socket.SHUT_WR)
            received = read_all(client)
        # At most one TLS alert: type 21, a version, a length of two.
        assert received == b"" or (received[0] == 21 and len(received) == 7)
        assert server.logged() == before


class TestStrictness:
    @pytest.mark.parametrize(
        ("request_bytes", "code"),
        [
            pytest.param(b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400, id="a bare carriage return in a field"),
            pytest.param(b"GET /\r HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="a bare carriage return in the line"),
            pytest.param(b"GET / HTTP/1.1\r\nHost: x\x00\r\n\r\n", 400, id="a NUL in a field"),
            pytest.param(b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="a NUL in the line"),
            pytest.param(b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="two spaces in the line"),
            pytest.param(b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="a tab in the line"),
            pytest.param(b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="a method in lower case"),
            pytest.param(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, id="a space before the colon"),
            pytest.param(b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400, id="a space before the first name"),
            pytest.param(b"GET / HTTP/1.1\r\nA b: x\r\n\r\n", 400, id="a space in a name"),
            pytest.param(b"GET / HTTP/1.1\r\n: x\r\n\r\n", 400, id="no name"),
            pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, id="no colon"),
            pytest.param(b"GET / HTTP/1.1\r\n\xc3\xa4: x\r\n\r\n", 400, id="a name that is not ASCII"),
            pytest.param(
                b"POST /body HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, id="two lengths"
            ),
            pytest.param(
                b"POST /body HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, id="one length twice"
            ),
            pytest.param(b"POST /body HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na", 400, id="a list of lengths"),
            pytest.param(b"POST /body HTTP/1.1\r\nContent-Length: +1\r\n\r\na", 400, id="a length with a sign"),
            pytest.param(b"POST /body HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, id="a length below zero"),
            pytest.param(b"POST /body HTTP/1.1\r\nContent-Length: 0x1\r\n\r\na", 400, id="a length in hexadecimal"),
            pytest.param(
                b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
                400,
                id="chunks and a length",
            ),
            pytest.param(
                b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                400,
                id="chunked twice",
            ),
            pytest.param(
                b"POST /body HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, id="nearly chunked"
            ),
            pytest.param(
                b"POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, id="chunks in HTTP/1.0"
            ),
            pytest.param(
                b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;\na\r\n0\r\n\r\n",
                400,
                id="a line feed in a chunk's head",
            ),
            pytest.param(
                b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabX\r\n0\r\n\r\n",
                400,
                id="a chunk longer than it says",
            ),
            pytest.param(
                b"POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n",
                400,
                id="a chunk of less than nothing",
            ),
        ],
    )
    def test_what_two_could_read_in_two_ways_is_refused(self, server: Server, request_bytes: bytes, code: int) -> None:
        received = server.exchange(request_bytes)
        assert received.count(b"HTTP/1.1 ") == 1
        _status(received, code)

    def test_names_with_an_underscore_are_as_if_not_sent(self, server: Server) -> None:
        received = server.exchange(
            b"GET /pairs HTTP/1.1\r\nHost: x\r\nX_Remote_User: root\r\nX-Remote_Group: system:masters\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert json.loads(received.split(b"\r\n\r\n", 1)[1]) == [["HOST", "x"], ["CONNECTION", "close"]]

    @pytest.mark.parametrize("name", [b"Content_Length", b"Transfer_Encoding"])
    def test_underscores_frame_no_body(self, server: Server, name: bytes) -> None:
        smuggled = b"POST /body HTTP/1.1\r\nHost: x\r\n" + name + b": 5\r\n\r\n"
        received = server.exchange(smuggled + LAST)
        assert received.count(b"HTTP/1.1 200 OK") == 2


def _status(response: bytes, code: int) -> tuple[dict[str, object], dict[str, str]]:
    head, body = response.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 %d " % code), response
    fields = headers(response)
    assert fields["content-type"] == "application/json"
    assert fields["cache-control"] == "no-cache, private"
    assert fields["x-content-type-options"] == "nosniff"
    assert int(fields["content-length"]) == len(body)
    assert UUID(fields["audit-id"]).version == 4
    status = json.loads(body)
    assert status["kind"] == "Status"
    assert status["apiVersion"] == "v1"
    assert status["metadata"] == {}
    assert status["status"] == "Failure"
    assert status["code"] == code
    return status, fields


# When the worker closes each at the latest; None: not in the time of a test.
CLOSED_AFTER = {
    "connections without a byte": 5,
    "4 bytes of a handshake": 5,
    "half a head": 5,
    "a head in drips": 5,
    "idle connections": None,
    "told to close, and never do": 2,
    "answers that nobody reads": None,
    "bodies that never come": 3,
    # They ask for more again and again, of a real server: see `tests/live/test_attacks.py`.
    "targets and Accepts that are slow to read": None,
    "reads of very many series, of which none fits": None,
    "readers who wait for an unknown resource": None,
    # They come back as often as they are sent away: see `test_records.py`.
    "key updates without end": None,
    "key updates in a body": None,
    "key updates between the bytes of a head": None,
    "empty records without end": None,
    "heads in tiny records": None,
    "bodies in tiny records": None,
    "bodies in tiny chunks": None,
}


class TestSlowClients:
    @pytest.mark.parametrize("attack", [pytest.param(each, id=each.name) for each in ATTACKS])
    def test_clients_hold_nobody_up_and_are_closed_at_their_deadline(self, server: Server, attack: Attack) -> None:
        target = Target(server.port, str(server.cert), "/hello", written="/body")
        with under_attack(target, attack) as clients:
            began = time.monotonic()
            slowest = max(_probe(server) for _ in range(10))
            print(f"{attack.name}: slowest of 10 probes {slowest * 1000:.0f} ms")
            # A thread that waits for one of them would make this two seconds at least.
            assert slowest < 1.8
            seconds = CLOSED_AFTER[attack.name]
            if seconds is None:
                return
            for client in clients:
                _read_to_end(client)
            assert time.monotonic() - began < seconds + 2.0

    def test_a_second_head_has_a_deadline_too(self, server: Server) -> None:
        with server.connect() as client:
            client.sendall(GET)
            read_response(client)
            client.sendall(b"GET /hello HT")
            began = time.monotonic()
            _read_to_end(client)
            assert 4 < time.monotonic() - began < 7

    def test_a_head_in_drips_is_closed_at_the_deadline_of_the_whole(self, server: Server) -> None:
        with server.connect() as client:
            client.settimeout(0.2)
            began = time.monotonic()
            received = None
            while received is None and time.monotonic() - began < 10:
                try:
                    client.sendall(b"a")
                    received = client.recv(1)
                except TimeoutError:
                    continue
                except OSError:
                    received = b""
            assert received == b""
            assert 4 < time.monotonic() - began < 7


def _probe(server: Server) -> float:
    began = time.monotonic()
    assert server.request("/hello").endswith(b"hello")
    return time.monotonic() - began


def _read_to_end(client: Client) -> None:
    try:
        read_all(client)
    except (ConnectionResetError, ssl.SSLError):
        return


PLAIN = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN, id="GET"),
        pytest.param(b"HEAD / HTTP/1.1\r\n\r\n", PLAIN, id="HEAD"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, PLAIN, id="POST"),
        pytest.param(b"PUT /a HTTP/1.1\r\n\r\n", PLAIN, id="PUT"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\n\r\n", PLAIN, id="OPTIONS"),
        pytest.param(b"GET /", PLAIN, id="five bytes are enough"),
        pytest.param(b"GET x HTTP/1.1\r\n\r\n", b"", id="what is not a request"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", b"", id="another protocol"),
    ],
)
def test_plain_http_is_told_that_this_is_https(server: Server, request_bytes: bytes, answer: bytes) -> None:
    """As Go's servers say it; however it is cut, and nobody else is."""
    for parts in ((request_bytes,), (request_bytes[:2], request_bytes[2:])):
        with server.plain() as client:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == answer


def test_plain_http_is_logged_once_a_minute(start: Callable[..., Server]) -> None:
    server = start().wait_until_ready()
    for _ in range(5):
        with server.plain() as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert read_all(client) == PLAIN
    assert server.request("/hello").endswith(b"hello")
    assert server.logged().count("speaks plain HTTP to this port, which serves HTTPS") == 1
