"""How long a new connection waits for its answer while others hold the server up, and reads beside a crowd."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import ratio, significant
from benchmarks.peers import Peer
from tests.live.server import LiveServer
from tests.serving.attacks import ATTACKS, Attack, Target, UnreadLog, under_attack

__all__ = ["MANY_SERIES", "crowd", "measure_attacks", "measure_unread_log"]

PROBES = 40
# With the pods' values they are as many as the writable provider holds.
MANY_SERIES = 98_000
# The probe of a kubelet, which also has a new connection each time.
PROBE = "/livez"
# Beyond the deadlines of either peer an attack is over.
_MOST_SECONDS = 4.0
# Of three thousand bytes each, which is more than the log keeps; and how many `UnreadLog.requests` makes.
_LOGGED_REQUESTS = 2000
_REQUESTS_AT_ONCE = 50


def measure_attacks(peers: Sequence[Peer], token: str, path: str, *, rounds: int) -> list[dict[str, Any]]:
    """Attack the peers in turns, and return two rows for each attack: the median probe, and the slowest."""
    made = []
    for attack in (None, *ATTACKS):
        medians: dict[str, list[float]] = {peer.name: [] for peer in peers}
        slowest: dict[str, list[float]] = {peer.name: [] for peer in peers}
        for _ in range(rounds):
            for peer in peers:
                taken = _probe_under(peer, attack, path, token)
                medians[peer.name].append(statistics.median(taken))
                slowest[peer.name].append(max(taken))
        work = f"probe under {attack.count} × {attack.name}" if attack else "probe in peace"
        for measure, samples in (("median probe, ms", medians), ("slowest probe, ms", slowest)):
            ours, go = samples.values()
            row = {"work": work, "measure": measure, "ratio": significant(ratio(ours, go)), "goal": None, "met": None}
            figures = {"ours": significant(statistics.median(ours)), "go": significant(statistics.median(go))}
            made.append({**row, **figures})
    return made


def _probe_under(peer: Peer, attack: Attack | None, path: str, token: str) -> list[float]:
    target = Target(peer.port, str(peer.ca_file), path, (f"Authorization: Bearer {token}",))
    with under_attack(target, attack) if attack else contextlib.nullcontext():
        began = time.monotonic()
        taken: list[float] = []
        # A peer that is held up is not probed for longer than the attack lasts.
        while len(taken) < PROBES and (not taken or time.monotonic() - began < _MOST_SECONDS):
            start = time.monotonic()
            with contextlib.suppress(OSError):
                peer.get(PROBE, token="")
            taken.append((time.monotonic() - start) * 1000)
    return taken


def measure_unread_log() -> list[dict[str, Any]]:
    """Probe our server while nobody reads its log, which is full; the Go side has no such row."""
    taken = []
    with tempfile.TemporaryDirectory(prefix="metrics-apiserver-log-") as folder, UnreadLog() as log:
        server = LiveServer(Path(folder), "-v=8", stderr=log.into)
        try:
            server.wait_until_live()
            _fill(Target(server.port, str(server.ca_file), "/version"))
            for _ in range(PROBES):
                start = time.monotonic()
                server.ask("GET", PROBE, {"Connection": "close"})
                taken.append((time.monotonic() - start) * 1000)
        finally:
            server.kill()
    row = {"work": "probe while nobody reads the log", "go": None, "ratio": None, "goal": None, "met": None}
    measures = (("median probe, ms", statistics.median(taken)), ("slowest probe, ms", max(taken)))
    return [{**row, "measure": measure, "ours": significant(figure)} for measure, figure in measures]


def _fill(target: Target) -> None:
    """Ask until more lines are written than wait for a reader."""
    answers = 0
    with target.connect() as client:
        while answers < _LOGGED_REQUESTS:
            client.sendall(UnreadLog.requests(target))
            received = b""
            while received.count(b"HTTP/1.1 200 OK\r\n") < _REQUESTS_AT_ONCE or not received.endswith(b"}\n"):
                received += client.recv(1 << 16)
            answers += _REQUESTS_AT_ONCE


@contextlib.contextmanager
def crowd(peer: Peer, token: str, path: str) -> Iterator[None]:
    """Hold 1,000 connections open that have been answered, and 100 that drip a head for ever."""
    target = Target(peer.port, str(peer.ca_file), path, (f"Authorization: Bearer {token}",))
    named = {attack.name: attack for attack in ATTACKS}
    idle, dripping = named["idle connections"], named["a head in drips"]
    with (
        under_attack(target, Attack(idle.name, idle.begin, 1000)),
        under_attack(target, Attack(dripping.name, dripping.begin, 100, dripping.drip), again=True),
    ):
        yield
