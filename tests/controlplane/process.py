"""One process of the control plane, with its log file, from start to certain end."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Process", "ProcessError"]

LEASH = Path(__file__).parent / "leash.py"
STOP_TIMEOUT = 20.0
TAIL_LINES = 20


class ProcessError(Exception):
    """A process ended, or did not become ready; the text has the end of its log."""


class Process:
    """A program in a session of its own, so that a Ctrl-C on the terminal reaches only us, and we end it in order.

    It is killed when the thread that called `start` ends: start it from the main thread, or one that lives as long.
    """

    def __init__(self, name: str, command: Sequence[str | Path], *, directory: Path) -> None:
        self.name = name
        self.log_file = directory / f"{name}.log"
        self._command = command
        self._directory = directory
        self._pid_file = directory / f"{name}.pid"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, or None if it is stopped."""
        return None if self._popen is None else self._popen.pid

    def start(self) -> None:
        """Start the program; its output is added to the log file, its id is in `<name>.pid`."""
        if self._popen is not None:
            raise ProcessError(f"{self.name} is running already.")
        with self.log_file.open("ab") as log:
            self._popen = subprocess.Popen(
                # Isolated and without site-packages: it is to become the program at once.
                [sys.executable, "-I", "-S", LEASH, str(os.getpid()), *self._command],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._pid_file.write_text(f"{self._popen.pid}\n")

    def check(self) -> None:
        """Raise ProcessError if the program ended by itself."""
        if self._popen is not None and (status := self._popen.poll()) is not None:
            raise ProcessError(f"{self.name} ended with status {status}. {self.tail()}")

    def stop(self) -> None:
        """End the program and what is in its process group: SIGTERM, and SIGKILL when that takes too long."""
        if self._popen is None:
            return
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, signal.SIGTERM)
        try:
            self._popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            print(f"{self.name} does not stop: killing it. {self.tail()}", file=sys.stderr, flush=True)
            os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
        self._popen = None
        self._pid_file.unlink(missing_ok=True)

    def tail(self) -> str:
        """Quote the end of the log, as the second sentence of an error."""
        lines = self.log_file.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"The last lines of {self.log_file}:", *lines])
