"""The short path: what the application can answer at once is answered on the loop, between what takes a thread."""

from __future__ import annotations

import json
import selectors
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from metrics_apiserver.concurrency.budget import THREADS
from metrics_apiserver.serving.connections import Connections
from metrics_apiserver.serving.held import Held
from tests.serving.conftest import BASE, Server, headers, read_all, read_response, wait_for

QUICK = b"GET /quick HTTP/1.1\r\nHost: x\r\nX-Remote-Group: a\r\nX-Remote-Group: b\r\n\r\n"
SLOW = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_target_fields_and_certificate_are_handed_over(server: Server) -> None:
    with server.connect() as client:
        client.sendall(QUICK)
        body = read_response(client).split(b"\r\n\r\n", 1)[1]
    assert json.loads(body) == ["/quick", [["HOST", "x"], ["X-REMOTE-GROUP", "a"], ["X-REMOTE-GROUP", "b"]], False]


def test_what_would_wait_on_the_loop_is_answered_on_a_thread_by_the_same_way(server: Server) -> None:
    received = server.exchange((QUICK.replace(b"quick", b"later") + QUICK + SLOW) * 50 + LAST)
    answers = received.split(b"HTTP/1.1 200 OK")[1:]
    found = [b"/later" in answer or b"/quick" in answer or answer.endswith(b"hello") for answer in answers]
    assert found == [True] * 151
    assert [answer.count(b"/later") for answer in answers[:3]] == [1, 0, 0]


@pytest.mark.parametrize("target", [b"/boom!", b"/boom"])
def test_an_application_that_fails_harms_its_own_connection_alone(server: Server, target: bytes) -> None:
    """On the loop, and over WSGI: a Status with the audit id, and the connection ends."""
    with server.connect() as other:
        other.sendall(QUICK)
        read_response(other)
        received = server.exchange(b"GET " + target + b" HTTP/1.1\r\n\r\n" + QUICK)
        assert received.startswith(b"HTTP/1.1 500 INTERNAL SERVER ERROR\r\n")
        assert received.count(b"HTTP/1.1") == 1
        assert headers(received)["connection"] == "close"
        assert b"the secret of the house" not in received
        other.sendall(QUICK)
        assert b"/quick" in read_response(other)


def test_both_writers_write_the_same_head(server: Server) -> None:
    """gunicorn's, over WSGI, and ours: the same fields in the same order, spelled alike."""
    ours = server.exchange(QUICK[:-2] + b"Connection: close\r\n\r\n").partition(b"\r\n\r\n")[0].split(b"\r\n")
    theirs = server.exchange(LAST).partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert ours[0] == theirs[0]
    assert [line.partition(b":")[0] for line in ours[1:-1]] == [line.partition(b":")[0] for line in theirs[1:]]
    assert ours[1] == theirs[1]
    assert ours[3] == theirs[3]


def test_both_ways_alternate_on_one_connection(server: Server) -> None:
    received = server.exchange((QUICK + SLOW) * 50 + LAST)
    assert received.count(b"HTTP/1.1 200 OK") == 101
    answers = received.split(b"HTTP/1.1 200 OK")[1:]
    assert [answer.endswith(b"hello") for answer in answers] == [False, True] * 50 + [True]


def test_a_thousand_in_a_row_are_answered_in_order_and_others_meanwhile(server: Server) -> None:
    requests = b"GET /quick0 HTTP/1.1\r\n\r\n" * 1000
    with server.connect() as busy:
        busy.sendall(requests + LAST)
        assert server.request("/hello").endswith(b"hello")
        assert read_all(busy).count(b"/quick0") == 1000


ALONE = (
    BASE
    + """
from metrics_apiserver.exchange import Response

class App(Base):
    def respond(self, request, *, may_wait):
        return Response(200, "text/plain", b"") if request.target == "/quick" else None

    def __call__(self, environ, start_response):
        connection = environ["gunicorn.socket"]
        connection.inside = getattr(connection, "inside", 0) + 1
        time.sleep(0.1)
        body = b"hello" if connection.inside == 1 else b"two at once"
        connection.inside -= 1
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

app = App()
"""
)


def test_a_connection_has_one_thread_whatever_is_in_it_and_on_its_way(start: Callable[..., Server]) -> None:
    """What is here already and the event of what comes after it meet in one turn of the loop, in this order."""
    served = start(application=ALONE).wait_until_ready()
    for _ in range(3):
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = served.trust().wrap_bio(received, sent, server_hostname="localhost")
        with served.plain() as client:
            while not _shaken(tls):
                client.sendall(sent.read())
                received.write(client.recv(1 << 16))
            # In one packet with the end of the handshake, whose thread wakes the loop first from then on.
            for record in (QUICK * 2, QUICK + SLOW, SLOW, LAST):
                tls.write(record)
            client.sendall(sent.read())
            received.write(read_all(client))
        answers = tls.read(1 << 16)
        while received.pending:
            answers += tls.read(1 << 16)
        assert answers.count(b"HTTP/1.1 200 OK") == 6
        assert (answers.count(b"hello"), answers.count(b"two at once")) == (3, 0)


def _shaken(tls: ssl.SSLObject) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def test_a_request_whose_head_is_not_plain_takes_a_thread(server: Server) -> None:
    """Though the path is one that could be answered at once: the application answers it as any other."""
    received = server.exchange(QUICK[:-2] + b"TE: trailers\r\nConnection: close\r\n\r\n")
    assert received.endswith(b"hello")


def test_a_probe_that_closes_is_answered_at_once_and_is_the_last(server: Server) -> None:
    """As a kubelet's, which has a connection for each probe; what comes after it on the connection is not read."""
    received = server.exchange(QUICK[:-2] + b"Connection: close\r\n\r\n" + QUICK + SLOW)
    assert received.count(b"HTTP/1.1 200 OK") == 1
    assert headers(received)["connection"] == "close"
    assert b'"/quick"' in received


def test_a_full_pool_of_threads_keeps_no_probe_waiting(start: Callable[..., Server]) -> None:
    served = start().wait_until_ready()
    with ExitStack() as held:
        for _ in range(THREADS):
            client = held.enter_context(served.connect())
            client.sendall(b"GET /held HTTP/1.1\r\n\r\n")
        further = held.enter_context(served.connect())
        further.sendall(SLOW)
        probe = served.exchange(QUICK[:-2] + b"Connection: close\r\n\r\n")
        assert b'"/quick"' in probe
        (served.folder / "release").touch()
        assert read_response(further).endswith(b"hello")


def test_a_large_answer_is_sent_as_it_is_read(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"GET /quick5000000 HTTP/1.1\r\n\r\n" + LAST)
        assert server.request("/hello").endswith(b"hello")
        received = read_all(client)
    assert received.count(b"x" * 5_000_000) == 1
    assert received.endswith(b"hello")


def test_the_ten_thousandth_request_is_the_last_also_here(server: Server) -> None:
    with server.connect() as client:
        answers = Answers(client)
        for _ in range(19):
            client.sendall(QUICK * 500)
            assert {headers(answers.next())["connection"] for _ in range(500)} == {"keep-alive"}
        client.sendall(QUICK * 500)
        assert {headers(answers.next())["connection"] for _ in range(499)} == {"keep-alive"}
        assert headers(answers.next())["connection"] == "close"


def test_a_stopping_worker_tells_its_clients_to_go_elsewhere(start: Callable[..., Server]) -> None:
    served = start(environ={"METRICS_APISERVER_SHUTDOWN_DELAY_DURATION": "30s"}).wait_until_ready()
    with served.connect() as client:
        client.sendall(QUICK)
        assert headers(read_response(client))["connection"] == "keep-alive"
        served.process.terminate()
        wait_for(lambda: "drain" in served.notes(), "the drain")
        client.sendall(QUICK)
        assert headers(read_response(client))["connection"] == "close"
    # The master is in its stop already, and hears of no other signal.
    served.process.kill()
    served.process.wait()


def test_what_is_deferred_meets_an_answer_that_is_half_written() -> None:
    """The event came first, and the next answer waits for its peer: it has to go on waiting for that."""

    class Peers:
        def wait(self, conn: Any, event: int, step: Callable[..., None], **_: object) -> None:
            conn.event, conn.step = event, step

    loop = Connections.__new__(Connections)
    loop._cfg, loop._peers = SimpleNamespace(limit_request_line=8190), Peers()  # type: ignore[assignment]
    loop._held = Held(loop._peers)
    sock = SimpleNamespace(
        unsent=1, left=False, write=lambda: selectors.EVENT_WRITE, read_head=lambda _: selectors.EVENT_READ
    )
    conn = SimpleNamespace(sock=sock, closed=False, idle=False, counted=0, due=True)
    loop._write(conn)
    loop._go(conn, loop._read_on)
    assert (conn.event, conn.step, conn.due) == (selectors.EVENT_WRITE, loop._write, False)


class Answers:
    """Takes the answers of a connection apart."""

    def __init__(self, client: ssl.SSLSocket) -> None:
        self._client = client
        self._received = b""

    def next(self) -> bytes:
        """Give the next answer, with its body."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        end = self._received.index(b"\r\n\r\n") + 4
        end += int(headers(self._received[:end])["content-length"])
        while len(self._received) < end:
            self._receive()
        answer, self._received = self._received[:end], self._received[end:]
        return answer

    def _receive(self) -> None:
        chunk = self._client.recv(1 << 16)
        assert chunk, "the connection ended"
        self._received += chunk
