"""`metrics-apiserver check`: what a file would serve, without a server."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.live.server import COMMAND

FILE = """
from metrics_apiserver.provider.functions import Metrics, every

metrics = Metrics()

@metrics.external("queue-depth", trigger=every(seconds=60))
def depth(ctx, namespace, name):
    return {"": 42, "queue=orders": 30}

@metrics.external("by-queue")
def by_queue():
    return {"queue=orders": 30, "queue=mail": 12}

@metrics.external("broken")
def broken():
    raise ConnectionError("the broker said no")

@metrics.custom("pods", "open-sessions")
def open_sessions(ctx, objects):
    return {each.name: 7 for each in objects}

@metrics.custom("nodes", "heat")
def heat(ctx, objects):
    return {}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), "check", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_each_function_is_called_and_its_values_are_printed(tmp_path: Path) -> None:
    (tmp_path / "queues.py").write_text(FILE, encoding="utf-8")
    done = run(tmp_path, "queues.py")
    rows = [re.split(r" {3,}", line) for line in done.stdout.splitlines()]
    assert rows[0] == ["METRIC", "OF", "VALUE"]
    found = {tuple(row) for row in rows[1:]}
    assert ("external queue-depth", "the sum", "42") in found
    assert ("external by-queue", "queue=orders", "30") in found
    assert ("external by-queue", "queue=mail", "12") in found
    assert {("pods/open-sessions", name, "7") for name in ("web-0", "web-1", "db-0")} <= found
    assert ("nodes/heat", "no value") in found
    (failed,) = [line for line in done.stdout.splitlines() if line.startswith("external broken")]
    assert "error: provider queues raised ConnectionError for broken" in failed
    # Beside it, on stderr, what it raised: it is the author's own terminal.
    assert "the broker said no" in done.stderr
    assert done.returncode == 1


def test_file_whose_functions_work_ends_well(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: mine, namespace: shop}}", encoding="utf-8"
    )
    text = FILE.partition('@metrics.external("broken")')[0] + FILE.partition("ConnectionError")[2].partition("\n\n")[2]
    (tmp_path / "queues.py").write_text(text, encoding="utf-8")
    done = run(tmp_path, "queues.py", "-n", "shop", "--objects", "own.yaml")
    assert done.returncode == 0, done.stderr
    assert ["pods/open-sessions", "mine", "7"] in [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(None, "nowhere.py cannot be read", id="no file"),
        pytest.param("1 / 0", "nowhere.py, line 1: ZeroDivisionError", id="it raises"),
        pytest.param("def", "nowhere.py, line 1: SyntaxError", id="it is not Python"),
    ],
)
def test_file_that_cannot_be_served_says_why(tmp_path: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        (tmp_path / "nowhere.py").write_text(text, encoding="utf-8")
    done = run(tmp_path, "nowhere.py")
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
