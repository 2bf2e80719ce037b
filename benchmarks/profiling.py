"""`python -m benchmarks.profiling`: where our server's time goes, below the socket, as cProfile sees it.

The application is called in this process, in cluster mode, so that only gunicorn and TLS are missing. The profiler
makes calls dearer than they are: the CPU time per request is taken without it.
"""

# ruff: noqa: T201 - a program with output

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from werkzeug.test import Client, create_environ

from benchmarks.cluster import NAMESPACE, POD_NAMES, make_pods
from benchmarks.works import METRIC, WORKS, Work
from metrics_apiserver.configuration import settings_from
from metrics_apiserver.factory import create_app
from metrics_apiserver.server import MetricsServer
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until

__all__ = ["main"]

SECONDS = 3.0
TOP = 25


def main() -> int:
    """Profile each kind of read; return the exit code."""
    with (
        tempfile.TemporaryDirectory(prefix="metrics-apiserver-profile-") as folder,
        ControlPlane.start(Path(folder)) as plane,
    ):
        make_pods(plane)
        environ = {"METRICS_APISERVER_KUBECONFIG": str(plane.kubeconfig), "METRICS_APISERVER_PROVIDER": "writable"}
        server = create_app(settings_from(environ))
        server.start()
        try:
            _write_values(server)
            for work in WORKS:
                _profile(work, server)
        finally:
            server.stop()
    return 0


def _write_values(server: MetricsServer) -> None:
    client = Client(server)
    wait_until(lambda: client.get("/readyz").status_code == 200, 30, "the server is not ready")
    for number, name in enumerate(POD_NAMES):
        path = f"/write-metrics/namespaces/{NAMESPACE}/pods/{name}/{METRIC}"
        response = client.post(path, data=json.dumps(f"{100 + number}m"), environ_overrides={"RAW_URI": path})
        assert response.status_code == 200, response.text


def _profile(work: Work, server: MetricsServer) -> None:
    ask = _asker(work, server)
    assert len(json.loads(ask())["items"]) == work.items
    count, cpu = _repeat(ask)
    print(f"\n== {work.name}: {cpu / count * 1e6:,.0f} us of CPU a request, without the profiler ==")
    profile = cProfile.Profile()
    count, _ = profile.runcall(_repeat, ask)
    print(f"{count} requests")
    pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(TOP)


def _repeat(ask: Callable[[], bytes]) -> tuple[int, float]:
    """Ask again and again for a while; return how often, and the CPU time of this thread."""
    end, cpu = time.monotonic() + SECONDS, time.thread_time()
    count = 0
    while time.monotonic() < end:
        ask()
        count += 1
    return count, time.thread_time() - cpu


def _asker(work: Work, server: MetricsServer) -> Callable[[], bytes]:
    """Give a function that calls the application as gunicorn does."""
    template = create_environ(work.path, headers={"Accept": "application/json, */*", "User-Agent": "benchmark"})
    template["RAW_URI"] = work.path

    def ask() -> bytes:
        body = server(dict(template), lambda *_: lambda _data: None)
        try:
            return b"".join(body)
        finally:
            if close := getattr(body, "close", None):
                close()

    return ask


if __name__ == "__main__":
    sys.exit(main())
