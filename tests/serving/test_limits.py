"""What one client may take of the server, each with a test at the limit and one past it."""

from __future__ import annotations

import json
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from metrics_apiserver.concurrency.budget import THREADS
from tests.serving.conftest import BASE, Server, headers, read_all, read_response, wait_for

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HEAD_LIMIT = 65_536


def _head(size: int) -> bytes:
    """A GET whose head has exactly this size, in fields of up to 8,000 bytes."""
    begin, end = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", b"\r\n"
    left, fields = size - len(begin) - len(end), b""
    while left:
        length = min(left, 8000)
        # What is left for the next one must be enough for a field.
        if 0 < left - length < 10:
            length -= 10
        fields += b"A: " + b"a" * (length - 5) + b"\r\n"
        left -= length
    return begin + fields + end


def _line(size: int) -> bytes:
    """A GET whose request line has exactly this size."""
    frame = len(b"GET /hello? HTTP/1.1")
    return b"GET /hello?" + b"a" * (size - frame) + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def _fields(count: int) -> bytes:
    """A GET with exactly this many header fields."""
    return b"GET /hello HTTP/1.1\r\nConnection: close\r\n" + b"X-Remote-Group: team\r\n" * (count - 1) + b"\r\n"


class TestHead:
    @pytest.mark.parametrize(
        ("request_bytes", "code"),
        [
            pytest.param(_head(HEAD_LIMIT), 200, id="a head of 64 KiB"),
            pytest.param(_head(HEAD_LIMIT + 1), 431, id="a head of a byte more"),
            pytest.param(_line(8190), 200, id="a request line of 8,190 bytes"),
            pytest.param(_line(8191), 414, id="a request line of a byte more"),
            pytest.param(_fields(1000), 200, id="1,000 header fields"),
            pytest.param(_fields(1001), 431, id="a header field more"),
        ],
    )
    def test_head_is_taken_up_to_its_limit(self, server: Server, request_bytes: bytes, code: int) -> None:
        assert server.exchange(request_bytes).startswith(b"HTTP/1.1 %d " % code)

    def test_user_in_500_groups_is_served(self, server: Server) -> None:
        groups = b"".join(
            b"X-Remote-Group: system:a-group-with-a-name-as-long-as-they-are-%03d\r\n" % n for n in range(500)
        )
        received = server.exchange(b"GET /pairs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + groups + b"\r\n")
        assert (
            len([name for name, _ in json.loads(received.split(b"\r\n\r\n", 1)[1]) if name == "X-REMOTE-GROUP"]) == 500
        )

    def test_head_is_too_large_however_it_is_cut(self, server: Server) -> None:
        request = _head(HEAD_LIMIT + 1)
        with server.connect() as client:
            for start in range(0, len(request), 1000):
                client.sendall(request[start : start + 1000])
            assert read_all(client).startswith(b"HTTP/1.1 431 ")

    def test_next_head_after_a_body_has_all_its_room_again(self, server: Server) -> None:
        # An application that reads it: of a body that nobody reads, what is late ends the connection.
        post = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"b" * 60_000
        received = server.exchange(post + _head(HEAD_LIMIT))
        assert received.count(b"HTTP/1.1 200 OK") == 2


class TestRequestsOfAConnection:
    def test_connection_ends_with_its_ten_thousandth_request(self, server: Server) -> None:
        with server.connect() as client:
            for _ in range(20):
                client.sendall(GET * 500)
                kept = [headers(each)["connection"] for each in _responses(client, 500)]
                assert set(kept[:-1]) == {"keep-alive"}
            assert kept[-2:] == ["keep-alive", "close"]
            assert client.recv(1) == b""


def _responses(client: ssl.SSLSocket, count: int) -> list[bytes]:
    received = b""
    while received.count(b"\r\n\r\nhello") < count:
        chunk = client.recv(1 << 16)
        assert chunk, f"the connection ended after {received[-500:]!r}"
        received += chunk
    return [each + b"\r\n\r\n" for each in received.split(b"\r\n\r\nhello")[:-1]]


class TestDeadlines:
    def test_slow_but_in_time_is_served(self, server: Server) -> None:
        """A handshake of four seconds, then a head of four, then a body of eight."""
        with server.plain() as plain:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = server.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            hello = outgoing.read()
            _drip(plain, hello, seconds=4)
            while True:
                incoming.write(plain.recv(1 << 16))
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
            plain.sendall(outgoing.read())
            tls.write(b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n")
            _drip(plain, outgoing.read(), seconds=4)
            tls.write(b"\r\n")
            plain.sendall(outgoing.read())
            tls.write(b"body")
            _drip(plain, outgoing.read(), seconds=8)
            incoming.write(read_all(plain))
            assert tls.read(1 << 16).startswith(b"HTTP/1.1 200 OK")

    def test_body_that_takes_longer_than_ten_seconds_is_given_up(self, server: Server) -> None:
        with server.connect() as client:
            client.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbegin")
            began = time.monotonic()
            _read_to_end(client)
            assert 9.5 < time.monotonic() - began < 12

    def test_idle_connection_waits_for_its_next_request(self, start: Callable[..., Server]) -> None:
        """As long as the clients of Kubernetes do (90 s), not as long as a head may take."""
        served = start("--keep-alive=7").wait_until_ready()
        with served.connect() as client:
            client.sendall(GET)
            read_response(client)
            began = time.monotonic()
            assert client.recv(1) == b""
            assert 6.5 < time.monotonic() - began < 9


def _drip(plain: socket.socket, data: bytes, *, seconds: float) -> None:
    """Send the data in eight parts over the seconds: slowness is what is tested."""
    parts = [data[len(data) * n // 8 : len(data) * (n + 1) // 8] for n in range(8)]
    for part in parts:
        plain.sendall(part)
        time.sleep(seconds / 8)


def _read_to_end(client: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := client.recv(1 << 16):
            received += chunk
    except (ConnectionResetError, ssl.SSLError):
        return received
    return received


@pytest.fixture(name="hurried", scope="module")
def _hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has a second for a request, and so three for an answer."""
    environ = {"METRICS_APISERVER_REQUEST_TIMEOUT": "1s"}
    served = Server(tmp_path_factory.mktemp("hurried"), environ=environ).wait_until_ready()
    yield served
    served.stop()


class TestAnswers:
    def test_clients_that_do_not_read_hold_no_thread_and_are_closed_in_time(self, hurried: Server) -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(hurried.connect()) for _ in range(THREADS + 8)]
            for client in clients:
                client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            began = time.monotonic()
            # More than there are threads: one that waited for a reader would make this three seconds.
            assert max(_probe(hurried) for _ in range(20)) < 2.5
            # Three seconds, and one for the tick of the loop.
            wait_for(lambda: time.monotonic() - began > 4, "the deadline")
            for client in clients:
                assert len(_read_to_end(client)) < 5_000_000

    def test_client_that_begins_to_read_in_time_gets_everything(self, hurried: Server) -> None:
        with hurried.connect() as client:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            first = client.recv(1000)
            # As long as others get their answers, at least: this one waits in memory.
            assert _probe(hurried) < 2.5
            assert (first + read_all(client)).endswith(b"\r\n\r\n" + b"x" * 5_000_000)

    def test_what_follows_a_slow_answer_is_answered_too(self, hurried: Server) -> None:
        with hurried.connect() as client:
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
            received = read_all(client)
        assert received.count(b"HTTP/1.1 200 OK") == 2
        assert received.endswith(b"hello")


def _probe(server: Server) -> float:
    began = time.monotonic()
    assert server.request("/hello").endswith(b"hello")
    return time.monotonic() - began


@pytest.fixture(name="small", scope="module")
def _small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that holds ten connections."""
    environ = {"METRICS_APISERVER_MAX_CONNECTIONS": "10"}
    served = Server(tmp_path_factory.mktemp("small"), environ=environ).wait_until_ready()
    yield served
    served.stop()


class TestConnections:
    def test_the_one_that_has_been_silent_for_longest_gives_way(self, small: Server) -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(small.connect()) for _ in range(10)]
            for client in clients:
                client.sendall(GET)
                read_response(client)
            # All ten are held: the first is used again, and so the second has been silent for longest.
            clients[0].sendall(GET)
            assert read_response(clients[0]).startswith(b"HTTP/1.1 200")
            assert small.request("/hello").endswith(b"hello")
            assert clients[1].recv(1) == b""
            for client in [clients[0], *clients[2:]]:
                client.sendall(GET)
                assert read_response(client).startswith(b"HTTP/1.1 200")

    def test_half_handshakes_give_way_too(self, small: Server) -> None:
        with ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(small.plain()).sendall(b"\x16\x03\x01\x02")
            assert _probe(small) < 2.5

    def test_clients_that_do_not_read_give_way_too(self, small: Server) -> None:
        """Twelve seconds are the deadline of an answer: nobody else has to wait for that."""
        with ExitStack() as stack:
            for _ in range(10):
                client = stack.enter_context(small.connect())
                client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            began = time.monotonic()
            assert small.request("/hello").endswith(b"hello")
            assert time.monotonic() - began < 6

    def test_request_under_way_is_kept_and_the_next_waits_for_it(self, small: Server) -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(small.connect()) for _ in range(10)]
            for client in clients:
                client.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            wait_for(lambda: (small.folder / "held").exists(), "the first request")
            late = stack.enter_context(small.plain())
            late.settimeout(0.5)
            late.sendall(b"\x16\x03\x01\x02")
            with pytest.raises(TimeoutError):
                late.recv(1)
            late.close()
            (small.folder / "release").touch()
            for client in clients:
                assert read_all(client).endswith(b"hello")
            assert _probe(small) < 5


@pytest.mark.parametrize(
    ("soft", "hard", "said"),
    [
        pytest.param(300, 4000, None, id="there is more to be had"),
        pytest.param(300, 300, "only 44 connections: the limit of open files is 300", id="there is no more"),
    ],
)
def test_limit_of_open_files_is_raised_or_kept(
    start: Callable[..., Server], soft: int, hard: int, said: str | None
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = f"import resource, os, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
    program += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    served = start(prefix=(sys.executable, "-c", program)).wait_until_ready()
    with ExitStack() as stack:
        for _ in range(280):
            stack.enter_context(served.plain())
        assert _probe(served) < 2
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    assert (said in served.logged()) if said else ("only" not in served.logged())
    assert "cannot accept" not in served.logged()


# Its `stop` opens files while a request is still under way.
OPENING = (
    BASE
    + """
import os, pathlib

FOLDER = pathlib.Path(os.environ["TEST_FOLDER"])

class App(Base):
    def stop(self):
        files = [open(FOLDER / f"file{number}", "w+b", 0) for number in range(20)]
        (FOLDER / "release").touch()
        time.sleep(0.3)
        (FOLDER / "spoiled").write_text(str([file.name for file in files if os.fstat(file.fileno()).st_size]))

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/held":
            (FOLDER / "held").touch()
            while not (FOLDER / "release").exists():
                time.sleep(0.01)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

app = App()
"""
)


class TestStopping:
    def test_drain_says_so_first_then_serves_on_and_then_refuses(self, start: Callable[..., Server]) -> None:
        served = start(environ={"METRICS_APISERVER_SHUTDOWN_DELAY_DURATION": "2s"}).wait_until_ready()
        with served.connect() as idle:
            idle.sendall(GET)
            assert headers(read_response(idle))["connection"] == "keep-alive"
            served.process.terminate()
            began = time.monotonic()
            wait_for(lambda: "drain" in served.notes(), "the drain")
            # Still served, on a new connection as on an open one, which is told to go elsewhere.
            assert served.request("/hello").endswith(b"hello")
            idle.sendall(GET)
            assert headers(read_response(idle))["connection"] == "close"
            assert time.monotonic() - began < 2
        wait_for(lambda: _is_refused(served), "the end of the listening")
        assert time.monotonic() - began > 1.5
        assert served.process.wait(10) == 0
        assert served.notes() == ["start", "drain", "stop"]

    def test_reload_has_no_delay_and_no_drain(self, start: Callable[..., Server], tmp_path: Path) -> None:
        served = start(environ={"METRICS_APISERVER_SHUTDOWN_DELAY_DURATION": "60s"}).wait_until_ready()
        served.process.send_signal(signal.SIGHUP)
        wait_for(lambda: sorted(served.notes()) == ["start", "start", "stop"], "the reload")
        assert served.request("/hello").endswith(b"hello")
        # At once, without the delay.
        served.process.send_signal(signal.SIGQUIT)
        assert served.process.wait(10) == 0

    def test_thread_that_comes_back_late_writes_into_nobodys_file(self, start: Callable[..., Server]) -> None:
        """What the application opens while it stops has the descriptors that the loop has closed."""
        served = start("--graceful-timeout=2", application=OPENING).wait_until_ready()
        with served.connect() as client:
            client.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: (served.folder / "held").exists(), "the request")
            served.stop()
        assert (served.folder / "spoiled").read_text() == "[]"


def _is_refused(server: Server) -> bool:
    try:
        server.plain().close()
    except ConnectionRefusedError:
        return True
    return False
