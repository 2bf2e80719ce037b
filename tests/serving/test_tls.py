"""The TLS context and the connection, with the standard library's client at the other end."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
from OpenSSL import SSL

from metrics_apiserver.serving.certificates import ensure_certificate
from metrics_apiserver.serving.connection import Deadlines, TLSConnection
from metrics_apiserver.serving.pairs import Pair, read_pair
from metrics_apiserver.serving.tls import TLSContext, build_context
from metrics_apiserver.settings import ServingSettings
from tests.serving.conftest import Server
from tests.serving.ends import Ends, handshaken

SHORT = Deadlines(handshake=0.3, head=0.3, body=0.3, answer=0.3)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("certificates")
    return read_pair(*ensure_certificate(ServingSettings(cert_dir=str(folder))))


def _context(pair: Pair, deadlines: Deadlines = SHORT, **settings: Any) -> TLSContext:
    return TLSContext(build_context(pair, ServingSettings(**settings)), deadlines)


def _client(pair: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair.contents.cert_file))


@pytest.fixture
def connect(pair: Pair) -> Iterator[Callable[..., Ends]]:
    """Give both ends of a connection after its handshake."""
    with ExitStack() as opened:

        def connect(deadlines: Deadlines = SHORT, client: ssl.SSLContext | None = None) -> Ends:
            return opened.enter_context(handshaken(_context(pair, deadlines), client or _client(pair)))

        yield connect


class TestContext:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
    def test_a_modern_version_is_accepted(self, server: Server, version: ssl.TLSVersion) -> None:
        context = server.trust()
        context.minimum_version = context.maximum_version = version
        with server.connect(context) as client:
            assert client.version() == version.name.replace("_", ".")
            client.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
    def test_tls_1_1_is_refused(self, server: Server) -> None:
        context = server.trust()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with server.plain() as plain, pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
            context.wrap_socket(plain, server_hostname="localhost")

    def test_tls_1_2_is_refused_where_1_3_is_the_least(self, pair: Pair) -> None:
        near, far = socket.socketpair()
        client = _client(pair)
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        served = _context(pair, tls_min_version="VersionTLS13").wrap_socket(far)
        with ThreadPoolExecutor(1) as pool, closing(served):
            handshake = pool.submit(served.do_handshake)
            with near, pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
                client.wrap_socket(near, server_hostname="localhost")
            with pytest.raises(ssl.SSLError):
                handshake.result()

    @pytest.mark.parametrize(
        ("offered", "selected"),
        [
            pytest.param(["h2", "http/1.1"], "http/1.1", id="both are offered"),
            pytest.param(["h2"], None, id="only HTTP/2 is offered"),
            pytest.param([], None, id="nothing is offered"),
        ],
    )
    def test_alpn_selects_http_1_1_and_nothing_else(
        self, connect: Callable[..., Ends], pair: Pair, offered: list[str], selected: str | None
    ) -> None:
        client = _client(pair)
        if offered:
            client.set_alpn_protocols(offered)
        served, wrapped = connect(client=client)
        assert wrapped.selected_alpn_protocol() == served.selected_alpn_protocol() == selected

    @pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"])
    def test_weak_ciphers_are_refused(self, server: Server, cipher: str) -> None:
        context = server.trust()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
        with server.plain() as plain, pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
            context.wrap_socket(plain, server_hostname="localhost")

    def test_sessions_are_resumed(self, server: Server) -> None:
        context = server.trust()
        with server.connect(context) as client:
            client.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(1 << 16)
            session = client.session
        again = context.wrap_socket(server.plain(), server_hostname="localhost", session=session)
        with again:
            assert again.session_reused


class TestConnection:
    def test_reads_and_writes(self, connect: Callable[..., Ends]) -> None:
        served, client = connect()
        client.sendall(b"abc")
        assert served.recv(2) == b"ab"
        assert served.readable
        assert served.recv(2) == b"c"
        assert not served.readable
        served.sendall(memoryview(b"xyz"))
        assert served.send(b"!") == 1
        assert served.unsent == 0
        assert client.recv(10) == b"xyz!"

    def test_errors_that_others_left_behind_are_none_of_ours(self, connect: Callable[..., Ends]) -> None:
        """The verification of a hostile certificate leaves some in the queue of its thread."""
        served, client = connect()
        served.settimeout(0)
        SSL._lib.BIO_new_file(b"/nowhere/at/all", b"r")
        assert SSL._lib.ERR_peek_error() != 0
        with pytest.raises(ssl.SSLWantReadError):
            served.recv(1)
        SSL._lib.BIO_new_file(b"/nowhere/at/all", b"r")
        client.shutdown(socket.SHUT_WR)
        assert served.recv(1) == b""

    @pytest.mark.parametrize("politely", [True, False], ids=["with a goodbye", "without one"])
    def test_the_end_of_the_stream_is_no_error(self, connect: Callable[..., Ends], politely: bool) -> None:
        served, client = connect()
        if politely:
            client.settimeout(0)
            # Our goodbye is sent, and the server's is not there yet.
            with pytest.raises(ssl.SSLWantReadError):
                client.unwrap()
        else:
            client.shutdown(socket.SHUT_WR)
        assert served.recv(10) == b""
        assert served.recv(10) == b""

    def test_the_loop_never_waits_and_collects_a_head(self, pair: Pair) -> None:
        near, far = socket.socketpair()
        served = _context(pair).wrap_socket(far)
        assert served.handshake() == selectors.EVENT_READ
        with ThreadPoolExecutor(1) as pool, closing(served):
            client = pool.submit(_client(pair).wrap_socket, near, server_hostname="localhost")
            _until(lambda: served.handshake() == 0 and client.done())
            with client.result() as wrapped:
                wrapped.sendall(b"GET / HTTP/1.1\r\n")
                assert served.read_head(8190) == selectors.EVENT_READ
                wrapped.sendall(b"\r\nrest")
                assert served.read_head(8190) == 0
                served.setblocking(True)
                assert served.recv(100) == b"GET / HTTP/1.1\r\n\r\nrest"

    def test_what_was_read_too_far_comes_back_first(self, connect: Callable[..., Ends]) -> None:
        served, client = connect()
        client.sendall(b"second")
        assert served.recv(3) == b"sec"
        served.unread(b"first ")
        assert served.recv(100) == b"first "
        assert served.recv(100) == b"ond"

    def test_a_handshake_ends_at_its_deadline(self, pair: Pair) -> None:
        near, far = socket.socketpair()
        served = _context(pair).wrap_socket(far)
        with near, closing(served), pytest.raises(ConnectionResetError, match="took too long"):
            served.do_handshake()

    def test_a_peer_that_leaves_during_the_handshake_is_the_end_that_gunicorn_knows(self, pair: Pair) -> None:
        near, far = socket.socketpair()
        served = _context(pair).wrap_socket(far)
        near.close()
        with closing(served), pytest.raises(ssl.SSLEOFError):
            served.do_handshake()

    def test_a_body_in_drips_ends_at_the_deadline_of_the_whole(self, connect: Callable[..., Ends]) -> None:
        served, client = connect()
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.02):
                client.sendall(b"a")

        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            dripping = pool.submit(drip)
            with pytest.raises(ConnectionResetError, match="took too long"):
                _read_on(served)
            stop.set()
            dripping.result()
        assert 0.2 < time.monotonic() - began < 2

    def test_answer_that_nobody_reads_waits_in_memory_and_holds_no_thread(self, connect: Callable[..., Ends]) -> None:
        served, _client = connect()
        began = time.monotonic()
        served.sendall(b"x" * 10_000_000)
        assert served.send(b"HTTP/1.1 100 Continue") == 21
        assert time.monotonic() - began < 5
        assert served.write() == selectors.EVENT_WRITE
        assert served.unsent > 1_000_000

    def test_a_timeout_of_the_caller_is_a_timeout(self, connect: Callable[..., Ends]) -> None:
        served, _client = connect(deadlines=Deadlines())
        served.settimeout(0.05)
        assert served.gettimeout() == 0.05
        with pytest.raises(TimeoutError):
            served.recv(1)
        served.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            served.recv(1)

    def test_nothing_is_read_after_the_shutdown_which_does_not_wait(self, connect: Callable[..., Ends]) -> None:
        served, client = connect(deadlines=Deadlines())
        client.sendall(b"too late")
        served.shutdown(socket.SHUT_WR)
        assert served.recv(100) == b""
        assert client.recv(100) == b""

    def test_a_closed_connection_touches_no_descriptor(self, connect: Callable[..., Ends]) -> None:
        served, _client = connect()
        served.close()
        assert served.fileno() == -1
        assert served.recv(1) == b""
        with pytest.raises(OSError, match="closed"):
            served.sendall(b"x")
        with pytest.raises(OSError, match="closed"):
            served.shutdown(socket.SHUT_WR)

    def test_a_reset_is_the_one_that_gunicorn_knows(self, server: Server) -> None:
        before = server.logged()
        client = server.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(1)
        client.close()
        assert server.request("/hello").endswith(b"hello")
        assert server.logged() == before


def _read_on(served: TLSConnection) -> None:
    while served.recv(1):
        pass


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
