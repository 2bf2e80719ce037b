"""Clients that mean no good: each attack is a number of sockets that ask for much and give little.

Used by the tests of the worker and by the benchmark's table of attacks; loopback only, bounded in number and time.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tests.serving.raw_tls import RecordClient

__all__ = ["ATTACKS", "Attack", "Client", "Target", "UnreadLog", "under_attack"]

_TIMEOUT = 20.0
# Less than a deadline of seconds between two bytes.
_DRIP_SECONDS = 0.8
# The most that all bursts of one attack send, and the records of one of them.
_BURST_BYTES = 20_000_000
_BURST_RECORDS = 1000


class Client(Protocol):
    """What is used of a socket."""

    def sendall(self, data: bytes, /) -> object: ...

    def recv(self, size: int, /) -> bytes: ...

    def close(self) -> object: ...


@dataclass(frozen=True)
class Target:
    """Who is attacked: a port of loopback, the certificates to trust, a path that has an answer, and what it needs.

    `many` is the path of an external metric with very many series, and `written` one whose bodies are read.
    """

    port: int
    ca_file: str
    path: str
    fields: tuple[str, ...] = ()
    many: str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/many"
    written: str = "/write-metrics/namespaces/default/pods/web-0/attacked"

    def plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=_TIMEOUT)

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.ca_file)
        return context.wrap_socket(self.plain(), server_hostname="localhost")

    def records(self) -> RecordClient:
        return RecordClient(self.plain(), self.ca_file)

    def request(self, *fields: str, path: str = "") -> bytes:
        line = f"GET {path or self.path} HTTP/1.1"
        return "\r\n".join([line, "Host: localhost", *self.fields, *fields, "", ""]).encode()

    def write(self, *fields: str) -> bytes:
        return "\r\n".join([f"POST {self.written} HTTP/1.1", "Host: localhost", *self.fields, *fields, "", ""]).encode()


@dataclass(frozen=True)
class Attack:
    """How one client begins, how many there are, and what each sends again and again (nothing: it is silent).

    A drip is sent with pauses, as are the `requests` for a target. What `burst` makes of its records is sent without,
    until 20 MB are, by clients that come back when they are thrown out.
    """

    name: str
    begin: Callable[[Target], Client]
    count: int = 200
    drip: bytes = b""
    requests: Callable[[Target], bytes] | None = None
    burst: Callable[[RecordClient], bytes] | None = None


def _silent(target: Target) -> socket.socket:
    return target.plain()


def _half_handshake(target: Target) -> socket.socket:
    client = target.plain()
    client.sendall(b"\x16\x03\x01\x02")
    return client


def _half_head(target: Target) -> socket.socket:
    client = target.connect()
    client.sendall(b"GET / HT")
    return client


def _half_field(target: Target) -> socket.socket:
    client = target.connect()
    client.sendall(b"GET / HTTP/1.1\r\nA: ")
    return client


def _never_closes(target: Target) -> socket.socket:
    client = target.connect()
    client.sendall(target.request("Connection: close"))
    client.recv(1)
    return client


def _idle(target: Target) -> socket.socket:
    client = target.connect()
    client.sendall(target.request())
    client.recv(1)
    return client


def _never_reads(target: Target) -> socket.socket:
    """Pipeline as many requests as are taken, and read none of the answers."""
    client = target.connect()
    client.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        for _ in range(20):
            client.sendall(target.request() * 50)
    return client


def _unsent_body(target: Target) -> socket.socket:
    client = target.connect()
    client.sendall(b"POST /write-metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
    return client


def _connected(target: Target) -> socket.socket:
    return target.connect()


def _slow_text(target: Target) -> bytes:
    """Make requests whose line and Accept take long to read for a pattern that looks at everything again and again."""
    accept = ",".join(["a/b;q=0.1"] * 800)
    return target.request(path="/" + "-eyJ" * 2000) + target.request(f"Accept: {accept}", path="/" + "bearer%20" * 800)


def _many_series(target: Target) -> bytes:
    return target.request(path=f"{target.many}?labelSelector=number%3Dnone")


def _unknown_resource(target: Target) -> bytes:
    """Ask for a resource that the server has to look up, another one each time."""
    number = next(_numbers)
    return target.request(path=f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/unknown{number}/a/b")


_numbers = itertools.count()


class UnreadLog:
    """A full pipe for a server's stderr, whose reader has stopped: start the server with `stderr=into`.

    No client does this, but a log collector that hangs; every request that is logged (`requests` makes lines of three
    thousand bytes at `-v=8`) is one more line that nobody takes. A context manager; `read` is the reader coming back.
    """

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        fcntl.fcntl(self.into, fcntl.F_SETPIPE_SZ, 4096)
        self.fill()

    def __enter__(self) -> UnreadLog:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.out)
        os.close(self.into)

    def fill(self) -> None:
        """Leave no room in the pipe; our side alone does not wait."""
        os.set_blocking(self.into, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.into, b"\n")
        os.set_blocking(self.into, True)

    def read(self, until: Callable[[bytes], bool]) -> bytes:
        """Read whole lines until one of them is as wanted, and give all of them."""
        received = bytearray()
        with os.fdopen(os.dup(self.out), "rb", buffering=0) as reader:
            while not received.endswith(b"\n") or not any(map(until, bytes(received[-8192:]).splitlines())):
                received += reader.read(1 << 16)
        return bytes(received).lstrip(b"\n")

    @staticmethod
    def requests(target: Target) -> bytes:
        """Fifty requests with much to log."""
        return target.request(*(f"Accept-Language: {'x' * 500}" for _ in range(5))) * 50


def _records(target: Target) -> RecordClient:
    return target.records()


def _records_in_a_body(target: Target) -> RecordClient:
    client = target.records()
    client.sendall(target.write("Content-Length: 1000"))
    return client


def _key_updates(client: RecordClient) -> bytes:
    return b"".join(client.key_update() for _ in range(_BURST_RECORDS))


def _empty_records(client: RecordClient) -> bytes:
    return b"".join(client.record(b"") for _ in range(_BURST_RECORDS))


def _key_updates_between_bytes(client: RecordClient) -> bytes:
    return b"".join(client.key_update() + client.record(b"a") for _ in range(_BURST_RECORDS // 2))


def _small_records(client: RecordClient) -> bytes:
    return b"".join(client.record(b"a") for _ in range(_BURST_RECORDS))


def _records_in_a_chunked_body(target: Target) -> RecordClient:
    client = target.records()
    client.sendall(target.write("Transfer-Encoding: chunked"))
    return client


def _small_chunks(client: RecordClient) -> bytes:
    return b"".join(client.record(b"1\r\na\r\n" * 2500) for _ in range(8))


ATTACKS = (
    Attack("connections without a byte", _silent),
    Attack("4 bytes of a handshake", _half_handshake),
    Attack("half a head", _half_head),
    Attack("a head in drips", _half_field, drip=b"a"),
    Attack("idle connections", _idle),
    Attack("told to close, and never do", _never_closes),
    Attack("answers that nobody reads", _never_reads, count=20),
    Attack("bodies that never come", _unsent_body, count=100),
    Attack("targets and Accepts that are slow to read", _connected, count=8, requests=_slow_text),
    Attack("reads of very many series, of which none fits", _connected, count=10, requests=_many_series),
    Attack("readers who wait for an unknown resource", _connected, count=300, requests=_unknown_resource),
    Attack("key updates without end", _records, count=8, burst=_key_updates),
    Attack("key updates in a body", _records_in_a_body, count=8, burst=_key_updates),
    Attack("key updates between the bytes of a head", _records, count=8, burst=_key_updates_between_bytes),
    Attack("empty records without end", _records, count=8, burst=_empty_records),
    Attack("heads in tiny records", _records, count=100, burst=_small_records),
    Attack("bodies in tiny records", _records_in_a_body, count=100, burst=_small_records),
    Attack("bodies in tiny chunks", _records_in_a_chunked_body, count=100, burst=_small_chunks),
)


@contextlib.contextmanager
def under_attack(target: Target, attack: Attack, *, again: bool = False) -> Iterator[list[Client]]:
    """Hold the attack's sockets open; where it sends, a thread does, and with `again` comes back when thrown out."""
    clients = [attack.begin(target) for _ in range(attack.count)]
    stop = threading.Event()
    sent: list[bool] = []

    def drip() -> None:
        # Who asks for something does so from the beginning; a drip comes after what was begun.
        while not stop.wait(0.0 if attack.requests and not sent else _DRIP_SECONDS):
            sent.append(True)
            for number, client in enumerate(clients):
                try:
                    client.sendall(attack.requests(target) if attack.requests else attack.drip)
                except OSError:
                    if again:
                        client.close()
                        clients[number] = attack.begin(target)

    def flood() -> None:
        total = 0
        while not stop.is_set() and total < _BURST_BYTES:
            for number, client in enumerate(clients):
                assert attack.burst is not None
                assert isinstance(client, RecordClient)
                burst = attack.burst(client)
                total += len(burst)
                try:
                    client.send_records(burst)
                except OSError:
                    client.close()
                    # Who finds the door shut tries again with the next burst.
                    with contextlib.suppress(OSError):
                        clients[number] = attack.begin(target)

    thread = threading.Thread(target=flood if attack.burst else drip, name="attack", daemon=True)
    busy = bool(attack.drip or attack.requests or attack.burst)
    if busy:
        thread.start()
    try:
        yield clients
    finally:
        stop.set()
        if busy:
            thread.join()
        for client in clients:
            client.close()
