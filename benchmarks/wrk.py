"""The load generator: `wrk`, run once for each sample, and its output."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.errors import BenchmarkError

__all__ = ["Load", "Wrk", "parse_output"]

# Beyond this, wrk counts a request as failed: far above a selector read of the slower peer.
REQUEST_TIMEOUT = 30
_TO_MS = {"us": 0.001, "ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw: how much was answered, and how fast."""

    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Wrk:
    """A wrk that runs; `libraries` is where it finds those that the machine does not have."""

    program: Path
    libraries: Path | None = None
    version: str = field(init=False)

    def __post_init__(self) -> None:
        """Ask it for its version: a wrk that lacks a library fails here."""
        try:
            # It prints the version with its usage, and ends with 1.
            said = self._run("--version", timeout=10)
        except OSError as e:
            raise BenchmarkError(f"{self.program} does not run: {e}") from e
        found = re.match(r"wrk (\S+)", said.stdout)
        if found is None:
            raise BenchmarkError(f"{self.program} does not run: {(said.stderr or said.stdout).strip()}")
        object.__setattr__(self, "version", found[1])

    def load(self, url: str, headers: Mapping[str, str], *, connections: int, seconds: int) -> Load:
        """Send one request after the other on each connection, all of them kept alive, for some seconds."""
        given = [f"-H{name}: {value}" for name, value in headers.items()]
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={REQUEST_TIMEOUT}s", "--latency"]
        said = self._run(*options, *given, url, timeout=seconds + REQUEST_TIMEOUT + 10)
        if said.returncode != 0:
            raise BenchmarkError(f"wrk failed: {(said.stderr or said.stdout).strip()}")
        return parse_output(said.stdout)

    def _run(self, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
        own = {} if self.libraries is None else {"LD_LIBRARY_PATH": str(self.libraries)}
        return subprocess.run(  # noqa: S603 - the program that we were given, no shell
            [self.program, *arguments],
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def parse_output(text: str) -> Load:
    """Read what `wrk --latency` prints. Raises BenchmarkError unless every request was answered with success."""
    if failed := re.search(r"^\s*(Socket errors|Non-2xx or 3xx responses): .*$", text, re.MULTILINE):
        raise BenchmarkError(f"not every request was answered with success; wrk says: {failed[0].strip()}")
    requests = int(_find(r"^\s*(\d+) requests in ", text))
    if requests == 0:
        raise BenchmarkError("no request was answered")
    return Load(
        requests=requests,
        requests_per_second=float(_find(r"^Requests/sec:\s+([\d.]+)", text)),
        p50_ms=_milliseconds(_find(r"^\s*50%\s+(\S+)", text)),
        p99_ms=_milliseconds(_find(r"^\s*99%\s+(\S+)", text)),
    )


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise BenchmarkError(f"wrk's output has no {pattern!r}:\n{text}")
    return found[1]


def _milliseconds(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if found is None:
        raise BenchmarkError(f"wrk gives a latency of {text!r}, which is not a time")
    return float(found[1]) * _TO_MS[found[2]]
