"""From samples to rows: medians over rounds, and ratios between the peers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.errors import BenchmarkError

__all__ = ["MEASURES", "Sample", "ratio", "rows", "significant"]

# What a row calls it → the field of a sample. More is better for the first only.
MEASURES = {
    "requests per second": "requests_per_second",
    "CPU per request, us": "cpu_us",
    "p50 latency, ms": "p50_ms",
    "p99 latency, ms": "p99_ms",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round says of one peer."""

    requests_per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def ratio(ours: Sequence[float], go: Sequence[float]) -> float:
    """Give ours ÷ Go: the median over the pairs of a round, as the two of a pair saw the machine equally busy."""
    if not ours or len(ours) != len(go):
        raise BenchmarkError(f"{len(ours)} samples of ours and {len(go)} of Go's make no pairs")
    if not all(go):
        raise BenchmarkError("a sample of Go's is 0: the round was too short to measure")
    return statistics.median(own / other for own, other in zip(ours, go, strict=True))


def rows(work: str, ours: Sequence[Sample], go: Sequence[Sample]) -> list[dict[str, Any]]:
    """Make the rows of one kind of work; the samples are in the order of the rounds."""
    made = []
    for measure, field in MEASURES.items():
        own = [getattr(sample, field) for sample in ours]
        other = [getattr(sample, field) for sample in go]
        row = {
            "work": work,
            "measure": measure,
            "ours": significant(statistics.median(own)),
            "go": significant(statistics.median(other)),
            "ratio": significant(ratio(own, other)),
        }
        # Until there is a goal.
        made.append(row | {"goal": None, "met": None})
    return made


def significant(value: float) -> float:
    """Keep three digits, as no more of them would be the same in another run."""
    return float(f"{value:.3g}")
