"""The short path: what the application can answer at once is answered on the loop, between what takes a thread."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable

from tests.serving.conftest import Server, headers, read_all, read_response, wait_for

QUICK = b"GET /quick HTTP/1.1\r\nHost: x\r\nX-Remote-Group: a\r\nX-Remote-Group: b\r\n\r\n"
SLOW = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_target_fields_and_certificate_are_handed_over(server: Server) -> None:
    with server.connect() as client:
        client.sendall(QUICK)
        body = read_response(client).split(b"\r\n\r\n", 1)[1]
    assert json.loads(body) == ["/quick", [["HOST", "x"], ["X-REMOTE-GROUP", "a"], ["X-REMOTE-GROUP", "b"]], False]


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


def test_a_request_whose_head_is_not_plain_takes_a_thread(server: Server) -> None:
    """Though the path is one that could be answered at once: the application answers it as any other."""
    received = server.exchange(QUICK[:-2] + b"Connection: close\r\n\r\n")
    assert received.endswith(b"hello")


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
