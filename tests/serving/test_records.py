"""TLS records that carry nothing, and peers whose data is always here: neither holds the loop or a thread."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress

import pytest

from metrics_apiserver.serving.certificates import ensure_certificate
from metrics_apiserver.serving.connection import DEADLINES, Deadlines, TLSConnection
from metrics_apiserver.serving.pairs import Pair, read_pair
from metrics_apiserver.serving.records import SMALL_RECORDS, USELESS_RECORDS
from metrics_apiserver.serving.tls import TLSContext, build_context
from metrics_apiserver.serving.waits import PeerTooSlowError
from metrics_apiserver.settings import ServingSettings
from tests.serving.conftest import Server
from tests.serving.raw_tls import RecordClient

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
REFUSED = r"without data|TLS failed"
# More than a turn takes, and fewer than a head may have.
MANY = SMALL_RECORDS
# What a turn takes: its eight records, and those in what is read of the socket with the last of them.
TURN = 8 + 512 // 23
Make = Callable[[RecordClient], bytes]
Ends = tuple[TLSConnection, RecordClient]


@pytest.fixture(name="pair", scope="module")
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("certificates")
    return read_pair(*ensure_certificate(ServingSettings(cert_dir=str(folder))))


@pytest.fixture(name="connect")
def _connect(pair: Pair) -> Iterator[Callable[..., Ends]]:
    """Give both ends of a connection after its handshake."""
    with ExitStack() as opened:

        def connect(deadlines: Deadlines = DEADLINES) -> Ends:
            near, far = socket.socketpair()
            near.settimeout(10)
            served = TLSContext(build_context(pair, ServingSettings()), deadlines).wrap_socket(far)
            opened.enter_context(closing(near))
            opened.enter_context(closing(served))
            with ThreadPoolExecutor(1) as pool:
                handshake = pool.submit(served.do_handshake)
                client = RecordClient(near, str(pair.contents.cert_file))
                handshake.result()
            return served, client

        yield connect


def _key_update(client: RecordClient) -> bytes:
    return client.key_update()


def _asking(client: RecordClient) -> bytes:
    return client.key_update(ask=True)


def _empty(client: RecordClient) -> bytes:
    return client.record(b"")


def _warning(client: RecordClient) -> bytes:
    return client.warning()


def _mixed(client: RecordClient) -> bytes:
    return client.key_update() + client.record(b"") + client.warning()


def _with_a_byte_now_and_then(client: RecordClient) -> bytes:
    return b"".join(client.key_update() for _ in range(4)) + client.record(b"a")


USELESS = [
    pytest.param(_key_update, id="key updates"),
    pytest.param(_asking, id="key updates that ask for one"),
    pytest.param(_empty, id="empty records"),
    pytest.param(_warning, id="warnings"),
    pytest.param(_mixed, id="all of them in turns"),
    pytest.param(_with_a_byte_now_and_then, id="key updates with a byte now and then"),
]


class TestRecordsWithoutData:
    @pytest.mark.parametrize("make", USELESS)
    @pytest.mark.parametrize(
        "before",
        [pytest.param(b"", id="before a head"), pytest.param(b"GET / HTTP/1.1\r\nA: ", id="in a head")],
    )
    def test_peer_that_sends_them_without_end_is_sent_away(
        self, connect: Callable[..., Ends], before: bytes, make: Make
    ) -> None:
        served, client = connect()
        if before:
            client.sendall(before)
            assert served.read_head(8190) == selectors.EVENT_READ
        client.send_records(*(make(client) for _ in range(200)))
        with pytest.raises(ssl.SSLError, match=REFUSED):
            _read_head_on(served)

    @pytest.mark.parametrize("make", USELESS)
    def test_peer_that_sends_them_in_a_body_is_sent_away(self, connect: Callable[..., Ends], make: Make) -> None:
        served, client = connect()
        client.send_records(*(make(client) for _ in range(200)))
        with pytest.raises(ssl.SSLError, match=REFUSED):
            _read_body_on(served)

    def test_message_of_a_handshake_in_many_records_is_the_end(self, connect: Callable[..., Ends]) -> None:
        served, client = connect()
        client.send_records(*(client.record(byte, 22) for byte in [b"\x18", *[b"\xff"] * 200]))
        with pytest.raises(ssl.SSLError, match=REFUSED):
            _read_head_on(served)

    @pytest.mark.parametrize("make", USELESS[:4])
    def test_as_many_as_go_takes_are_taken_each_time(self, connect: Callable[..., Ends], make: Make) -> None:
        """OpenSSL has limits of its own for warnings (5) and empty records (32)."""
        served, client = connect()
        count = 4 if make is _warning else USELESS_RECORDS
        for _ in range(5):
            client.send_records(*(make(client) for _ in range(count)))
            assert served.read_head(8190) == selectors.EVENT_READ
            # Data makes up for them, one record for one.
            for byte in b"a" * count:
                client.sendall(bytes([byte]))
                assert served.recv(1) == b"a"

    def test_long_connection_with_a_few_key_updates_is_served(self, server: Server) -> None:
        client = RecordClient(server.plain(), str(server.cert))
        with closing(client):
            for number in range(50):
                client.send_records(client.key_update(ask=number % 2 == 0))
                client.sendall(GET)
                assert client.recv(1 << 16).endswith(b"hello")

    def test_body_with_a_key_update_after_each_part_arrives(self, server: Server) -> None:
        client = RecordClient(server.plain(), str(server.cert))
        with closing(client):
            client.sendall(POST % 100_000)
            for _ in range(100):
                client.sendall(b"a" * 1000)
                client.send_records(client.key_update())
            received = b""
            while chunk := client.recv(1 << 16):
                received += chunk
        assert b"\r\n\r\n100000 " in received

    def test_flood_ends_its_connection_and_delays_nobody(self, server: Server) -> None:
        """2 MB of key updates at once; before, they were all read in one call."""
        client = RecordClient(server.plain(), str(server.cert))
        flood = [b"".join(client.key_update() for _ in range(5000)) for _ in range(15)]
        with closing(client), ThreadPoolExecutor(1) as pool:
            sending = pool.submit(_send_all, client, flood)
            slowest = max(_probe(server) for _ in range(10))
            sending.result()
            print(f"slowest of 10 probes {slowest * 1000:.0f} ms")
            assert slowest < 1
            # Not by a deadline: that of a head is five seconds.
            began = time.monotonic()
            client.settimeout(10)
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
            assert time.monotonic() - began < 4


def _read_head_on(served: TLSConnection) -> None:
    for _ in range(100):
        assert served.read_head(8190) == selectors.EVENT_READ


def _read_body_on(served: TLSConnection) -> None:
    while served.recv(1000):
        pass


def _shake_hands_on(served: TLSConnection) -> None:
    with selectors.DefaultSelector() as poller:
        poller.register(served, selectors.EVENT_READ)
        turns = 0
        while served.handshake():
            turns += 1
            assert turns < 200
            assert poller.select(10)


def _send_all(client: RecordClient, parts: list[bytes]) -> None:
    with suppress(ConnectionError):
        for part in parts:
            client.send_records(part)


def _probe(server: Server) -> float:
    began = time.monotonic()
    assert server.request("/hello").endswith(b"hello")
    return time.monotonic() - began


class TestSmallRecords:
    """A record costs as much as a hundred bytes: whoever sends many of a byte is sent away, and nobody else."""

    @pytest.mark.parametrize("size", [1, 16, 64])
    def test_too_many_in_a_head_are_the_end(self, connect: Callable[..., Ends], size: int) -> None:
        served, client = connect()
        client.sendall(b"GET / HTTP/1.1\r\nA: ")
        client.send_records(*(client.record(b"a" * size) for _ in range(1000)))
        with pytest.raises(ssl.SSLError, match="hardly any data"):
            _read_head_on(served)
        assert SMALL_RECORDS * size <= len(served._ahead) <= 3 * SMALL_RECORDS * size

    @pytest.mark.parametrize("size", [1, 16, 64])
    def test_too_many_in_a_body_are_the_end(self, connect: Callable[..., Ends], size: int) -> None:
        served, client = connect()
        client.send_records(*(client.record(b"a" * size) for _ in range(1000)))
        with pytest.raises(ssl.SSLError, match="hardly any data"):
            _read_body_on(served)

    def test_body_of_many_is_no_answer_and_an_end(self, server: Server) -> None:
        with closing(RecordClient(server.plain(), str(server.cert))) as client:
            client.sendall(POST % 5000)
            with suppress(ConnectionError):
                client.send_records(*(client.record(b"a") for _ in range(1000)))
            with suppress(ConnectionError):
                assert client.recv(1) == b""
        assert _probe(server) < 5

    def test_small_writes_are_served_request_after_request(self, server: Server) -> None:
        """A head field by field, and a body byte by byte, on one connection."""
        with closing(RecordClient(server.plain(), str(server.cert))) as client:
            for _ in range(50):
                lines = [b"POST /body HTTP/1.1", b"Host: x", b"Content-Length: 50", *[b"A: b"] * 20, b""]
                client.send_records(*(client.record(line + b"\r\n") for line in lines))
                client.send_records(*(client.record(b"a") for _ in range(50)))
                assert b"\r\n\r\n50 " in client.recv(1 << 16)

    def test_body_in_records_of_a_fair_size_may_be_long(self, server: Server) -> None:
        with closing(RecordClient(server.plain(), str(server.cert))) as client:
            client.sendall(POST % 256_000)
            client.send_records(*(client.record(b"a" * 128) for _ in range(2000)))
            assert b"\r\n\r\n256000 " in client.recv(1 << 16)


class TestTurns:
    def test_head_in_many_records_takes_its_turns(self, connect: Callable[..., Ends]) -> None:
        served, client = connect()
        client.send_records(*(client.record(b"a") for _ in range(MANY)))
        turns, before = 0, 0
        while served.read_head(8190) == selectors.EVENT_READ and before < MANY:
            arrived = len(served._ahead)
            assert arrived - before <= TURN
            turns, before = turns + 1, arrived
        assert before == MANY
        assert turns >= MANY // TURN

    def test_nothing_is_left_that_poll_cannot_see(self, connect: Callable[..., Ends]) -> None:
        served, client = connect()
        client.send_records(*(client.record(b"a") for _ in range(MANY)))
        with selectors.DefaultSelector() as poller:
            poller.register(served, selectors.EVENT_READ)
            while len(served._ahead) < MANY:
                assert poller.select(5), f"{len(served._ahead)} of {MANY} bytes are read, and poll sees no more"
                assert served.read_head(8190) == selectors.EVENT_READ

    def test_who_reads_no_key_updates_is_not_read_from(self, connect: Callable[..., Ends]) -> None:
        """Each asks for an answer of ours: memory has to end somewhere."""
        served, client = connect()
        served.sendall(b"x" * 10_000_000)
        assert served.write() == selectors.EVENT_WRITE
        client.send_records(client.key_update(ask=True), client.record(b"a"))
        waiting = served.unsent
        assert served.read_head(8190) == selectors.EVENT_WRITE
        assert served.unsent <= waiting


def test_who_sends_on_after_its_last_answer_is_cut_off(connect: Callable[..., Ends]) -> None:
    """Also within the two seconds that it has to close."""
    served, client = connect()
    served.shutdown(socket.SHUT_WR)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(_send_all, client, [b"a" * 65_536] * 1000)
        with selectors.DefaultSelector() as poller:
            poller.register(served, selectors.EVENT_READ)
            while poller.select(10) and served.discard():
                pass
        served.close()
        sending.result()
    # In pieces of 64 KiB at most, 16 MiB are no fewer; 62 MiB were sent.
    assert 16 << 20 <= served._discarded < 17 << 20


class TestHandshakes:
    @pytest.mark.parametrize(
        ("fragment", "count"),
        [pytest.param(1, 600, id="in tiny records"), pytest.param(16384, 17, id="larger than any is")],
    )
    def test_handshake_without_end_is_refused(self, pair: Pair, fragment: int, count: int) -> None:
        near, far = socket.socketpair()
        served = TLSContext(build_context(pair, ServingSettings())).wrap_socket(far)
        # A greeting of 128 KiB, in plain records.
        greeting = b"\x01" + (131_000).to_bytes(3, "big") + b"\x03\x03" + b"a" * 300_000
        parts = [greeting[fragment * n : fragment * (n + 1)] for n in range(count)]
        records = [b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts]
        with near, closing(served), ThreadPoolExecutor(1) as pool:
            sending = pool.submit(near.sendall, b"".join(records))
            with pytest.raises(ssl.SSLError):
                _shake_hands_on(served)
            # What is not read any more must not keep the sender.
            served.close()
            with suppress(OSError):
                sending.result()

    def test_handshake_in_small_records_is_completed(self, server: Server) -> None:
        """As of clients that cut their greeting up, to hide a name."""
        with server.plain() as plain:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = server.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            greeting = outgoing.read()[5:]
            for start in range(0, len(greeting), 20):
                part = greeting[start : start + 20]
                plain.sendall(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part)
            while True:
                incoming.write(plain.recv(1 << 16))
                with suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                    break
            tls.write(GET)
            plain.sendall(outgoing.read())
            received = b""
            while not received.endswith(b"hello"):
                incoming.write(plain.recv(1 << 16))
                with suppress(ssl.SSLWantReadError):
                    received += tls.read(1 << 16)


class TestDeadlinesOfBodies:
    @pytest.mark.parametrize(
        ("make", "pause"),
        [
            pytest.param(lambda client: client.key_update() + client.record(b"a"), 0.05, id="key updates and bytes"),
            pytest.param(lambda client: client.record(b"a" * 128), 0.0, id="data that is always here"),
            pytest.param(lambda client: client.record(b"a" * 16000), 0.0, id="much data that is always here"),
        ],
    )
    def test_body_ends_at_its_deadline(
        self, connect: Callable[..., Ends], make: Callable[[RecordClient], bytes], pause: float
    ) -> None:
        served, client = connect(Deadlines(body=0.3))
        began = time.monotonic()

        def send() -> None:
            with suppress(OSError):
                while time.monotonic() - began < 20:
                    client.send_records(make(client))
                    time.sleep(pause)

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            with pytest.raises(PeerTooSlowError):
                _read_body_on(served)
            taken = time.monotonic() - began
            served.close()
            sending.result()
        # A second more for what was here in time.
        assert 0.3 <= taken < 5

    def test_what_was_here_when_the_time_was_over_is_read(self, connect: Callable[..., Ends]) -> None:
        """The server was held up, and not the client."""
        served, client = connect(Deadlines(body=0.05))
        client.sendall(b"a")
        assert served.recv(1) == b"a"
        client.sendall(b"b" * 50_000)
        time.sleep(0.1)
        received = b""
        while len(received) < 50_000:
            received += served.recv(1 << 16)
        with pytest.raises(PeerTooSlowError):
            served.recv(1)
