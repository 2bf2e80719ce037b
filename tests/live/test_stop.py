"""The stop: not ready at once, requests under way are finished, and a provider that hangs holds nobody."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.controlplane.waiting import wait_until
from tests.distributions import install_providers
from tests.live.server import LiveServer, send

API = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
# What it does depends on the metric: `held` waits for a file, `hung` for ever. It notes in files what was called.
PROVIDER = """
import datetime, os, pathlib, threading, time
from metrics_apiserver.provider import ExternalMetricsProvider, ExternalMetricValue, Quantity

FOLDER = pathlib.Path(os.environ["TEST_FOLDER"])

class Slow(ExternalMetricsProvider):
    # Not true: what hangs on the server's own threads is the worst that there is.
    answers_from_memory = "TEST_OWN_THREADS" not in os.environ

    def get_external_metric(self, ctx, namespace, metric_selector, info):
        (FOLDER / info.metric).touch()
        if info.metric == "hung":
            threading.Event().wait()
        while info.metric == "held" and not (FOLDER / "release").exists():
            time.sleep(0.01)
        return [ExternalMetricValue(info.metric, datetime.datetime.now(datetime.UTC), Quantity.parse("7"))]

    def stop(self):
        if "hung-stop" in os.environ.get("TEST_STOP", ""):
            threading.Event().wait()
        (FOLDER / "stopped").touch()
"""


@pytest.fixture(name="start")
def _start(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Start servers with the slow provider, which is installed in the test's folder."""
    install_providers(tmp_path, "slow-provider", "slow = slow_provider:Slow")
    (tmp_path / "slow_provider.py").write_text(PROVIDER, encoding="utf-8")
    started = []

    def start(*flags: str, grace: int = 25, **environ: str) -> LiveServer:
        variables = {
            "PYTHONPATH": str(tmp_path),
            "TEST_FOLDER": str(tmp_path),
            "GUNICORN_CMD_ARGS": f"--graceful-timeout={grace}",
        }
        server = LiveServer(tmp_path, "--provider=slow", *flags, environ={**variables, **environ})
        started.append(server)
        server.wait_until_live()
        return server

    yield start
    for server in started:
        server.kill()


def terminate(server: LiveServer) -> float:
    """Ask it to stop, as Kubernetes does; give the time."""
    server.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def wait_until_refused(server: LiveServer) -> None:
    """Wait until nobody listens any more: the stop has begun."""

    def refused() -> bool:
        try:
            with closing(server.connect()) as connection:
                connection.connect()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False

    wait_until(refused, 5, lambda: f"connections are not refused:\n{server.log()}")


def status(server: LiveServer, path: str) -> int:
    return server.ask("GET", path, {}).status


def test_request_under_way_is_finished(start: Callable[..., LiveServer], tmp_path: Path) -> None:
    """It gets its value; meanwhile an open connection reads that the server is not ready, and a new one is refused."""
    server = start()
    with ThreadPoolExecutor(1) as pool, closing(server.connect()) as idle:
        assert send(idle, "GET", "/readyz", {}).status == 200
        held = pool.submit(status, server, f"{API}/held")
        wait_until((tmp_path / "held").exists, 10, "the provider was not asked")
        terminate(server)
        wait_until_refused(server)
        assert send(idle, "GET", "/readyz/shutdown", {}).status == 500
        assert not (tmp_path / "stopped").exists()
        (tmp_path / "release").touch()
        assert held.result(10) == 200
    assert server.process.wait(10) == 0
    assert (tmp_path / "stopped").exists()
    lines = server.log().splitlines()
    # The last of the worker's and the last of the master's are there: nothing was held back.
    assert [line for line in lines if f"path={API}/held code=200" in line]
    assert "Worker exiting" in server.log()
    assert "Shutting down: Master" in lines[-1]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_idle_server_stops_its_provider_and_ends_well(
    start: Callable[..., LiveServer], tmp_path: Path, name: str
) -> None:
    """With each signal that asks for it, and no thread left."""
    server = start()
    server.process.send_signal(signal.Signals[name])
    assert server.process.wait(10) == 0
    assert (tmp_path / "stopped").exists()
    assert "Traceback" not in server.log()
    assert "without waiting" not in server.log()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_call_that_hangs_does_not_hold_the_stop(start: Callable[..., LiveServer], tmp_path: Path, name: str) -> None:
    """The process ends by itself and in time, after the provider was told; no half of an answer is sent."""
    server = start(grace=3)
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(status, server, f"{API}/hung")
        wait_until((tmp_path / "hung").exists, 10, "the provider was not asked")
        begin = time.monotonic()
        server.process.send_signal(signal.Signals[name])
        assert server.process.wait(10) == 0
        took = time.monotonic() - begin
        assert isinstance(hung.exception(10), (OSError, http.client.HTTPException))
    assert took < 3.5
    assert (tmp_path / "stopped").exists()
    assert "the worker ends without waiting for what still runs: request_" in server.log()
    assert "SIGKILL" not in server.log()
    assert "Shutting down: Master" in server.log().splitlines()[-1]


def test_call_that_hangs_in_its_own_slot_is_not_even_noticed(start: Callable[..., LiveServer], tmp_path: Path) -> None:
    """The client has its answer, no thread of the server is held, and the process ends as if nothing were under way."""
    server = start(TEST_OWN_THREADS="1")
    hung = server.ask("GET", f"{API}/hung", {})
    assert (hung.status, hung.json["reason"]) == (504, "Timeout")
    assert hung.json["message"] == "provider slow has not answered within 1.5 s for hung in the namespace default"
    begin = terminate(server)
    assert server.process.wait(10) == 0
    assert time.monotonic() - begin < 8
    assert (tmp_path / "stopped").exists()
    assert "without waiting" not in server.log()


def test_provider_that_hangs_in_stop_is_left_behind(start: Callable[..., LiveServer], tmp_path: Path) -> None:
    """And named, if there is time to; the process still ends by itself."""
    server = start(grace=25, TEST_STOP="hung-stop")
    begin = terminate(server)
    assert server.process.wait(20) == 0
    assert time.monotonic() - begin < 8
    assert "provider slow has not stopped within 2.5 s: it is left behind" in server.log()
    assert not (tmp_path / "stopped").exists()
    assert "SIGKILL" not in server.log()


def test_reload_refuses_nobody(start: Callable[..., LiveServer], tmp_path: Path) -> None:
    """The old worker closes its listener; the next one's is the same, and stays open."""
    server = start()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(status, server, f"{API}/held")
        wait_until((tmp_path / "held").exists, 10, "the provider was not asked")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("Booting worker") == 2, 10, "no new worker")
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert server.ask("GET", "/readyz", {}).status == 200
        (tmp_path / "release").touch()
        assert held.result(10) == 200
    server.stop()


def test_first_line_says_the_mode(start: Callable[..., LiveServer]) -> None:
    """Before gunicorn's own; then what the worker makes of it."""
    server = start()
    server.stop()
    first, second, *rest = server.log().splitlines()
    assert first.endswith(" metrics_apiserver: standalone mode: no --kubeconfig, and not in a cluster")
    assert " gunicorn.error: Starting gunicorn " in second
    assert [line for line in rest if line.endswith(": provider slow: slow of slow-provider 1.0")]


def test_every_line_is_json_where_json_is_asked_for(start: Callable[..., LiveServer]) -> None:
    """gunicorn's, ours and the requests', from the first to the last."""
    server = start("--log-format=json", "-v=2")
    assert server.ask("GET", f"{API}/value", {"Audit-Id": "a-1"}).status == 200
    server.stop()
    lines = [json.loads(line) for line in server.log().splitlines()]
    assert lines[0]["message"].startswith("standalone mode: ")
    assert {line["logger"] for line in lines} >= {"gunicorn.error", "metrics_apiserver", "metrics_apiserver.requests"}
    (request,) = [line for line in lines if line.get("audit_id") == "a-1"]
    assert (request["verb"], request["path"], request["code"], request["user"]) == ("GET", f"{API}/value", 200, "-")
    assert lines[-1]["message"] == "Shutting down: Master"


def test_token_of_a_client_is_nowhere_in_the_log(start: Callable[..., LiveServer]) -> None:
    """At the highest verbosity; also where the request is refused before any application sees it."""
    server = start("-v=10")
    token = {"Authorization": "Bearer s3cr3t-opaque-value"}
    assert server.ask("GET", f"{API}/value?access_token=s3cr3t-opaque-value", token).status == 200
    assert server.ask("GET", f"{API}/value", {"Authorization Bearer s3cr3t-opaque-value x": "y"}).status == 400
    server.stop()
    assert "request headers" in server.log()
    assert "s3cr3t" not in server.log()


def test_embedded_default_in_json_says_what_to_try_in_json(tmp_path: Path) -> None:
    """No line of another form."""
    environ = {"METRICS_APISERVER_LOG_FORMAT": "json", "HOME": os.environ.get("HOME", "/")}
    with LiveServer(tmp_path, environ=environ) as server:
        wait_until(lambda: server.log().count("to try: curl") == 3, 10, "nothing to try")
    assert all(json.loads(line) for line in server.log().splitlines())
