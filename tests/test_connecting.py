"""A connection is made within its time, however many addresses a name has and however long looking it up takes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import urllib3
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, NameResolutionError, NewConnectionError

from metrics_apiserver import connecting
from metrics_apiserver.bounded_http import BoundedConnection, bound_pools
from tests.controlplane.waiting import wait_until

NAME = "api.example"
Resolver = Callable[[str], list[tuple[str, int]]]


@pytest.fixture(name="resolve")
def _resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Resolver], None]:
    """Have names be looked up by a function; addresses are none of its business."""
    real = socket.getaddrinfo

    def use(resolver: Resolver) -> None:
        def look_up(host: str, port: int, *arguments: Any, flags: int = 0, **more: Any) -> list[Any]:
            if flags or host[0].isdigit():
                return real(host, port, *arguments, flags=flags, **more)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in resolver(host)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return use


@pytest.fixture(name="silent")
def _silent() -> Iterator[list[tuple[str, int]]]:
    """Six addresses at which nobody answers: the queue of each is full."""
    with ExitStack() as stack:
        found = []
        for last in range(2, 8):
            hole = stack.enter_context(socket.socket())
            hole.bind((f"127.0.0.{last}", 0))
            hole.listen(0)
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(hole.getsockname())
            found.append(hole.getsockname())
        yield found


@pytest.fixture(name="server")
def _server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_silent_addresses_share_one_deadline(resolve: Callable[[Resolver], None], silent: list[Any]) -> None:
    """Each had all of it: six took six times as long."""
    resolve(lambda _: silent)
    manager = urllib3.PoolManager()
    bound_pools(manager)
    begun = time.monotonic()
    with pytest.raises(ConnectTimeoutError, match=f"Connection to {NAME} timed out"):
        manager.request("GET", f"http://{NAME}:80/", timeout=urllib3.Timeout(connect=1.0, read=1.0), retries=False)
    assert time.monotonic() - begun < 4


def test_addresses_after_silent_ones_have_their_turn(
    resolve: Callable[[Resolver], None], silent: list[Any], server: socket.socket
) -> None:
    resolve(lambda _: [*silent, server.getsockname()])
    begun = time.monotonic()
    with connecting.connect(NAME, 80, lambda: begun + 3 - time.monotonic()) as sock:
        assert sock.getpeername() == server.getsockname()


def test_a_look_up_that_hangs_is_waited_for_in_time_and_by_all_on_one_thread(
    resolve: Callable[[Resolver], None], server: socket.socket
) -> None:
    asked, go_on = [], threading.Event()

    def hangs(host: str) -> list[Any]:
        asked.append(host)
        go_on.wait(30)
        return [server.getsockname()]

    resolve(hangs)
    try:
        for _ in range(20):
            with pytest.raises(ConnectTimeoutError):
                BoundedConnection(NAME, 80, timeout=0.01).connect()
        assert asked == [NAME]
        # Another name does not wait behind it, until there are too many.
        for number in range(40):
            with pytest.raises(TimeoutError):
                connecting.connect(f"other-{number}", 80, lambda: 0.001)
        assert len(connecting._under_way) == connecting._MOST_LOOK_UPS
        with pytest.raises(TimeoutError, match="too many names are being looked up"):
            connecting.connect("one-more", 80, lambda: None)
        # What is an address is looked up by nobody.
        host, port = server.getsockname()
        connecting.connect(host, port, lambda: 10).close()
    finally:
        go_on.set()
    wait_until(lambda: not connecting._under_way, 10, "a look-up stays for ever")
    connecting.connect(NAME, 80, lambda: 10).close()


def test_a_connection_is_as_the_library_makes_it(server: socket.socket) -> None:
    """With its socket options, and from the address that was asked for."""
    host, port = server.getsockname()
    connection = BoundedConnection(host, port, timeout=10, source_address=("127.0.0.9", 0))
    connection.connect()
    try:
        assert connection.sock.getsockname()[0] == "127.0.0.9"
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert 5 < connection.sock.gettimeout() <= 10
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("found", "error"),
    [
        pytest.param(socket.gaierror(-2, "unknown"), NameResolutionError, id="a name that nobody knows"),
        pytest.param([], NewConnectionError, id="a name without an address"),
        pytest.param([("127.0.0.1", 1)], NewConnectionError, id="an address that refuses"),
    ],
)
def test_what_goes_wrong_is_the_librarys_error(
    resolve: Callable[[Resolver], None], found: Any, error: type[Exception]
) -> None:
    def resolver(_host: str) -> list[Any]:
        if isinstance(found, Exception):
            raise found
        return found

    resolve(resolver)
    with pytest.raises(error):
        BoundedConnection(NAME, 80, timeout=10).connect()


def test_a_name_that_is_none_is_an_error() -> None:
    with pytest.raises(LocationParseError):
        BoundedConnection("a" * 70, 80, timeout=10).connect()
