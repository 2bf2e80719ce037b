"""The binaries of the control plane: built once from the pinned Go module, then kept in a cache folder.

`python -m tests.controlplane.build` does only this.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.toolchain import GoVersion, ToolchainError, find_toolchain, parse_version

__all__ = ["Binaries", "BuildError", "cache_folder", "ensure_binaries"]

MODULE = Path(__file__).parent / "modules" / "controlplane"
PACKAGES = (
    "go.etcd.io/etcd/server/v3",
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kubectl",
)


class BuildError(Exception):
    """The binaries are missing and could not be built; the text says why."""


@dataclass(frozen=True)
class Binaries:
    """Where the programs of one Kubernetes version are."""

    version: str
    apiserver: Path
    controller_manager: Path
    etcd: Path
    kubectl: Path

    @classmethod
    def in_folder(cls, folder: Path, version: str) -> "Binaries":
        """Name the programs as `go build` does, which calls etcd `server` after its package."""
        return cls(
            version=version,
            apiserver=folder / "kube-apiserver",
            controller_manager=folder / "kube-controller-manager",
            etcd=folder / "server",
            kubectl=folder / "kubectl",
        )

    @property
    def programs(self) -> tuple[Path, ...]:
        """All of them, as paths."""
        return self.apiserver, self.controller_manager, self.etcd, self.kubectl

    @property
    def complete(self) -> bool:
        """Tell whether every program is there."""
        return all(os.access(program, os.X_OK) for program in self.programs)


def cache_folder() -> Path:
    """Return the folder for all that takes long to make; METRICS_APISERVER_CACHE names another."""
    if own := os.environ.get("METRICS_APISERVER_CACHE"):
        return Path(own).absolute()
    # The XDG specification says that a relative path is to be ignored.
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".cache") / "metrics-apiserver"


def ensure_binaries() -> Binaries:
    """Return the binaries of the version that go.mod pins, and build them first if the cache has none.

    A cached set is taken as it is: after a change of etcd's version alone, delete the folder.
    """
    version, go_version = _read_module(MODULE / "go.mod")
    cache = cache_folder()
    folder = cache / "controlplane" / version
    binaries = Binaries.in_folder(folder, version)
    if binaries.complete:
        return binaries
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.parent / f"{version}.lock"):
        # Whoever held the lock before may have built them.
        if not binaries.complete:
            _build(folder, version=version, go_version=go_version, cache=cache)
    return binaries


def _read_module(path: Path) -> tuple[str, GoVersion]:
    """Read the version of Kubernetes and the least version of Go from a go.mod."""
    text = path.read_text()
    kubernetes = re.search(r"^\s*(?:require\s+)?k8s\.io/kubernetes (v\S+)$", text, re.MULTILINE)
    go = re.search(r"^go (\S+)$", text, re.MULTILINE)
    if kubernetes is None or go is None:
        raise BuildError(f"{path} does not name k8s.io/kubernetes and a Go version.")
    return kubernetes[1], parse_version(go[1])


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"Another process builds the control plane (it holds {path}): waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(folder: Path, *, version: str, go_version: GoVersion, cache: Path) -> None:
    """Build in a scratch folder beside the final one, so that a program appears there only when it is whole."""
    # We hold the lock: what an earlier build left behind is nobody's.
    for leftover in folder.parent.glob(f".build-{version}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        toolchain = find_toolchain(go_version, cache=cache)
    except ToolchainError as e:
        raise BuildError(str(e)) from e
    _say(f"Building Kubernetes {version} and etcd into {folder}: about ten minutes the first time.")
    with tempfile.TemporaryDirectory(prefix=f".build-{version}-", dir=folder.parent) as scratch:
        # A copy: go may write into the folder of the module, and the checkout is not ours to write to.
        module = Path(shutil.copytree(MODULE, Path(scratch) / "module"))
        output = Path(scratch) / "bin"
        output.mkdir()
        result = subprocess.run(
            [toolchain.go, "build", "-o", f"{output}/", "-trimpath", "-buildvcs=false", *_ldflags(version), *PACKAGES],
            cwd=module,
            env=toolchain.variables,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise BuildError(f"`go build` of the control plane failed:\n{result.stderr[-4000:].strip()}")
        folder.mkdir(exist_ok=True)
        for program in Binaries.in_folder(output, version).programs:
            program.replace(folder / program.name)


def _ldflags(version: str) -> tuple[str, str]:
    """Leave the debugging symbols out and put the version in: without it discovery would report v0.0.0-master."""
    major, minor, *_ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X k8s.io/component-base/version.{key}={value}" for key, value in values.items()]
    return "-ldflags", " ".join(["-s", "-w", *stamps])


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def main() -> int:
    """Build, and print where the programs are."""
    try:
        binaries = ensure_binaries()
    except BuildError as e:
        _say(str(e))
        return 1
    print(binaries.apiserver.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
