"""Where wrk comes from: Debian's packages, unpacked into the cache folder; no root is needed. Else the PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.wrk import Wrk
from tests.controlplane.build import cache_folder

__all__ = ["ensure_wrk", "library_packages"]

TIMEOUT = 120
# What every Debian has: another libc than the machine's own would not even start.
_ALWAYS_THERE = {"libc6", "libgcc-s1"}


def ensure_wrk() -> Wrk:
    """Return the wrk of the cache, and fill the cache first if it is empty. Raises BenchmarkError."""
    root = cache_folder() / "wrk"
    if not (root / "usr" / "bin" / "wrk").exists():
        try:
            _fetch(root)
        except (BenchmarkError, OSError, subprocess.TimeoutExpired) as e:
            if (own := shutil.which("wrk")) is not None:
                return Wrk(Path(own))
            raise BenchmarkError(
                "The load generator wrk is missing: as root, run `apt-get install wrk`. It was tried without root, by "
                f"`apt-get download`, which needs the lists that `apt-get update` makes as root; it said: {e}"
            ) from e
    libraries = next((path.parent for path in root.glob("usr/lib/*/libluajit*")), None)
    return Wrk(root / "usr" / "bin" / "wrk", libraries)


def library_packages(depends: str) -> list[str]:
    """Read the packages that wrk needs from what `apt-cache depends` prints; of alternatives the first."""
    packages, chosen = [], False
    for line in depends.splitlines():
        found = re.match(r"\s*(\|?)Depends: ([^<\s]+)$", line)
        if found is None:
            continue
        if not chosen and found[2] not in _ALWAYS_THERE:
            packages.append(found[2])
        # A bar says that the next line is another way to fulfil this one.
        chosen = bool(found[1])
    return packages


def _fetch(root: Path) -> None:
    """Download and unpack beside the final folder, so that it appears there only when it is whole."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".wrk-", dir=root.parent) as scratch:
        packages = ["wrk", *library_packages(_run(["apt-cache", "depends", "wrk"], Path(scratch)))]
        print(f"Downloading {', '.join(packages)} from Debian into {root}.", file=sys.stderr, flush=True)  # noqa: T201 - it takes time
        _run(["apt-get", "download", *packages], Path(scratch))
        unpacked = Path(scratch) / "root"
        for package in sorted(Path(scratch).glob("*.deb")):
            _run(["dpkg", "--extract", str(package), str(unpacked)], Path(scratch))
        if not root.exists():
            unpacked.replace(root)


def _run(command: Sequence[str], folder: Path) -> str:
    result = subprocess.run(  # noqa: S603 - apt and dpkg, no shell
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if result.returncode != 0:
        raise BenchmarkError(f"`{' '.join(command)}` failed: {result.stderr.strip()}")
    return result.stdout
