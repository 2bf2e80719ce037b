"""What the benchmark of functions computes from what it scraped."""

from __future__ import annotations

import pytest

from benchmarks import report
from benchmarks.errors import BenchmarkError
from benchmarks.functions import lateness_rows

BEFORE = {"sum": 1.0, "count": 100.0, "0.1": 90.0, "1.0": 98.0}


def test_lateness_is_of_the_polls_between_two_scrapes() -> None:
    """What came before was the start, and is not measured."""
    rows = lateness_rows(BEFORE, {"sum": 3.0, "count": 300.0, "0.1": 289.0, "1.0": 297.0})
    assert [(row["measure"], row["ours"], row["met"]) for row in rows] == [
        ("mean lateness of a poll, ms", 10, None),
        ("polls more than a tenth of a second late", 1, None),
        ("polls more than a second late", 1, False),
    ]
    lines = report.table(rows).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["10", "1", "1"]


def test_nothing_polled_is_no_good_result() -> None:
    with pytest.raises(BenchmarkError, match="nothing was polled"):
        lateness_rows(BEFORE, BEFORE)
