"""After the server was held up: who has sent what it had to is served, read first and then judged."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any, cast

import pytest

from metrics_apiserver.serving.peers import Connection, Peers
from tests.serving.conftest import Server, read_response

HEAD = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
# Longer than the deadline of a head and of a handshake; and than that of a body.
STOPPED_SECONDS = 11.0


@contextmanager
def _stopped(server: Server) -> Iterator[None]:
    """Stop the worker, and let it go on after a time: that it is long is what is tested."""
    pid = server.process.pid
    (worker,) = (int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    os.kill(worker, signal.SIGSTOP)
    try:
        began = time.monotonic()
        yield
        time.sleep(max(0.0, STOPPED_SECONDS - (time.monotonic() - began)))
    finally:
        os.kill(worker, signal.SIGCONT)


class _Slow:
    """A handshake that is begun in plain bytes, so that its steps can be told apart."""

    def __init__(self, server: Server, plain: socket.socket) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = server.trust().wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()

    def greet(self) -> None:
        self._plain.sendall(self._outgoing.read())

    def ask(self) -> bytes:
        """Complete the handshake, and give the answer to a request."""
        self._do(self._tls.do_handshake)
        self._tls.write(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while not received.endswith(b"hello"):
            received += self._do(lambda: self._tls.read(1 << 16))
        return received

    def _do(self, operation: Callable[[], Any]) -> Any:
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                self._plain.sendall(self._outgoing.read())
                data = self._plain.recv(1 << 16)
                assert data, "the server has closed the connection"
                self._incoming.write(data)


def test_what_came_while_the_worker_was_stopped_is_answered(start: Callable[..., Server]) -> None:
    """Stopped for longer than a handshake, a head or a body may take."""
    served = start().wait_until_ready()
    with ExitStack() as stack:
        new, greeting, whole, begun, large, body = (stack.enter_context(served.plain()) for _ in range(6))
        context = served.trust()
        wrapped = [context.wrap_socket(each, server_hostname="localhost") for each in (whole, begun, large, body)]
        whole_head, begun_head, large_head, begun_body = (stack.enter_context(each) for each in wrapped)
        begun_head.sendall(b"GET /hello HT")
        begun_body.sendall(HEAD + b"bo")
        before, after = _Slow(served, new), _Slow(served, greeting)
        with _stopped(served):
            before.greet()
            whole_head.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            begun_head.sendall(b"TP/1.1\r\nHost: x\r\n\r\n")
            large_head.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 900)
            large_head.sendall(b"X: " + b"x" * 8000 + b"\r\n" + b"\r\n")
            begun_body.sendall(b"dy")
        # A handshake that was begun before takes its second round trip now.
        assert before.ask().endswith(b"hello")
        after.greet()
        assert after.ask().endswith(b"hello")
        for client in (whole_head, begun_head, large_head, begun_body):
            assert read_response(client).startswith(b"HTTP/1.1 200 OK")


def test_who_was_late_before_the_stop_and_sends_nothing_is_still_closed(start: Callable[..., Server]) -> None:
    served = start().wait_until_ready()
    with served.connect() as client:
        client.sendall(b"GET /hello HT")
        with _stopped(served):
            began = time.monotonic()
        assert client.recv(1) == b""
        assert time.monotonic() - began < STOPPED_SECONDS + 8


class Clock:
    """Goes on as it is told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(name="pair")
def _pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


class Peer:
    """As much of a connection as the list of waiting ones knows."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.event, self.deadline = sock, 0, 0.0
        self.step: object = None


class Turning:
    """A loop with one connection that waits for five seconds, and a clock that goes on as it is told."""

    def __init__(self, poller: DefaultSelector, sock: socket.socket) -> None:
        self.clock = Clock()
        self.peers = Peers(poller, lambda _conn: None, self.clock)
        self.peers.wait(cast("Connection", Peer(sock)), EVENT_READ, lambda _conn: None, seconds=5)

    def turn(self, *work: float) -> bool:
        """Turn so often, each time after some seconds of work; say whether the connection is late."""
        for seconds in work:
            self.clock.seconds += seconds
            self.peers.select(0)
        return bool(self.peers.overdue())


@pytest.fixture(name="turning")
def _turning() -> Iterator[Turning]:
    near, far = socket.socketpair()
    with near, far, DefaultSelector() as poller:
        yield Turning(poller, far)


def test_peer_is_late_when_its_time_is_over(turning: Turning) -> None:
    assert not turning.turn(*[0.4] * 12)
    assert turning.turn(0.4)


def test_no_peer_is_late_because_the_loop_was(turning: Turning) -> None:
    assert not turning.turn(0.4, 60.0, 0.4, 7.0)
    assert not turning.turn(*[0.4] * 10)
    assert turning.turn(0.4, 0.4)


def test_peer_is_judged_only_after_what_had_come_was_read(turning: Turning) -> None:
    assert not turning.turn(*[0.4] * 12)
    # Late by now, but the loop has not asked who has something to read.
    turning.clock.seconds += 0.45
    assert turning.peers.overdue() == []
    assert turning.turn(0.0)
