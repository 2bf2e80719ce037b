"""Bodies of writes on the whole server: what is wrong with one is the client's mistake, and slow ones delay nobody."""

from __future__ import annotations

import ssl
import time
from contextlib import ExitStack

import pytest

from metrics_apiserver.concurrency.budget import BODIES
from tests.live.server import LiveServer
from tests.serving.test_bodies import MALFORMED, exchange_and_end, one_status

PATH = "/write-metrics/namespaces/shop/pods/cart-0/queue-length"
CHUNKED = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
SLOW = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n".encode()
READ = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/queue-length"


def _connect(live: LiveServer) -> ssl.SSLSocket:
    connection = live.connect()
    connection.connect()
    assert isinstance(connection.sock, ssl.SSLSocket)
    return connection.sock


@pytest.mark.parametrize(("body", "code"), MALFORMED)
def test_body_that_is_chunked_wrongly_is_a_mistake_of_the_client(live: LiveServer, body: bytes, code: int) -> None:
    one_status(exchange_and_end(_connect(live), CHUNKED + body), code)
    assert "Traceback" not in live.log()


def test_slow_bodies_delay_nobody(live: LiveServer) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(_connect(live)) for _ in range(300)]
        for client in clients:
            client.sendall(SLOW)
        taken = []
        for path in ("/apis", "/livez", "/readyz", READ) * 5:
            began = time.monotonic()
            assert live.ask("GET", path, {"Connection": "close"}).status in (200, 404)
            taken.append(time.monotonic() - began)
        print(f"slowest of {len(taken)} requests {max(taken) * 1000:.0f} ms")
        # Ten seconds, if they held the threads.
        assert max(taken) < 2.5
        # A writer among them, who sends its body with the head.
        assert live.ask("POST", PATH, {}, b'"300m"').status == 200
        refused = 0
        for client in clients:
            received = b""
            while chunk := client.recv(1 << 16):
                received += chunk
            code = int(received[9:12])
            assert code in (408, 503), received
            refused += code == 503
            assert (b"Retry-After: 1\r\n" in received) == (code == 503)
            one_status(received, code)
        assert refused >= 300 - BODIES
