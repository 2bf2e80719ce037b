"""The results: a file for programs, a table for people."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["FILE", "machine", "table", "write"]

FILE = Path(__file__).parent / "results" / "latest.json"


def machine(versions: Mapping[str, str]) -> dict[str, Any]:
    """Describe where and with what it was measured, without names."""
    own = {name: version(name) for name in ("metrics-apiserver", "gunicorn", "flask")}
    return {
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "versions": {**own, **versions},
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def write(
    machine: Mapping[str, Any], notes: Sequence[str], rows: Sequence[Mapping[str, Any]], *, path: Path = FILE
) -> None:
    """Replace the file of the last run."""
    document = {"machine": machine, "notes": notes, "rows": rows}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay the rows out in columns."""
    cells = [("work", "measure", "ours", "Go", "ours ÷ Go")]
    for row in rows:
        cells.append((row["work"], row["measure"], *(_number(row[key]) for key in ("ours", "go", "ratio"))))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = []
    for line in cells:
        left = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True)]
        lines.append("  ".join([*left, *right]))
    return "\n".join(lines)


def _number(value: float | None) -> str:
    """Write a number; what the Go reference has nothing like stays empty."""
    return "" if value is None else f"{value:,g}"
