"""What the benchmarks compute from what they measured; how fast anything is, is no test."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.cpu import Stat, cpu_seconds, parse_stat, tree_ticks
from benchmarks.errors import BenchmarkError
from benchmarks.fetch import ensure_wrk, library_packages
from benchmarks.figures import Sample, ratio, rows
from benchmarks.works import values_of
from benchmarks.wrk import Load, parse_output
from tests.controlplane.build import ensure_test_adapter

WRK_OUTPUT = """\
Running 5s test @ https://127.0.0.1:10443/apis
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.37ms    3.43ms  40.18ms   91.20%
    Req/Sec     9.12k     1.02k   10.50k    80.00%
  Latency Distribution
     50%    1.31ms
     75%    2.02ms
     90%    5.60ms
     99%   16.04ms
  45600 requests in 5.02s, 24.51MB read
Requests/sec:   9083.67
Transfer/sec:      4.88MB
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("", "", Load(45600, 9083.67, 1.31, 16.04), id="milliseconds"),
        pytest.param("1.31ms", "850.00us", Load(45600, 9083.67, 0.85, 16.04), id="microseconds"),
        pytest.param("16.04ms", "1.25s", Load(45600, 9083.67, 1.31, 1250), id="seconds"),
        pytest.param("16.04ms", "1.50m", Load(45600, 9083.67, 1.31, 90_000), id="minutes"),
    ],
)
def test_output_of_wrk_is_read(old: str, new: str, expected: Load) -> None:
    """Latencies come in the unit that suits them, and leave in milliseconds."""
    load = parse_output(WRK_OUTPUT.replace(old, new))
    assert (load.requests, load.requests_per_second) == (expected.requests, expected.requests_per_second)
    assert (load.p50_ms, load.p99_ms) == pytest.approx((expected.p50_ms, expected.p99_ms))


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        pytest.param(WRK_OUTPUT + "  Non-2xx or 3xx responses: 7\n", "Non-2xx or 3xx responses: 7", id="refused"),
        pytest.param(
            WRK_OUTPUT + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
            "Socket errors: .* read 3",
            id="socket",
        ),
        pytest.param(WRK_OUTPUT.replace("45600", "0"), "no request was answered", id="nothing answered"),
        pytest.param(WRK_OUTPUT.replace("1.31ms", "-nan"), "'-nan', which is not a time", id="no time"),
        pytest.param("unable to connect", "wrk's output has no", id="something else"),
    ],
)
def test_output_with_failures_is_no_sample(output: str, problem: str) -> None:
    """A fast refusal must not look like a fast answer."""
    with pytest.raises(BenchmarkError, match=problem):
        parse_output(output)


@pytest.mark.parametrize(
    ("ours", "go", "expected"),
    [
        pytest.param([2.0], [4.0], 0.5, id="one round"),
        # The medians are 20 and 100: their ratio would be the machine's mood in two different rounds.
        pytest.param([10.0, 20.0, 90.0], [100.0, 50.0, 180.0], 0.4, id="median of the pairs"),
        pytest.param([1.0, 3.0], [1.0, 1.0], 2.0, id="an even number"),
    ],
)
def test_ratio_is_the_median_of_the_rounds(ours: list[float], go: list[float], expected: float) -> None:
    """What both peers suffered in a round cancels out."""
    assert ratio(ours, go) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ours", "go"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0])], ids=["nothing", "no pairs", "zero"]
)
def test_no_ratio_without_pairs(ours: list[float], go: list[float]) -> None:
    """There is no figure to make up."""
    with pytest.raises(BenchmarkError):
        ratio(ours, go)


def test_rows_have_medians_a_ratio_and_no_goal() -> None:
    """One row for each measure, in the form that programs read."""
    ours = [Sample(1000, 500, 8, 20), Sample(1234.5, 400, 9, 30), Sample(3000, 300, 7, 10)]
    go = [Sample(4000, 100, 1, 40), Sample(5000, 100, 2, 15), Sample(6000, 100, 3, 10)]
    made = rows("single read", ours, go)
    assert made[0] == {
        "work": "single read",
        "measure": "requests per second",
        "ours": 1230.0,
        "go": 5000.0,
        "ratio": 0.25,
        "goal": None,
        "met": None,
    }
    assert [(row["measure"], row["ours"], row["go"], row["ratio"]) for row in made[1:]] == [
        ("CPU per request, us", 400, 100, 4),
        ("p50 latency, ms", 8, 2, 4.5),
        ("p99 latency, ms", 20, 15, 1),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("gunicorn", Stat(7, 100)), ("a) S 1 (b", Stat(7, 100))],
    ids=["plain", "a name with brackets and spaces"],
)
def test_a_process_is_read_from_proc(name: str, expected: Stat) -> None:
    """Parent; user and system time, of itself and of its ended children."""
    line = f"42 ({name}) S 7 42 42 0 -1 4194560 900 800 0 0 10 20 30 40 20 0 9 0 123 456 789\n"
    assert parse_stat(line) == expected


def test_cpu_time_is_of_the_whole_tree() -> None:
    """Workers below the master count, whoever else runs does not."""
    stats = {1: Stat(0, 1000), 10: Stat(1, 1), 11: Stat(10, 20), 12: Stat(11, 300), 20: Stat(1, 4000)}
    assert tree_ticks(10, stats) == 321


def test_cpu_time_of_this_process() -> None:
    """The real files have the form that we read."""
    own = time.process_time()
    assert cpu_seconds(os.getpid()) >= own - 0.1


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        pytest.param(
            "wrk\n  Depends: libc6\n |Depends: libluajit-5.1-2\n  Depends: libluajit2-5.1-2\n  Depends: libssl3\n",
            ["libluajit-5.1-2", "libssl3"],
            id="of alternatives the first",
        ),
        pytest.param("wrk\n  Depends: <virtual>\n    real\n  Suggests: other\n", [], id="nothing else"),
    ],
)
def test_packages_that_wrk_needs(printed: str, expected: list[str]) -> None:
    """The machine's own libc stays."""
    assert library_packages(printed) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"describedObject": {"name": "pod-0"}, "metric": {"name": "m"}, "value": "1"}, ("pod-0", "1")),
        ({"metricName": "m", "metricLabels": {}, "value": "42"}, ("m", "42")),
    ],
    ids=["custom", "external"],
)
def test_answers_are_compared_by_their_values(item: dict[str, Any], expected: tuple[str, str]) -> None:
    """Times differ between peers, values may not."""
    assert values_of({"items": [item]}) == [expected]


def test_report_is_a_file_and_a_table(tmp_path: Path) -> None:
    """The file holds what programs expect; the table has one line for each row."""
    made = rows("single read", [Sample(1000, 500, 8, 20)], [Sample(4000, 100, 1, 40)])
    file = tmp_path / "latest.json"
    report.write(report.machine({"wrk": "4.1"}), ["a note"], made, path=file)
    document = json.loads(file.read_text())
    assert document["rows"] == made
    assert document["notes"] == ["a note"]
    assert {"cores", "python", "versions", "date"} <= document["machine"].keys()
    lines = report.table(made).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["0.25", "5", "8", "0.5"]


def test_the_adapter_is_cached_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What go.mod pins names the folder, beside those of the control plane; what is there is not built again."""
    monkeypatch.setenv("METRICS_APISERVER_CACHE", str(tmp_path))
    program = tmp_path / "test-adapter" / "v1.36.0" / "test-adapter"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    assert ensure_test_adapter() == program


def test_without_wrk_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without apt and without wrk gets a sentence to act on, and no half cache."""
    monkeypatch.setenv("METRICS_APISERVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchmarkError, match="wrk is missing: as root, run `apt-get install wrk`"):
        ensure_wrk()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_wrk_on_the_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no Debian packages, one that the user has is taken."""
    monkeypatch.setenv("METRICS_APISERVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    own = tmp_path / "wrk"
    # As the real one does it.
    own.write_text("#!/bin/sh\necho 'wrk 4.2.0 [epoll]'\nexit 1\n")
    own.chmod(0o755)
    found = ensure_wrk()
    assert (found.program, found.version) == (own, "4.2.0")
