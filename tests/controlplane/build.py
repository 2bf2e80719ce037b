"""The Go programs: built once from modules that pin their versions, then kept in a cache folder.

`python -m tests.controlplane.build` builds those of the control plane, and nothing else.
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
from dataclasses import dataclass, replace
from pathlib import Path

from tests.controlplane.toolchain import GoVersion, ToolchainError, find_toolchain, parse_version

__all__ = [
    "CONTROL_PLANE",
    "PREVIOUS_CONTROL_PLANE",
    "Binaries",
    "BuildError",
    "cache_folder",
    "ensure_binaries",
    "ensure_test_adapter",
]

MODULES = Path(__file__).parent / "modules"


@dataclass(frozen=True)
class GoModule:
    """A folder below `modules` with a go.mod: what is built from it, and how that is said."""

    name: str
    what: str
    """In a sentence: "the control plane"."""
    pin: str
    """The module whose version is the version of the whole."""
    packages: tuple[str, ...]
    duration: str
    stamped: bool = False
    """Whether the programs tell their version as those of Kubernetes do."""

    @property
    def folder(self) -> Path:
        """Where its go.mod is."""
        return MODULES / self.name

    @property
    def programs(self) -> tuple[str, ...]:
        """The names that `go build` gives: the last part of a package's path which is no major version."""
        return tuple(re.sub(r"/v\d+$", "", package).rpartition("/")[2] for package in self.packages)

    def complete(self, folder: Path) -> bool:
        """Tell whether every program is in the folder."""
        return all(os.access(folder / program, os.X_OK) for program in self.programs)


CONTROL_PLANE = GoModule(
    name="controlplane",
    what="the control plane",
    pin="k8s.io/kubernetes",
    packages=(
        "go.etcd.io/etcd/server/v3",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kubectl",
    ),
    duration="about ten minutes the first time",
    stamped=True,
)
# The release before: what many clusters run, and the other end of what is tested.
PREVIOUS_CONTROL_PLANE = replace(CONTROL_PLANE, name="controlplane-1.35", what="the previous control plane")
TEST_ADAPTER = GoModule(
    name="test-adapter",
    what="the Go test adapter",
    pin="sigs.k8s.io/custom-metrics-apiserver",
    packages=("sigs.k8s.io/custom-metrics-apiserver/test-adapter",),
    duration="about two minutes the first time",
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
    def complete(self) -> bool:
        """Tell whether every program is there."""
        return CONTROL_PLANE.complete(self.apiserver.parent)


def cache_folder() -> Path:
    """Return the folder for all that takes long to make; METRICS_APISERVER_CACHE names another."""
    if own := os.environ.get("METRICS_APISERVER_CACHE"):
        return Path(own).absolute()
    # The XDG specification says that a relative path is to be ignored.
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".cache") / "metrics-apiserver"


def ensure_binaries(module: GoModule = CONTROL_PLANE) -> Binaries:
    """Return a control plane's binaries, of the version that go.mod pins; build them first if the cache has none.

    A cached set is taken as it is: after a change of etcd's version alone, delete the folder.
    """
    folder = _ensure(module)
    return Binaries.in_folder(folder, version=folder.name)


def ensure_test_adapter() -> Path:
    """Return the Go reference's test adapter, in a folder named after its version; builds it if the cache has none."""
    return _ensure(TEST_ADAPTER) / TEST_ADAPTER.programs[0]


def _ensure(module: GoModule) -> Path:
    """Return the folder of a module's programs, named after the version that its go.mod pins."""
    version, go_version = _read_module(module)
    cache = cache_folder()
    folder = cache / module.name / version
    if module.complete(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.parent / f"{version}.lock", module.what):
        # Whoever held the lock before may have built them.
        if not module.complete(folder):
            _build(module, folder, go_version=go_version, cache=cache)
    return folder


def _read_module(module: GoModule) -> tuple[str, GoVersion]:
    """Read the version of what the module pins and the least version of Go from its go.mod."""
    path = module.folder / "go.mod"
    text = path.read_text()
    pinned = re.search(rf"^\s*(?:require\s+)?{re.escape(module.pin)} (v\S+)$", text, re.MULTILINE)
    go = re.search(r"^go (\S+)$", text, re.MULTILINE)
    if pinned is None or go is None:
        raise BuildError(f"{path} does not name {module.pin} and a Go version.")
    return pinned[1], parse_version(go[1])


@contextlib.contextmanager
def _lock(path: Path, what: str) -> Iterator[None]:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"Another process builds {what} (it holds {path}): waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(module: GoModule, folder: Path, *, go_version: GoVersion, cache: Path) -> None:
    """Build in a scratch folder beside the final one, so that a program appears there only when it is whole."""
    prefix = f".build-{folder.name}-"
    # We hold the lock: what an earlier build left behind is nobody's.
    for leftover in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        toolchain = find_toolchain(go_version, cache=cache)
    except ToolchainError as e:
        raise BuildError(str(e)) from e
    _say(f"Building {module.what} {folder.name} into {folder}: {module.duration}.")
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent) as scratch:
        # A copy: go may write into the folder of the module, and the checkout is not ours to write to.
        source = Path(shutil.copytree(module.folder, Path(scratch) / "module"))
        output = Path(scratch) / "bin"
        output.mkdir()
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", _ldflags(folder.name if module.stamped else None)]
        result = subprocess.run(
            [toolchain.go, "build", "-o", f"{output}/", *flags, *module.packages],
            cwd=source,
            env=toolchain.variables,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise BuildError(f"`go build` of {module.what} failed:\n{result.stderr[-4000:].strip()}")
        folder.mkdir(exist_ok=True)
        for program in module.programs:
            (output / program).replace(folder / program)


def _ldflags(version: str | None) -> str:
    """Leave the debugging symbols out and put the version in: without it discovery would report v0.0.0-master."""
    if version is None:
        return "-s -w"
    major, minor, *_ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X k8s.io/component-base/version.{key}={value}" for key, value in values.items()]
    return " ".join(["-s", "-w", *stamps])


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
