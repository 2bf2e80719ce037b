"""One provider's reads while another is broken: `python -m benchmarks.faults [--smoke]`. It needs no control plane.

Both providers are of an author's own, so that every read goes through a thread and the provider's slots.
"""

# ruff: noqa: T201 - a program with output

from __future__ import annotations

import argparse
import contextlib
import http.client
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.fetch import ensure_wrk
from benchmarks.figures import significant
from benchmarks.wrk import Wrk
from tests.live.server import LiveServer, send

__all__ = ["main", "measure_faults", "providers_module"]

API = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
FAULTS = {
    "hangs": "threading.Event().wait()",
    "is slow": "time.sleep(1); return [value(7)]",
    "raises": "raise RuntimeError('broken')",
    "has nothing": "return []",
    "gives NaN": "return [value(float('nan'))]",
    "gives old samples": "return [OLD]",
    "gives doubles": "return [value(7), value(7)]",
    "gives the wrong type": "return 7",
    "gives 100,000 items": "return HUGE",
    "flaps": "if next(COUNT) % 2: raise RuntimeError('broken')\n        return [value(7)]",
}
PROVIDER = """
import datetime, itertools, threading, time
from metrics_apiserver.provider import ExternalMetricsProvider, ExternalMetricValue, Quantity

COUNT = itertools.count()
NOW = datetime.datetime.now(datetime.UTC)

def value(number, **labels):
    return ExternalMetricValue("m", datetime.datetime.now(datetime.UTC), Quantity.of(number), labels)

OLD = ExternalMetricValue("m", NOW - datetime.timedelta(days=1), Quantity.of(7), {})
HUGE = [ExternalMetricValue("m", NOW, Quantity.of(n), {"n": str(n)}) for n in range(100_000)]

class Good(ExternalMetricsProvider):
    def get_external_metric(self, ctx, namespace, metric_selector, info):
        return [value(7)]

class Broken(ExternalMetricsProvider):
    def get_external_metric(self, ctx, namespace, metric_selector, info):
        return getattr(self, info.metric.removeprefix("broken-").replace("-", "_"))()
"""
CONFIG = """
providers:
  - {name: broken, kind: broken, match: {metrics: ["broken-*"]}, onNotFound: stop, maxAge: 1h}
  - {name: good, kind: good}
"""
# Who reads the broken one: so many clients, each with so many seconds between two reads.
CLIENTS, PAUSE_SECONDS = 4, 0.2
CONNECTIONS = 4
GOAL = 2.0


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one short round of each")
    try:
        rows = measure_faults(ensure_wrk(), smoke=parser.parse_args().smoke)
    except (BenchmarkError, TimeoutError) as e:
        print(f"benchmarks: {e}", file=sys.stderr)
        return 1
    for row in rows:
        print(f"{row['work']}: {row['measure']} {row['ours']:g}   (goal: at most {row['goal']:g})")
    return 0


def measure_faults(wrk: Wrk, *, smoke: bool) -> list[dict[str, Any]]:
    """Give a row for each fault: the good one's p99, in quiet ones of the same round."""
    rounds, seconds = (1, 2) if smoke else (5, 4)
    rows = []
    for fault in FAULTS:
        # A server for each: an open breaker, or slots that hang, would keep the next fault from being asked.
        with tempfile.TemporaryDirectory(prefix="metrics-apiserver-faults-") as name, _server(Path(name)) as server:
            wrk.load(f"{server.url}{API}/good", {}, connections=CONNECTIONS, seconds=1)
            rows.append(_row(server, wrk, fault, rounds=rounds, seconds=seconds))
    return rows


def _row(server: LiveServer, wrk: Wrk, fault: str, *, rounds: int, seconds: int) -> dict[str, Any]:
    ratios = []
    for _ in range(rounds):
        quiet = wrk.load(f"{server.url}{API}/good", {}, connections=CONNECTIONS, seconds=seconds)
        with _reading(server, f"{API}/broken-{_method(fault).replace('_', '-')}"):
            troubled = wrk.load(f"{server.url}{API}/good", {}, connections=CONNECTIONS, seconds=seconds)
        ratios.append(troubled.p99_ms / quiet.p99_ms)
    found = significant(statistics.median(ratios))
    row = {"work": f"reads beside a provider that {fault}", "measure": "p99, in quiet ones", "ours": found}
    return row | {"go": None, "ratio": None, "goal": GOAL, "met": found <= GOAL}


def providers_module() -> str:
    """Write the module of both providers: the broken one has a method for each fault."""
    methods = [f"    def {_method(fault)}(self):\n        {does}\n" for fault, does in FAULTS.items()]
    return "\n".join([PROVIDER, *methods])


def _method(fault: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in fault)


@contextlib.contextmanager
def _reading(server: LiveServer, path: str) -> Iterator[None]:
    """Read the broken provider all the time, as a few autoscalers would."""
    stop = threading.Event()

    def read() -> None:
        connection = server.connect()
        with contextlib.closing(connection):
            while not stop.wait(PAUSE_SECONDS):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    send(connection, "GET", path, {})

    threads = [threading.Thread(target=read, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[LiveServer]:
    """Start the server with both providers, which are installed in the folder."""
    metadata = folder / "faults-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: faults\nVersion: 1.0\n", encoding="utf-8")
    entry_points = (
        "[metrics_apiserver.providers]\ngood = faults_of_benchmark:Good\nbroken = faults_of_benchmark:Broken\n"
    )
    (metadata / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    (folder / "faults_of_benchmark.py").write_text(providers_module(), encoding="utf-8")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    server = LiveServer(folder, f"--config={folder / 'config.yaml'}", environ={"PYTHONPATH": str(folder)})
    try:
        server.wait_until_live()
        yield server
    finally:
        # Its log is full of what a broken provider raises, and that is no reason to fail here.
        server.kill()


if __name__ == "__main__":
    sys.exit(main())
