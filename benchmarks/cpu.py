"""The CPU time of a server: of its process, of those that it started, and of those of them that have ended (Linux)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Stat", "cpu_seconds", "parse_stat", "tree_ticks"]

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Stat:
    """What we need of `/proc/PID/stat`."""

    parent: int
    ticks: int
    """User and system time, the process's own and that of its children which ended."""


def parse_stat(text: str) -> Stat:
    """Read `/proc/PID/stat`; the program's name may hold spaces and brackets, so count from the last bracket."""
    # After the name comes field 3 (man proc_pid_stat): ppid is field 4; utime, stime, cutime, cstime are 14 to 17.
    rest = text.rpartition(")")[2].split()
    return Stat(parent=int(rest[1]), ticks=sum(int(field) for field in rest[11:15]))


def tree_ticks(root: int, stats: Mapping[int, Stat]) -> int:
    """Add up a process and all below it."""
    own = stats[root].ticks
    return own + sum(tree_ticks(pid, stats) for pid, stat in stats.items() if stat.parent == root)


def cpu_seconds(root: int) -> float:
    """Give the CPU time that a process and all below it took since they started."""
    return tree_ticks(root, _all_stats()) / os.sysconf("SC_CLK_TCK")


def _all_stats() -> dict[int, Stat]:
    stats = {}
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            try:
                stats[int(folder.name)] = parse_stat((folder / "stat").read_text(errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                # It ended meanwhile.
                continue
    return stats
