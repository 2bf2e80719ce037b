"""`python -m benchmarks [--smoke]`: start everything, measure in turns, report, stop everything."""

# ruff: noqa: T201 - a program with output

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import figures, report
from benchmarks.attacks import MANY_SERIES, crowd, measure_attacks, measure_unread_log
from benchmarks.cluster import make_pods, make_token
from benchmarks.cpu import cpu_seconds
from benchmarks.errors import BenchmarkError
from benchmarks.faults import measure_faults
from benchmarks.fetch import ensure_wrk
from benchmarks.figures import Sample
from benchmarks.functions import measure_functions
from benchmarks.peers import Peer, go_adapter, ours
from benchmarks.works import WORKS, Work, values_of
from benchmarks.wrk import Wrk
from tests.controlplane.build import BuildError, ensure_binaries, ensure_test_adapter
from tests.controlplane.plane import ControlPlane
from tests.controlplane.process import ProcessError

__all__ = ["main"]


@dataclass(frozen=True)
class Plan:
    """How long it takes: so many rounds, each of so many seconds a peer and work."""

    name: str
    rounds: int
    seconds: int
    warm_up: int
    attack_rounds: int


FULL = Plan("full", rounds=7, seconds=5, warm_up=2, attack_rounds=3)
SMOKE = Plan("smoke", rounds=2, seconds=2, warm_up=1, attack_rounds=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="short: shows that it works, and roughly where we are")
    plan = SMOKE if parser.parse_args(arguments).smoke else FULL
    # SIGTERM does as Ctrl-C does: what we started is stopped in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(plan)
    except (BenchmarkError, BuildError, ProcessError, TimeoutError, subprocess.SubprocessError) as e:
        print(f"benchmarks: {e}", *getattr(e, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _run(plan: Plan) -> None:
    """Build, start, measure, report."""
    binaries, adapter, wrk = ensure_binaries(), ensure_test_adapter(), ensure_wrk()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="metrics-apiserver-bench-")))
        plane = stack.enter_context(ControlPlane.start(folder / "plane", binaries=binaries))
        _say("The control plane is ready; making the pods and starting both servers.")
        make_pods(plane)
        token = make_token(plane)
        peers = [
            stack.enter_context(ours(plane, _made(folder / "ours"), token)),
            stack.enter_context(go_adapter(plane, _made(folder / "go"), adapter, token)),
        ]
        load_average = os.getloadavg()[0]
        rows = [row for work in WORKS for row in _measure(work, peers, wrk, token, plan)]
        _say("Attacking both.")
        attacked = stack.enter_context(ours(plane, _made(folder / "attacked"), token, series=MANY_SERIES))
        rows += measure_attacks([attacked, peers[1]], token, WORKS[0].path, rounds=plan.attack_rounds)
    _say("Leaving the log unread, without a control plane.")
    rows += measure_unread_log()
    _say("Polling 10,000 functions, without a control plane.")
    rows += measure_functions(smoke=plan is SMOKE)
    _say("Breaking one of two providers.")
    rows += measure_faults(wrk, smoke=plan is SMOKE)
    versions = {"kubernetes": binaries.version, "custom-metrics-apiserver": adapter.parent.name, "wrk": wrk.version}
    machine, notes = report.machine(versions), _notes(plan, load_average)
    report.write(machine, notes, rows)
    print(report.table(rows))
    print(*(f"- {note}" for note in notes), f"Written to {report.FILE}.", sep="\n")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _measure(work: Work, peers: Sequence[Peer], wrk: Wrk, token: str, plan: Plan) -> list[dict[str, Any]]:
    """Let the peers take turns, so that what else the machine does meets both."""
    with contextlib.ExitStack() as stack:
        if work.crowded:
            for peer in peers:
                stack.enter_context(crowd(peer, token, work.path))
        return _take_turns(work, peers, wrk, token, plan)


def _take_turns(work: Work, peers: Sequence[Peer], wrk: Wrk, token: str, plan: Plan) -> list[dict[str, Any]]:
    _check_answers(work, peers, token)
    samples: dict[str, list[Sample]] = {peer.name: [] for peer in peers}
    for peer in peers:
        _sample(work, peer, wrk, token, plan.warm_up)
    for number in range(1, plan.rounds + 1):
        for peer in peers:
            sample = _sample(work, peer, wrk, token, plan.seconds * work.time_factor)
            samples[peer.name].append(sample)
            _say(f"{work.name}, round {number} of {plan.rounds}: {peer.name} {sample.requests_per_second:,.0f}/s")
    return figures.rows(work.name, *samples.values())


def _check_answers(work: Work, peers: Sequence[Peer], token: str) -> None:
    """Raise BenchmarkError unless the peers answer the same values, and as many as there are."""
    answers = []
    for peer in peers:
        status, document = peer.get(work.path, token)
        if status != 200:
            raise BenchmarkError(f"{peer.name} answers {work.path} with {status}: {document}")
        answers.append(values_of(document))
    if any(len(answer) != work.items for answer in answers) or answers[0] != answers[1]:
        raise BenchmarkError(f"the answers to {work.path} differ: {[answer[:3] for answer in answers]} and so on")


def _sample(work: Work, peer: Peer, wrk: Wrk, token: str, seconds: int) -> Sample:
    before = cpu_seconds(peer.pid)
    # What an autoscaler asks for; no Accept-Encoding, since Go would compress and we do not.
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, */*", "User-Agent": "benchmark"}
    load = wrk.load(peer.url + work.path, headers, connections=work.connections, seconds=seconds)
    cpu_us = (cpu_seconds(peer.pid) - before) / load.requests * 1e6
    return Sample(load.requests_per_second, cpu_us, load.p50_ms, load.p99_ms)


def _notes(plan: Plan, load_average: float) -> list[str]:
    return [
        f"{plan.name} run: {plan.rounds} rounds of {plan.seconds} s a peer (selector reads twice that), in turns; "
        "medians over the rounds, ratio is the median of the rounds' ratios",
        "wrk and the control plane share the cores with the server that is measured: compare ratios only; the load "
        f"average when the rounds began was {load_average:.1f}",
        "both authenticate and authorize each request, from their caches",
        "the limits of the Go adapter's client are lifted by --client-qps and --client-burst",
        "CPU per request counts what a server does for requests that were still under way when a round ended",
    ]


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
