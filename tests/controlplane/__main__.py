"""`make controlplane`: a control plane to try things out on, until Ctrl-C."""

import argparse
import contextlib
import fcntl
import logging
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.controlplane.build import Binaries, BuildError, ensure_binaries
from tests.controlplane.certificates import write_private
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.plane import ControlPlane
from tests.controlplane.process import ProcessError

__all__ = ["main"]

SHARED = ("ca", "front-proxy-ca", "front-proxy-client")
CHECK_SECONDS = 1.0


class FolderError(Exception):
    """The folder cannot be used; the text says why."""


def main(arguments: list[str] | None = None) -> int:
    """Build, start, wait for Ctrl-C or SIGTERM, stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, default=Path(".controlplane"), help="where its files go (default: %(default)s)"
    )
    directory = parser.parse_args(arguments).directory.absolute()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    # Until the plane starts there is nothing to stop in order: SIGTERM does as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _claimed(directory):
            binaries = ensure_binaries()
            stopping = threading.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            _run(directory, binaries, stopping)
    except (BuildError, FolderError, ProcessError) as e:
        print(e, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


@contextlib.contextmanager
def _claimed(directory: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel lets go of however we end; then remove what the last run left."""
    lock = directory / "lock"
    if directory.exists() and not lock.exists() and any(directory.iterdir()):
        raise FolderError(f"{directory} holds something other than a control plane: name another with --directory.")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise FolderError(
                f"A control plane is running in {directory}: use that one, stop it, or name another folder "
                "with --directory."
            ) from e
        shutil.rmtree(directory / "run", ignore_errors=True)
        yield


def _run(directory: Path, binaries: Binaries, stopping: threading.Event) -> None:
    with ControlPlane.start(directory / "run", binaries=binaries) as plane, Kubelet(plane.kubeconfig):
        _share(plane, directory)
        print(_usage(plane, directory), flush=True)
        while not stopping.wait(CHECK_SECONDS):
            plane.check()
        print("Stopping.", flush=True)


def _share(plane: ControlPlane, directory: Path) -> None:
    """Copy what other programs need to the top of the folder, where names do not change from run to run."""
    write_private(directory / "admin.kubeconfig", plane.kubeconfig.read_bytes())
    for name in SHARED:
        certificates = plane.ca_file.parent
        (directory / f"{name}.crt").write_bytes((certificates / f"{name}.crt").read_bytes())
        write_private(directory / f"{name}.key", (certificates / f"{name}.key").read_bytes())


def _usage(plane: ControlPlane, directory: Path) -> str:
    return f"""\
Kubernetes {plane.binaries.version} is ready at {plane.url}. It is empty, and gone after Ctrl-C.

  export KUBECONFIG={directory / "admin.kubeconfig"}
  {plane.binaries.kubectl} get namespaces

Pods become Ready without running anything. {directory} has also the .crt and .key of
{", ".join(SHARED)}, and the logs in run/."""


if __name__ == "__main__":
    sys.exit(main())
