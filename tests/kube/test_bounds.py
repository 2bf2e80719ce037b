"""An answer of the cluster ends, in time and in size, whatever is asked and wherever in the answer it does not end."""

from __future__ import annotations

import gzip
import json
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from metrics_apiserver.bounded_http import Bounds
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.listing import list_objects
from metrics_apiserver.kube.watch import Bookmarks, Watch
from tests.kube.conftest import FakeCluster, MakeRaw
from tests.kube.raw import Peer, RawCluster, ask, sends

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
LONG = OK + b"Content-Length: 1000000000\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000000000\r\n\r\n"
# Seconds of the requests of these tests, and what a machine that does much else may add.
SHORT, PATIENCE = 0.4, 10.0
# What the buffers of both sockets may take beyond what is read.
BUFFERS = 16 * 1024 * 1024
PAUSE = 0.03


def get(client: ClusterClient) -> object:
    return client.get_json("/x")


def post(client: ClusterClient) -> object:
    return client.post_json("/x", {"spec": {}}, timeout=SHORT)


def list_all(client: ClusterClient) -> object:
    return list_objects(client, "/x")


def watch(client: ClusterClient) -> object:
    with Watch(client, "/x", version="1", seconds=SHORT) as opened:
        return list(opened)


ASK = [
    pytest.param(get, id="GET"),
    pytest.param(post, id="POST"),
    pytest.param(list_all, id="LIST"),
    pytest.param(watch, id="WATCH"),
]
Ask = Callable[[ClusterClient], object]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every request be short, as these tests wait for its end."""
    monkeypatch.setattr("metrics_apiserver.kube.client._HEAD_SECONDS", SHORT)
    monkeypatch.setattr("metrics_apiserver.kube.client._GET_SECONDS", 2 * SHORT)
    monkeypatch.setattr("metrics_apiserver.kube.client._EVENT_SECONDS", SHORT)
    monkeypatch.setattr("metrics_apiserver.kube.watch._GRACE_SECONDS", SHORT)


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(sends(b""), id="silence"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\n", b"x", pause=PAUSE), id="a head, byte by byte"),
        pytest.param(sends(b"HTTP/1.1 ", b"2", pause=PAUSE), id="a status line, byte by byte"),
        pytest.param(sends(OK, b"X: y\r\n", pause=PAUSE), id="a head, line by line"),
        pytest.param(sends(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=PAUSE), id="to be continued"),
        pytest.param(sends(LONG, b" ", pause=PAUSE), id="a body, byte by byte"),
        pytest.param(sends(OK + b"Connection: close\r\n\r\n", b" ", pause=PAUSE), id="a body up to the close"),
        pytest.param(sends(CHUNKED, b"1\r\n \r\n", pause=PAUSE), id="chunk by chunk"),
        pytest.param(sends(CHUNKED, b"\n", pause=PAUSE), id="the line before a chunk"),
        pytest.param(sends(CHUNKED + b"1;", b"x", pause=PAUSE), id="an extension of a chunk"),
        pytest.param(sends(CHUNKED + b"0\r\n", b"X: y\r\n", pause=PAUSE), id="trailers"),
        pytest.param(sends(LONG + b" "), id="half a body, and then silence"),
        pytest.param(sends(REFUSED, b" ", pause=PAUSE), id="a refusal, byte by byte"),
    ],
)
@pytest.mark.parametrize("ask", ASK)
def test_every_request_ends_in_time(raw: MakeRaw, ask: Ask, peer: Peer) -> None:
    """No piece of an answer begins its time anew."""
    _, client = raw(peer)
    begun = time.monotonic()
    with pytest.raises(ClusterError):
        ask(client)
    assert time.monotonic() - begun < PATIENCE


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(sends(b"HTTP/1.1 200 OK\r\n", b"x" * 65536), id="a head of one line"),
        pytest.param(sends(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), id="to be continued"),
        pytest.param(sends(LONG, b" " * 65536), id="a body"),
        pytest.param(sends(OK + b"Connection: close\r\n\r\n", b" " * 65536), id="a body up to the close"),
        pytest.param(sends(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"), id="chunks"),
        pytest.param(sends(CHUNKED, b"1;" + b"x" * 30_000 + b"\r\n \r\n"), id="long extensions of short chunks"),
        pytest.param(sends(CHUNKED + b"0\r\n", b"X: " + b"y" * 60_000 + b"\r\n"), id="trailers"),
        pytest.param(sends(CHUNKED, b"10000\r\n" + b"\n" * 65536 + b"\r\n"), id="empty lines"),
        pytest.param(sends(REFUSED, b" " * 65536), id="a refusal"),
    ],
)
@pytest.mark.parametrize("ask", ASK)
def test_every_answer_ends_in_size(raw: MakeRaw, ask: Ask, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much comes, and however fast: neither is it read nor does it stay in memory."""
    for name in ("_HEAD_SECONDS", "_GET_SECONDS", "_EVENT_SECONDS"):
        monkeypatch.setattr(f"metrics_apiserver.kube.client.{name}", 60.0)
    monkeypatch.setattr("metrics_apiserver.kube.watch._GRACE_SECONDS", 60.0)
    cluster, client = raw(peer)
    tracemalloc.start()
    try:
        with pytest.raises(ClusterError):
            client.post_json("/x", {}, timeout=60) if ask is post else ask(client)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A LIST tries shorter pages before it gives up, and a POST that breaks is repeated once.
    assert cluster.sent < 5 * (2 * 8 * 1024 * 1024 + BUFFERS)
    assert peak < 48 * 1024 * 1024


def test_what_is_packed_stays_packed(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    """Nothing but plain JSON is asked for; a thousandth of the size could fill the memory."""
    bomb = gzip.compress(b" " * (64 * 1024 * 1024))
    fake_cluster.answer("/x", bomb, media_type="application/json\r\nContent-Encoding: gzip")
    tracemalloc.start()
    try:
        with pytest.raises(ClusterError, match="GET /x: the answer is not a JSON object"):
            client.get_json("/x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
    assert fake_cluster.requests[0][2]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [404, 410, 503])
def test_a_refusal_has_its_status_however_it_goes_on(raw: MakeRaw, status: int) -> None:
    """What the head says decides: a 410 begins a list anew, a 404 has the resources read again."""
    head = b"HTTP/1.1 %d No\r\nContent-Length: 1000000000\r\n\r\n" % status
    _, client = raw(sends(head, b" " * 65536))
    with pytest.raises(ClusterError) as caught:
        client.get_json("/x")
    assert caught.value.status == status


def events(pause: float, *, text: bytes) -> Peer:
    return sends(CHUNKED, b"%x\r\n%b\r\n" % (len(text), text), pause=pause)


BOOKMARK = json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "2"}}}).encode() + b"\n"


def test_a_watch_ends_when_its_time_is_over_though_events_come(raw: MakeRaw) -> None:
    _, client = raw(events(PAUSE, text=BOOKMARK))
    found, begun = [], time.monotonic()
    with Watch(client, "/x", version="1", seconds=SHORT) as opened, pytest.raises(ClusterError, match="timed out"):
        found += list(opened)
    assert time.monotonic() - begun < PATIENCE


def test_a_watch_of_many_events_has_more_bytes_than_one_of_them_may_have(
    raw: MakeRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is of each event, not of all."""
    monkeypatch.setattr("metrics_apiserver.kube.client._MOST_OF_EVENT", 256 * 1024)
    _, client = raw(events(0, text=BOOKMARK))
    with Watch(client, "/x", version="1", seconds=600) as opened:
        found = iter(opened)
        for _ in range(10_000):
            assert next(found)[0] == "BOOKMARK"


@pytest.mark.parametrize(
    "drip", [pytest.param(b'{"type":"MODIFIED', id="half an event"), pytest.param(b"\n", id="empty lines")]
)
def test_an_event_that_does_not_come_to_its_end_ends_the_watch(
    raw: MakeRaw, monkeypatch: pytest.MonkeyPatch, drip: bytes
) -> None:
    """Long before the watch's own time: what it should tell is not told."""
    monkeypatch.setattr("metrics_apiserver.kube.watch._GRACE_SECONDS", 60.0)
    first = b"%x\r\n%b\r\n" % (len(BOOKMARK), BOOKMARK)
    _, client = raw(sends(CHUNKED + first, b"%x\r\n%b\r\n" % (len(drip), drip), pause=PAUSE))
    begun = time.monotonic()
    with Watch(client, "/x", version="1", seconds=600) as opened, pytest.raises(ClusterError, match="timed out"):
        list(opened)
    assert time.monotonic() - begun < PATIENCE


def test_silence_after_a_bookmark_ends_the_watch(raw: MakeRaw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bookmarks come once a minute from whoever sends them at all: three that are missing mean that it is gone."""
    monkeypatch.setattr("metrics_apiserver.kube.watch._QUIET_SECONDS", SHORT)
    _, client = raw(sends(CHUNKED + b"%x\r\n%b\r\n" % (len(BOOKMARK), BOOKMARK)))
    begun = time.monotonic()
    with Watch(client, "/x", version="1", seconds=600) as opened, pytest.raises(ClusterError, match="timed out"):
        list(opened)
    assert time.monotonic() - begun < PATIENCE


def test_a_watch_that_never_sent_a_bookmark_may_be_silent(raw: MakeRaw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some aggregated servers send none."""
    monkeypatch.setattr("metrics_apiserver.kube.watch._QUIET_SECONDS", 0.001)
    added = BOOKMARK.replace(b"BOOKMARK", b"ADDED")
    _, client = raw(events(5 * PAUSE, text=added))
    with Watch(client, "/x", version="1", seconds=600) as opened:
        found = iter(opened)
        assert [next(found)[0] for _ in range(2)] == ["ADDED", "ADDED"]


def test_silence_from_the_beginning_is_an_end_until_bookmarks_are_known(
    raw: MakeRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server without bookmarks is asked again, and not called stale; one that has sent some is gone."""
    monkeypatch.setattr("metrics_apiserver.kube.watch._QUIET_SECONDS", SHORT)
    bookmarks = Bookmarks()

    def silent(connection: socket.socket, _cluster: RawCluster) -> None:
        ask(connection)
        connection.sendall(CHUNKED)
        # Until it is left alone.
        connection.recv(1)

    _, client = raw(silent)
    begun = time.monotonic()
    with Watch(client, "/x", version="1", seconds=600, bookmarks=bookmarks) as opened:
        assert list(opened) == []
    bookmarks.known = True
    again = Watch(client, "/x", version="1", seconds=600, bookmarks=bookmarks)
    with again, pytest.raises(ClusterError, match="timed out"):
        list(again)
    # It may be another server by now.
    with Watch(client, "/x", version="1", seconds=600, bookmarks=bookmarks) as opened:
        assert list(opened) == []
    assert time.monotonic() - begun < PATIENCE


def test_half_an_event_is_no_silence(raw: MakeRaw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrics_apiserver.kube.watch._QUIET_SECONDS", SHORT)
    _, client = raw(sends(CHUNKED + b'8\r\n{"type":\r\n'))
    opened = Watch(client, "/x", version="1", seconds=600, bookmarks=Bookmarks())
    with opened, pytest.raises(ClusterError, match="timed out"):
        list(opened)


class Pieces:
    """An answer whose body comes in these pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read1(self, amount: int, *, decode_content: bool) -> bytes:
        return next(self._pieces, b"")


def test_a_long_line_costs_what_its_length_is() -> None:
    """CPU seconds, of which it took 18 while every piece was looked at from the line's beginning, and now 0.02."""
    length = 8192
    reading = Watch.__new__(Watch)
    reading._path, reading._bounds = "/x", Bounds()
    reading._response = Pieces(iter([b"x" * 1024] * length + [b"\n"]))  # type: ignore[assignment]
    begun = time.thread_time()
    assert sum(map(len, reading._lines())) == length * 1024
    assert time.thread_time() - begun < 2


def test_bounds_are_for_one_piece_and_for_all() -> None:
    """The clock is the machine's own: only the order of things is looked at."""
    bounds = Bounds()
    assert bounds.left() is None
    bounds.begin(100)
    assert 50 < (bounds.left() or 0) <= 100
    bounds.allow(most=10, within=50)
    assert 50 < (bounds.left() or 0) <= 100
    bounds.received(1)
    assert (bounds.left() or 0) <= 50
    bounds.renew()
    assert (bounds.left() or 0) > 50
