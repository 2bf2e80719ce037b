"""Bodies that are wrong, late or never come: each is told so with a `Status`, and holds no thread of others."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from metrics_apiserver.concurrency.budget import BODIES
from metrics_apiserver.serving.waits import CrowdedError, Waits
from tests.serving.conftest import Server, headers, read_all, read_response, wait_for
from tests.serving.raw_tls import RecordClient

CHUNKED = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
UNREAD = b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"

# Bodies that are not chunked as RFC 9112 7.1 says, or beyond what anybody needs.
MALFORMED = [
    pytest.param(b"xyz\r\nabc\r\n0\r\n\r\n", 400, id="a size that is not a number"),
    pytest.param(b"\r\nabc\r\n0\r\n\r\n", 400, id="no size"),
    pytest.param(b"-3\r\nabc\r\n0\r\n\r\n", 400, id="a size below zero"),
    pytest.param(b"+3\r\nabc\r\n0\r\n\r\n", 400, id="a size with a sign"),
    pytest.param(b"0x3\r\nabc\r\n0\r\n\r\n", 400, id="a size with 0x"),
    pytest.param(b"0_3\r\nabc\r\n0\r\n\r\n", 400, id="a size with an underscore"),
    pytest.param(b" 3\r\nabc\r\n0\r\n\r\n", 400, id="a space before the size"),
    pytest.param(b"3 \r\nabc\r\n0\r\n\r\n", 400, id="a space after the size"),
    pytest.param(b"3\t\r\nabc\r\n0\r\n\r\n", 400, id="a tab after the size"),
    pytest.param(b"3,3\r\nabc\r\n0\r\n\r\n", 400, id="two sizes"),
    pytest.param("３\r\nabc\r\n0\r\n\r\n".encode(), 400, id="a digit that is not ASCII"),
    pytest.param(b"f" * 17 + b"\r\nabc\r\n0\r\n\r\n", 400, id="a size of more than 64 bits"),
    pytest.param(b"f" * 5000 + b"\r\nabc\r\n0\r\n\r\n", 400, id="a size of 5,000 digits"),
    pytest.param(b"0" * 5000 + b"3\r\nabc\r\n0\r\n\r\n", 400, id="a size after 5,000 zeros"),
    pytest.param(b"f" * 20_000, 400, id="a size without end"),
    pytest.param(b"3\nabc\r\n0\r\n\r\n", 400, id="a line feed after the size"),
    pytest.param(b"3\rabc\r\n0\r\n\r\n", 400, id="a carriage return after the size"),
    pytest.param(b"3\r\nabc0\r\n\r\n", 400, id="no line end after a chunk"),
    pytest.param(b"3\r\nabc\n0\r\n\r\n", 400, id="a line feed after a chunk"),
    pytest.param(b"2\r\nabc\r\n0\r\n\r\n", 400, id="a chunk longer than its size"),
    pytest.param(b"4\r\nabc\r\n0\r\n\r\n", 400, id="a chunk shorter than its size"),
    pytest.param(b"3;a\x00\r\nabc\r\n0\r\n\r\n", 400, id="a NUL in an extension"),
    pytest.param(b"3;a\rb\r\nabc\r\n0\r\n\r\n", 400, id="a carriage return in an extension"),
    pytest.param(b"3;a\nb\r\nabc\r\n0\r\n\r\n", 400, id="a line feed in an extension"),
    pytest.param(b"3;\xff\r\nabc\r\n0\r\n\r\n", 400, id="an extension that is not a token"),
    pytest.param(b'3;a="b\r\nabc\r\n0\r\n\r\n', 400, id="an extension's quote that does not end"),
    pytest.param(b"3;" + b"a" * 5000 + b"\r\nabc\r\n0\r\n\r\n", 400, id="an extension of 5,000 bytes"),
    pytest.param(b"3;" + b"a" * 20_000, 400, id="an extension without end"),
    pytest.param((b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 30 + b"0\r\n\r\n", 400, id="far more extensions than data"),
    pytest.param(b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n", 400, id="20,000 chunks of a byte"),
    pytest.param((b"40\r\n" + b"a" * 64 + b"\r\n") * 2000 + b"0\r\n\r\n", 400, id="2,000 chunks of 64 bytes"),
    pytest.param(b"3\r\nabc\r\n0\r\nA : b\r\n\r\n", 400, id="a trailer with a space in its name"),
    pytest.param(b"3\r\nabc\r\n0\r\nno colon\r\n\r\n", 400, id="a trailer without a colon"),
    pytest.param(b"3\r\nabc\r\n0\r\nA: b\n\r\n\r\n", 400, id="a trailer with a line feed"),
    pytest.param(b"3\r\nabc\r\n0\r\nA: b\x00\r\n\r\n", 400, id="a trailer with a NUL"),
    pytest.param(b"3\r\nabc\r\n0\r\nA: " + b"b" * 30_000, 431, id="a trailer without end"),
    pytest.param(b"3\r\nabc\r\n0\r\n" + b"A: b\r\n" * 9000, 431, id="trailers without end"),
    pytest.param(b"3\r\nabc\r\n0\r\nnot the end", 400, id="an end in the trailers"),
    pytest.param(b"3\r\nabc\r\n0\r\n", 400, id="an end before the last line"),
    pytest.param(b"3\r\nabc\r\n", 400, id="an end before the last chunk"),
    pytest.param(b"3\r\na", 400, id="an end in a chunk"),
    pytest.param(b"3\r\nabc", 400, id="an end after a chunk's data"),
    pytest.param(b"3", 400, id="an end in a size"),
    pytest.param(b"", 400, id="an end before everything"),
]


@pytest.mark.parametrize(("body", "code"), MALFORMED)
def test_body_that_is_chunked_wrongly_is_a_mistake_of_the_client(server: Server, body: bytes, code: int) -> None:
    received = exchange_and_end(server.connect(), CHUNKED + body)
    status = one_status(received, code)
    assert status["message"].startswith(("the server could not", "the request's header fields", "the body ends"))
    assert "Traceback" not in server.logged()


@pytest.mark.parametrize("body", [each.values[0] for each in MALFORMED], ids=[each.id for each in MALFORMED])
def test_wrong_body_that_nobody_reads_has_no_second_answer(server: Server, body: bytes) -> None:
    received = exchange_and_end(server.connect(), CHUNKED.replace(b"/body", b"/hello") + body)
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.endswith(b"hello")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"3\r\nabc\r\n0\r\n\r\n", id="one chunk"),
        pytest.param(b'003;a=b;c="d e" ; f\r\nabc\r\n0;x\r\n\r\n', id="with extensions"),
        pytest.param(b"1\r\na\r\n" * 3 + b"0\r\nA: b\r\nC: d\r\n\r\n", id="with trailers"),
    ],
)
def test_body_in_good_chunks_is_read_and_the_connection_lives_on(server: Server, body: bytes) -> None:
    with server.connect() as client:
        client.sendall(CHUNKED + body + GET)
        assert b"\r\n\r\n3 " in read_response(client)
        assert read_response(client).endswith(b"hello")


@pytest.mark.parametrize(
    ("size", "count"),
    [pytest.param(1, 256, id="a few of a byte"), pytest.param(128, 2000, id="many of a fair size")],
)
def test_body_in_as_many_chunks_as_a_client_may_need_is_read(server: Server, size: int, count: int) -> None:
    chunk = b"%x\r\n" % size + b"a" * size + b"\r\n"
    with server.connect() as client:
        client.sendall(CHUNKED + chunk * count + b"0\r\n\r\n")
        assert b"\r\n\r\n%d " % (size * count) in read_response(client)


def test_connection_ends_with_the_answer_where_the_client_has_said_its_last(server: Server) -> None:
    """With a goodbye of TLS, and no end of TCP: nothing would come any more, and nothing would say so."""
    with closing(RecordClient(server.plain(), str(server.cert))) as client:
        client.sendall(GET + SLOW + b"he")
        client.send_records(client.warning(0))
        began, received = time.monotonic(), b""
        while data := client.recv(1 << 16):
            received += data
        assert received.count(b"HTTP/1.1 200 OK") == 2
        # Not by the end of a keep-alive, which is far longer.
        assert time.monotonic() - began < 5


def exchange_and_end(client: ssl.SSLSocket, request: bytes) -> bytes:
    """Send a request and the end of the stream, and read what comes of it."""
    with client:
        client.sendall(request)
        # Of TCP alone: what comes can still be decrypted.
        socket.socket.shutdown(client, socket.SHUT_WR)
        return read_all(client)


def one_status(received: bytes, code: int) -> dict[str, str]:
    """Return the `Status` of a connection's only answer, which says that it is the last one."""
    assert received.count(b"HTTP/1.1 ") == 1, received
    assert received.startswith(b"HTTP/1.1 %d " % code), received
    assert headers(received)["connection"] == "close"
    status: dict[str, str] = json.loads(received.split(b"\r\n\r\n", 1)[1])
    assert (status["kind"], status["code"]) == ("Status", code)
    return status


CONNECTIONS = [
    pytest.param([b"close"], False, id="close"),
    pytest.param([b"Close"], False, id="in another case"),
    pytest.param([b"keep-alive, close"], False, id="after keep-alive"),
    pytest.param([b"close, keep-alive"], False, id="before keep-alive"),
    pytest.param([b"Keep-Alive ,\tCLOSE"], False, id="with blanks around"),
    pytest.param([b",,close,"], False, id="between empty ones"),
    pytest.param([b"keep-alive", b"close"], False, id="in a second field"),
    pytest.param([b"close", b"keep-alive"], False, id="in the first field of two"),
    pytest.param([b"upgrade", b"te, close"], False, id="among others"),
    pytest.param([b"keep-alive"], True, id="not there"),
    pytest.param([b"closed"], True, id="a longer word"),
    pytest.param([b"x-close"], True, id="a word with it"),
    pytest.param([b'"close"'], True, id="quoted"),
    pytest.param([b"te"], True, id="something else"),
]


@pytest.mark.parametrize(("fields", "kept"), CONNECTIONS)
def test_connection_ends_where_close_is_among_the_options(server: Server, fields: list[bytes], kept: bool) -> None:
    lines = b"".join(b"Connection: " + field + b"\r\n" for field in fields)
    with server.connect() as client:
        client.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n" + GET)
        assert headers(read_response(client))["connection"] == ("keep-alive" if kept else "close")
        assert client.recv(1) == (b"H" if kept else b"")


class TestSlowBodies:
    def test_who_finds_no_place_is_told_at_once_and_others_are_served(self, start: Callable[..., Server]) -> None:
        served = start().wait_until_ready()
        with ExitStack() as stack:
            clients = [stack.enter_context(served.connect()) for _ in range(150)]
            began = time.monotonic()
            for client in clients:
                client.sendall(SLOW)
            # Who has its body with it needs no place.
            with served.connect() as writer:
                writer.sendall(SLOW + b"hello")
                assert read_response(writer).startswith(b"HTTP/1.1 200 OK")
            slowest = max(_probe(served) for _ in range(10))
            print(f"slowest of 10 probes {slowest * 1000:.0f} ms")
            assert slowest < 1.8
            refused = 0
            for client in clients:
                received = _read_to_end(client)
                code = int(received[9:12])
                assert code in (408, 503), received
                refused += code == 503
                status = one_status(received, code)
                if code == 503:
                    assert headers(received)["retry-after"] == "1"
                    assert status["reason"] == "ServiceUnavailable"
            assert refused >= 150 - BODIES
            # The last of them had the time of a body, and no more.
            assert time.monotonic() - began < 20

    def test_slow_body_that_finds_a_place_is_read(self, server: Server) -> None:
        with server.connect() as client:
            client.sendall(SLOW + b"he")
            wait_for(lambda: _probe(server) < 5, "another request")
            client.sendall(b"llo")
            assert b"\r\n\r\n5 " in read_response(client)

    def test_body_that_is_too_late_is_told_so(self, server: Server) -> None:
        with server.connect() as client:
            client.sendall(SLOW + b"he")
            status = one_status(_read_to_end(client), 408)
        assert status["reason"] == "Timeout"

    def test_bodies_that_nobody_reads_take_no_place_of_those_that_are_read(self, start: Callable[..., Server]) -> None:
        """While many clients send heads whose bodies nobody waits for, every writer is served."""
        served = start().wait_until_ready()
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                with served.connect() as client:
                    client.sendall(UNREAD)
                    _read_to_end(client)

        with ThreadPoolExecutor(24) as pool:
            asking = [pool.submit(ask) for _ in range(24)]
            try:
                for _ in range(40):
                    with served.connect() as writer:
                        writer.sendall(SLOW + b"he")
                        # Long enough for a thread to wait for the rest.
                        time.sleep(0.02)
                        writer.sendall(b"llo")
                        assert read_response(writer).startswith(b"HTTP/1.1 200 OK")
            finally:
                stop.set()
            for each in asking:
                each.result()

    def test_bodies_that_nobody_reads_hold_no_thread(self, start: Callable[..., Server]) -> None:
        """None is waited for."""
        served = start().wait_until_ready()
        with ExitStack() as stack:
            clients = [stack.enter_context(served.connect()) for _ in range(300)]
            for client in clients:
                client.sendall(UNREAD)
            assert max(_probe(served) for _ in range(10)) < 1.8
            for client in clients:
                received = _read_to_end(client)
                assert received.count(b"HTTP/1.1 ") == 1
                assert received.endswith(b"hello")

    def test_unread_body_in_drips_is_given_up_in_time(self, server: Server) -> None:
        """In pieces that come sooner than a tenth of a second, each."""
        with server.connect() as client, ThreadPoolExecutor(1) as pool:
            client.sendall(UNREAD.replace(b"5", b"900"))
            began = time.monotonic()
            stop = threading.Event()

            def drip() -> None:
                while not stop.wait(0.03):
                    try:
                        client.sendall(b"a")
                    except OSError:
                        return

            dripping = pool.submit(drip)
            received = _read_to_end(client)
            stop.set()
            dripping.result()
        assert received.endswith(b"hello")
        # 900 drips are 27 seconds, a body has ten.
        assert time.monotonic() - began < 6


def _read_to_end(client: ssl.SSLSocket) -> bytes:
    received = b""
    try:
        while chunk := client.recv(1 << 16):
            received += chunk
    except (ConnectionResetError, ssl.SSLError):
        return received
    return received


def _probe(server: Server) -> float:
    began = time.monotonic()
    assert server.request("/hello").endswith(b"hello")
    return time.monotonic() - began


class TestPlaces:
    def test_one_more_than_there_are_is_refused_until_one_is_free(self) -> None:
        waits = Waits(2)
        with waits.place(0.0):
            with waits.place(0.0), pytest.raises(CrowdedError), waits.place(0.0):
                pass
            with waits.place(0.0):
                pass

    def test_who_has_waited_for_a_while_gives_way_to_each_that_was_refused(self) -> None:
        waits = Waits(3)
        now = time.monotonic()
        with waits.place(now - 5) as first, waits.place(now - 5) as second, waits.place(now + 60) as third:
            assert not any(gives_way() for gives_way in (first, second, third))
            with pytest.raises(CrowdedError), waits.place(now):
                pass
            # The third has not had it for long.
            assert [third(), first(), second()] == [False, True, False]

    def test_nobody_gives_way_where_there_is_room_again(self) -> None:
        waits = Waits(2)
        with waits.place(0.0) as first:
            with waits.place(0.0), pytest.raises(CrowdedError), waits.place(0.0):
                pass
            assert not first()
