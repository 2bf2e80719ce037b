"""One watch: what comes over the wire, and what becomes of it."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.watch import Watch
from tests.kube.conftest import FakeCluster, FakeWatch

PATH = "/api/v1/pods"


def event(kind: str, name: str, version: str = "8") -> dict[str, Any]:
    """Make an event."""
    return {"type": kind, "object": {"metadata": {"name": name, "resourceVersion": version}}}


@pytest.fixture
def sent(fake_cluster: FakeCluster) -> FakeWatch:
    """What the cluster sends."""
    return fake_cluster.watches(1)[0]


def read(client: ClusterClient) -> list[tuple[str, str]]:
    """Read a watch to its end."""
    with Watch(client, PATH, version="7", seconds=300) as watch:
        return [(kind, metadata["name"]) for kind, metadata in watch]


def test_events_come_in_their_order(client: ClusterClient, fake_cluster: FakeCluster, sent: FakeWatch) -> None:
    sent.send(event("ADDED", "a"), event("MODIFIED", "b"), event("BOOKMARK", ""), event("DELETED", "c"))
    sent.end()
    assert read(client) == [("ADDED", "a"), ("MODIFIED", "b"), ("BOOKMARK", ""), ("DELETED", "c")]
    assert sent.query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "300",
    }
    accept = fake_cluster.requests[0][2]["Accept"]
    assert accept == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


def test_lines_are_put_together_however_they_are_cut(client: ClusterClient, sent: FakeWatch) -> None:
    text = b"".join(json.dumps(event("ADDED", name)).encode() + b"\n" for name in ("a", "b", "ü"))
    sent.send(b"\n", *(text[start : start + 7] for start in range(0, len(text), 7)))
    sent.end()
    assert read(client) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "ü")]


def test_an_event_is_there_as_soon_as_it_is_sent(client: ClusterClient, sent: FakeWatch) -> None:
    with Watch(client, PATH, version="7", seconds=300) as watch:
        events = iter(watch)
        for name in ("a", "b"):
            sent.send(event("ADDED", name))
            assert next(events)[1]["name"] == name


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param(b"nonsense\n", "a line is not an event", id="no JSON"),
        pytest.param(b"[]\n", "a line is not an event", id="no object"),
        pytest.param(b"null\n", "a line is not an event", id="null"),
        pytest.param(b'{"type":"ADDED"}\n', "a line is not an event", id="an event without an object"),
        pytest.param(b'{"type":"ADDED","object":{}}\n', "a line is not an event", id="an object without metadata"),
        pytest.param(b'{"type":"ADDED","object":{"metadata":[]}}\n', "a line is not an event", id="metadata as a list"),
        pytest.param(
            b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n', "a line is not an event", id="no version"
        ),
        pytest.param(
            b'{"type":"NEW","object":{"metadata":{"name":"a","resourceVersion":"8"}}}\n',
            "a line is not an event",
            id="a type that there is not",
        ),
        pytest.param(b'{"type":"ADD', "the connection broke inside a line", id="half a line"),
    ],
)
def test_what_is_no_event_breaks_the_watch(client: ClusterClient, sent: FakeWatch, line: bytes, message: str) -> None:
    sent.send(event("ADDED", "a"), line)
    sent.end()
    found = []
    with Watch(client, PATH, version="7", seconds=300) as watch, pytest.raises(ClusterError) as caught:
        found += [metadata["name"] for _, metadata in watch]
    assert (str(caught.value), caught.value.status) == (f"WATCH {PATH}: {message}", None)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        pytest.param({"code": 410, "message": "too old"}, 410, "too old", id="the version is too old"),
        pytest.param({"code": 500, "message": "x" * 999}, 500, "x" * 256, id="a long message is cut"),
        pytest.param({}, 500, "no reason is given", id="nothing is said"),
    ],
)
def test_an_error_event_has_its_status(
    client: ClusterClient, sent: FakeWatch, status: dict[str, Any], code: int, message: str
) -> None:
    sent.send({"type": "ERROR", "object": {"kind": "Status", **status}})
    with pytest.raises(ClusterError) as caught:
        read(client)
    assert (str(caught.value), caught.value.status) == (f"WATCH {PATH}: {message}", code)


def test_a_connection_that_breaks_has_no_status(client: ClusterClient, sent: FakeWatch) -> None:
    sent.send(event("ADDED", "a"))
    sent.cut()
    with pytest.raises(ClusterError, match=f"WATCH {PATH}: ") as caught:
        read(client)
    assert caught.value.status is None


def test_a_refusal_is_an_error_at_once(client: ClusterClient, sent: FakeWatch) -> None:
    sent.refuse(403, "pods is forbidden")
    with pytest.raises(ClusterError, match=f"GET {PATH}: 403 Forbidden: pods is forbidden"):
        read(client)


def test_silence_ends_a_watch_whose_time_is_over(
    client: ClusterClient, sent: FakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metrics_apiserver.kube.watch._GRACE_SECONDS", 0.0)
    with Watch(client, PATH, version="7", seconds=0.05) as watch, pytest.raises(ClusterError, match="timed out"):
        list(watch)


def test_shutdown_wakes_the_thread_that_reads(client: ClusterClient, sent: FakeWatch) -> None:
    ended = threading.Event()
    watch = Watch(client, PATH, version="7", seconds=300)

    def follow() -> None:
        with watch, pytest.raises(ClusterError):
            list(watch)
        ended.set()

    thread = threading.Thread(target=follow)
    thread.start()
    begin = time.monotonic()
    watch.shutdown()
    assert ended.wait(10)
    assert time.monotonic() - begin < 2
    thread.join()
    # Once more, when there is nothing left: no mistake.
    watch.shutdown()
