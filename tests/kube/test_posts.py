"""A POST to a cluster: in time, with at most one repetition, and without a word of a secret in what becomes of it."""

from __future__ import annotations

import logging
import socket
import time
from http import HTTPStatus

import pytest
from kubernetes.client import ApiClient

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.limits import TokenBucket
from tests.kube.conftest import FakeCluster, MakeRaw
from tests.kube.raw import Peer, RawCluster, ask

SECRET = "s3cr3t-t0ken"
DOCUMENT = {"spec": {"token": SECRET}}
HEAD = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n"


def test_the_object_and_our_credentials_are_sent(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    fake_cluster.answer("/x", lambda document: (201, {"got": document}))
    assert client.post_json("/x", DOCUMENT) == {"got": DOCUMENT}
    _, _, headers = fake_cluster.requests[0]
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Content-Type"] == headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("metrics-apiserver/")


# Python 3.13 has the newer name.
UNPROCESSABLE = HTTPStatus(422).phrase


@pytest.mark.parametrize(
    ("status", "body", "secret", "message"),
    [
        pytest.param(403, {"kind": "Status", "message": "no"}, True, "403 Forbidden: no", id="our own rights"),
        pytest.param(401, {"kind": "Status", "message": "no"}, True, "401 Unauthorized: no", id="our own credentials"),
        pytest.param(422, {"kind": "Status", "message": SECRET}, True, f"422 {UNPROCESSABLE}", id="a secret"),
        pytest.param(500, {"kind": "Status", "message": SECRET}, True, "500 Internal Server Error", id="an error"),
        pytest.param(422, {"kind": "Status", "message": "x"}, False, f"422 {UNPROCESSABLE}: x", id="no secret"),
        pytest.param(404, {"kind": "Other", "message": "x"}, False, "404 Not Found", id="another kind"),
        pytest.param(302, b"", False, "302 Found", id="a redirect is not followed"),
        pytest.param(200, b"[]", False, "the answer is not a JSON object", id="no object"),
    ],
)
def test_a_refusal_is_one_error(
    client: ClusterClient, fake_cluster: FakeCluster, status: int, body: object, secret: bool, message: str
) -> None:
    fake_cluster.answer("/x", body, status=status)
    with pytest.raises(ClusterError) as caught:
        client.post_json("/x", DOCUMENT, secret=secret)
    assert str(caught.value) == f"POST /x: {message}"
    assert caught.value.status == status
    assert fake_cluster.paths == ["/x"]


def test_what_is_no_text_is_an_error_that_quotes_nothing(client: ClusterClient, fake_cluster: FakeCluster) -> None:
    with pytest.raises(ClusterError) as caught:
        client.post_json("/x", {"token": SECRET + "\udc80"})
    assert str(caught.value) == "POST /x: the request cannot be written as JSON"
    assert caught.value.__cause__ is None
    assert fake_cluster.paths == []


def test_a_turn_that_does_not_come_in_time_is_an_error(api: ApiClient, fake_cluster: FakeCluster) -> None:
    client = ClusterClient(api, bucket=TokenBucket(0.001, 1))
    fake_cluster.answer("/x", {})
    client.post_json("/x", {})
    with pytest.raises(ClusterError, match="POST /x: no turn for this request within 1 s"):
        client.post_json("/x", {}, timeout=1)
    assert fake_cluster.paths == ["/x"]


def test_nothing_of_a_secret_is_logged(
    client: ClusterClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """At -v 10 and beyond it: with every library's own messages."""
    caplog.set_level(logging.DEBUG)
    fake_cluster.answer("/x", {})
    client.post_json("/x", DOCUMENT, secret=True)
    fake_cluster.refuse("/x", 422, SECRET)
    with pytest.raises(ClusterError):
        client.post_json("/x", DOCUMENT, secret=True)
    assert "POST /x" in caplog.text
    assert SECRET not in caplog.text


def breaks(connection: socket.socket, cluster: RawCluster) -> None:
    """Close the connection without a word."""
    ask(connection)


def answers(connection: socket.socket, cluster: RawCluster) -> None:
    ask(connection)
    connection.sendall(HEAD + b"{}")


def keeps_silent(connection: socket.socket, cluster: RawCluster) -> None:
    ask(connection)
    cluster.stopped.wait(20)


def drips(connection: socket.socket, cluster: RawCluster) -> None:
    """Send a body that does not end, so often that no pause is too long."""
    ask(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    try:
        while not cluster.stopped.wait(0.02):
            connection.sendall(b" ")
    except OSError:
        pass


def floods(connection: socket.socket, cluster: RawCluster) -> None:
    """Send a body that does not end, as fast as it can."""
    ask(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    try:
        while not cluster.stopped.is_set():
            connection.sendall(b" " * 65536)
    except OSError:
        pass


def test_a_connection_that_breaks_without_an_answer_is_tried_once_more(raw: MakeRaw) -> None:
    """A cluster that is being updated closes idle connections in the moment in which one is used."""
    cluster, client = raw(breaks, answers)
    assert client.post_json("/x", {}) == {}
    assert cluster.connections == 2


def test_a_cluster_that_always_breaks_is_asked_no_more_than_twice(raw: MakeRaw) -> None:
    cluster, client = raw(breaks)
    with pytest.raises(ClusterError, match=r"POST /x: .*without response") as caught:
        client.post_json("/x", {})
    assert caught.value.status is None
    assert cluster.connections == 2


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(keeps_silent, id="a silent cluster"),
        pytest.param(drips, id="a body that comes byte by byte"),
    ],
)
def test_the_time_is_for_all_of_it(raw: MakeRaw, peer: Peer) -> None:
    cluster, client = raw(peer)
    begin = time.monotonic()
    with pytest.raises(ClusterError, match=r"POST /x: .*(timed out|took too long)"):
        client.post_json("/x", {}, timeout=0.3)
    assert 0.25 < time.monotonic() - begin < 3
    assert cluster.connections == 1


def test_an_answer_without_an_end_is_an_error(raw: MakeRaw) -> None:
    _, client = raw(floods)
    with pytest.raises(ClusterError, match="POST /x: the answer has more than 4194304 bytes"):
        client.post_json("/x", {})
