"""The log's reader stops: a full pipe on stderr, as of a log collector that hangs. Nobody notices but the log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer
from tests.serving.attacks import Target, UnreadLog

READ = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/my-external-metric"
# The master kills a worker that says nothing for so long.
TIMEOUT = 3


@pytest.fixture(name="log")
def _log() -> Iterator[UnreadLog]:
    with UnreadLog() as log:
        yield log


@pytest.fixture(name="server")
def _server(tmp_path: Path, log: UnreadLog) -> Iterator[LiveServer]:
    """A server whose log was never read; also its start."""
    environ = {"GUNICORN_CMD_ARGS": f"--timeout={TIMEOUT}"}
    server = LiveServer(tmp_path, "-v=8", "--log-format=json", environ=environ, stderr=log.into)
    try:
        server.wait_until_live()
        yield server
    finally:
        server.kill()


def figure(server: LiveServer, name: str) -> float:
    lines = server.ask("GET", "/metrics", {}).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])


def dropped(server: LiveServer) -> float:
    return figure(server, "metrics_apiserver_log_lines_dropped_total")


def log_until_lines_are_dropped(server: LiveServer) -> None:
    """Send requests until the queue is full; every one of them is answered."""
    target = Target(server.port, str(server.ca_file), READ)
    with target.connect() as client:
        while not dropped(server):
            client.sendall(UnreadLog.requests(target))
            received = b""
            while received.count(b"HTTP/1.1 200 OK\r\n") < 50 or not received.endswith(b"}\n"):
                received += client.recv(1 << 16)


def test_reads_and_probes_are_answered_while_nobody_reads_the_log(server: LiveServer, log: UnreadLog) -> None:
    """For longer than the master waits for a worker; then the reader learns how much it missed, and no line is torn."""
    began = figure(server, "process_start_time_seconds")
    log_until_lines_are_dropped(server)
    end = time.monotonic() + TIMEOUT + 2
    longest = 0.0
    while time.monotonic() < end:
        for path in ("/readyz", READ):
            begin = time.monotonic()
            assert server.ask("GET", path, {}).status == 200
            longest = max(longest, time.monotonic() - begin)
    assert longest < TIMEOUT
    assert figure(server, "process_start_time_seconds") == began
    counted = dropped(server)
    received = log.read(lambda line: b"dropped because" in line)
    lines = [json.loads(line) for line in received.splitlines()]
    (said,) = [line for line in lines if "dropped because" in line["message"]]
    assert (said["logger"], said["level"]) == ("metrics_apiserver.logs", "warning")
    assert said["message"].endswith(" lines were dropped because the log's reader was slow")
    assert int(said["message"].split()[0]) >= counted
    assert lines[0]["message"].startswith("standalone mode")
    # And the log goes on.
    server.ask("GET", f"{READ}?labelSelector=after%3Dwards", {})
    log.read(lambda line: b"after%3Dwards" in line)


def test_stop_is_not_held_by_a_log_that_nobody_reads(server: LiveServer) -> None:
    """The process ends by itself, well before the master would kill the worker, with what it always ends with."""
    log_until_lines_are_dropped(server)
    begin = time.monotonic()
    server.process.terminate()
    assert server.process.wait(30) == 0
    assert time.monotonic() - begin < 15


def test_new_worker_begins_while_nobody_reads_the_log(server: LiveServer) -> None:
    """A reload forks in a master whose own lines wait."""
    began = figure(server, "process_start_time_seconds")
    log_until_lines_are_dropped(server)
    server.process.send_signal(1)
    wait_until(lambda: figure(server, "process_start_time_seconds") != began, 30, "no new worker")
