"""The newest Python of this machine that setup.cfg names: `python -m tests.packaging.interpreters` prints its path."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["claimed", "newest"]

ROOT = Path(__file__).parents[2]
# What we run on needs these two to make an environment; Debian packs them separately.
PROBE = (
    "import ensurepip, sys, venv; print(sys.implementation.name, sys.version_info.releaselevel, *sys.version_info[:3])"
)


def claimed() -> list[tuple[int, int]]:
    """Give the versions that setup.cfg's classifiers name, oldest first."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    names = [row.rpartition(" :: ")[2] for row in config["metadata"]["classifiers"].split("\n") if ":: 3." in row]
    return sorted((int(major), int(minor)) for major, _, minor in (name.partition(".") for name in names))


def newest() -> Path:
    """Give the interpreter of the newest version found: on PATH, among pyenv's, or the one that runs this."""
    found = {version: path for path in _candidates() if (version := _version(path))[:2] in claimed()}
    return found[max(found)]


def _candidates() -> Iterator[Path]:
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted((Path.home() / ".pyenv" / "versions").glob("*/bin"))
    for folder in folders:
        for major, minor in claimed():
            if (path := folder / f"python{major}.{minor}").exists():
                yield path
    # Last, so that it stands for its version.
    yield Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"


def _version(path: Path) -> tuple[int, ...]:
    """Give the version of a final release of CPython that can make environments; () for anything else."""
    try:
        probe = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()  # as pyenv's stand-in for a version that is not chosen
    implementation, level, *version = probe.stdout.split()
    return tuple(map(int, version)) if (implementation, level) == ("cpython", "final") else ()


if __name__ == "__main__":
    print(newest())
