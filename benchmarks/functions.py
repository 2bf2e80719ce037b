"""10,000 metrics as functions at one poll a minute: `python -m benchmarks.functions [--smoke]`.

It needs no control plane. The server is the real one, in a process of its own; each function waits as long as an answer
from a near backend takes.
"""

# ruff: noqa: T201 - a program with output

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.cpu import PROC, cpu_seconds, parse_stat
from benchmarks.errors import BenchmarkError
from benchmarks.figures import significant
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer

__all__ = ["lateness_rows", "main", "measure_functions"]

METRICS = 10_000
WORK = "10,000 functions, a poll a minute"
# (until all were polled once, then how long it is measured), in seconds.
FULL, SMOKE = (75.0, 60.0), (55.0, 10.0)
MOST_MIB, MOST_LATE = 150.0, 1.0
LATENESS = "metrics_apiserver_function_poll_lateness_seconds"
FILE = f"""\
import time
from metrics_apiserver.provider.functions import NAMESPACE_ALL, Metrics, every

metrics = Metrics()

def depth(ctx, namespace, name):
    time.sleep(0.01)
    return {{"": 42, "queue=orders": 30, "queue=mail": 12}}

for number in range({METRICS}):
    metrics.add_metric(NAMESPACE_ALL, f"queue-depth-{{number}}", every(minutes=1), depth)
"""


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.functions", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="half a minute shorter, with fewer polls measured")
    try:
        rows = measure_functions(smoke=parser.parse_args().smoke)
    except (BenchmarkError, TimeoutError) as e:
        print(f"benchmarks: {e}", file=sys.stderr)
        return 1
    for row in rows:
        goal = "" if row["goal"] is None else f"   (goal: at most {row['goal']:g})"
        print(f"{row['measure']:45} {row['ours']:>8,g}{goal}")
    return 0 if all(row["met"] is not False for row in rows) else 1


def measure_functions(*, smoke: bool) -> list[dict[str, Any]]:
    """Serve the metrics, wait until all were polled, and measure; a row for each measure, with nobody beside ours."""
    settle, seconds = SMOKE if smoke else FULL
    with tempfile.TemporaryDirectory(prefix="metrics-apiserver-bench-") as folder:
        file = Path(folder, "many.py")
        file.write_text(FILE, encoding="utf-8")
        with LiveServer(Path(folder), f"--metrics={file}") as server:
            began = time.monotonic()
            wait_until(lambda: _scrape(server)["count"] >= METRICS, 2 * settle, server.log, interval=1.0)
            # The clock of the benchmark, not of a test: the rest of the first minute is not measured.
            time.sleep(max(0.0, began + settle - time.monotonic()))
            before, cpu = _scrape(server), cpu_seconds(server.process.pid)
            time.sleep(seconds)
            after, cpu = _scrape(server), cpu_seconds(server.process.pid) - cpu
            worker = _worker(server.process.pid)
            status = _status(worker)
    polls = after["count"] - before["count"]
    return [
        _row("memory of the worker (RSS), MiB", status["VmRSS"] / 1024, goal=MOST_MIB),
        _row("threads of the worker", status["Threads"]),
        _row("CPU of the server, % of a core", 100 * cpu / seconds),
        _row("polls a second", polls / seconds),
        *lateness_rows(before, after),
    ]


def lateness_rows(before: Mapping[str, float], after: Mapping[str, float]) -> list[dict[str, Any]]:
    """Say how late the polls between two scrapes began: on average, and how many by more than a second."""
    polls = after["count"] - before["count"]
    if not polls:
        raise BenchmarkError("nothing was polled while it was measured")
    late = polls - (after["1.0"] - before["1.0"])
    mean = (after["sum"] - before["sum"]) / polls
    return [
        _row("mean lateness of a poll, ms", 1000 * mean),
        _row("polls more than a tenth of a second late", polls - (after["0.1"] - before["0.1"])),
        _row("polls more than a second late", late, goal=0.0),
    ]


def _row(measure: str, value: float, *, goal: float | None = None) -> dict[str, Any]:
    row = {"work": WORK, "measure": measure, "ours": significant(value), "go": None, "ratio": None, "goal": goal}
    return row | {"met": None if goal is None else value <= goal}


def _scrape(server: LiveServer) -> dict[str, float]:
    """Read the histogram: `sum`, `count`, and each bucket by its bound."""
    found = {"sum": 0.0, "count": 0.0}
    for family in text_string_to_metric_families(server.ask("GET", "/metrics", {}).text):
        if family.name == LATENESS:
            for sample in family.samples:
                found[sample.labels.get("le") or sample.name.removeprefix(f"{LATENESS}_")] = sample.value
    return found


def _worker(root: int) -> int:
    """Find the process that serves: of those below the command, the one that started no other."""
    parents = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = parse_stat(path.read_text(encoding="utf-8")).parent
        except OSError:
            continue  # it has ended meanwhile
    below, found = [root], root
    while below:
        found = below.pop()
        below += [pid for pid, parent in parents.items() if parent == found]
    return found


def _status(pid: int) -> dict[str, float]:
    """Read the numbers of `/proc/PID/status`; memory is in KiB."""
    lines = (PROC / str(pid) / "status").read_text(encoding="utf-8").splitlines()
    fields = (line.split(":", 1) for line in lines)
    return {name: float(rest.split()[0]) for name, rest in fields if name in ("VmRSS", "Threads")}


if __name__ == "__main__":
    sys.exit(main())
