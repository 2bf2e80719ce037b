"""gunicorn's worker with a loop of its own: how it starts, turns and stops.

It stands on gunicorn's base class for workers, its parser and its WSGI; which of their names are used is in
`tests/serving/test_worker.py`.
"""

from __future__ import annotations

import logging
import os
import resource
import selectors
import sys
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

from gunicorn.errors import AppImportError
from gunicorn.workers.base import Worker as GunicornWorker

from metrics_apiserver.configuration import START_FAILED, has_served, say_error
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.serving.application import Application, checked
from metrics_apiserver.serving.callbacks import Callbacks
from metrics_apiserver.serving.connection import DEADLINES, Deadlines
from metrics_apiserver.serving.connections import Connections
from metrics_apiserver.serving.listening import Listening
from metrics_apiserver.serving.requests import Requests
from metrics_apiserver.serving.stopping import Reloads, requests_share

__all__ = ["Worker", "WorkerOptions", "worker_class"]

# How often deadlines are looked at, and gunicorn's master is told that the loop turns.
_TICK_SECONDS = 0.25
# How long a thread computes before another one has its turn (Python's default is 5 ms).
_SWITCH_SECONDS = 0.0001
# How long a worker that cannot begin takes to leave, where there was one that could: so long the next waits.
_NEXT_SECONDS = 2.0
# What is open besides: watches of the cluster, the log, whatever providers hold.
_OTHER_FILES = 256


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What gunicorn's own configuration cannot say."""

    deadlines: Deadlines = DEADLINES
    # How long a server that is told to stop goes on accepting, not ready any more, until nobody sends it requests.
    shutdown_delay: float = 0.0
    reloads: Reloads = field(default_factory=Reloads)


class Worker(GunicornWorker):  # type: ignore[misc]  # gunicorn ships no types
    """The process that serves: one loop, which waits for all peers, and threads."""

    options: ClassVar[WorkerOptions] = WorkerOptions()
    alive: bool
    log: logging.Logger
    application: Application
    sockets: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is left of it, as the master counts, when the delay is over.
        self.graceful_timeout: int = max(0, self.cfg.graceful_timeout - round(self.options.shutdown_delay))
        self._most: int = self.cfg.worker_connections
        self._reload = self.options.reloads.count
        # When the delay of a stop is over, and when the time of the requests is.
        self._stop_at: float | None = None
        self._end = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse to serve without TLS, whatever the command line says."""
        if not cfg.is_ssl:
            log.error("this worker serves HTTPS only: certfile and keyfile must be set")
            raise SystemExit(1)

    def init_process(self) -> None:
        """Take as many file descriptors as the connections need, where the system lets us, as Go's programs do."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = self._most + _OTHER_FILES
        if soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
        if hard < needed:
            self._most = max(1, hard - _OTHER_FILES)
            self.log.warning("only %d connections: the limit of open files is %d", self._most, hard)
        # The loop must not wait for long while a thread computes.
        sys.setswitchinterval(_SWITCH_SECONDS)
        # Before the base class installs the signals: one may come at once.
        self._callbacks = Callbacks()
        try:
            super().init_process()
        except (Exception, SystemExit) as error:
            if self.booted:
                raise
            if not has_served():
                self._fail_to_start(error)
            # The master would give up, and the server may still serve, or be able to again. Who exits has said why.
            why = None if isinstance(error, SystemExit) else error
            self.log.error("this worker cannot begin, and another is tried after a death", exc_info=why)  # noqa: TRY400
            time.sleep(_NEXT_SECONDS)
            raise SystemExit(1) from None

    def _fail_to_start(self, error: Exception | SystemExit) -> NoReturn:
        """Leave, so that the master ends as well (`hooks`); who exits has said why."""
        if isinstance(error, AppImportError) or not isinstance(error, (ProviderError, SystemExit)):
            raise error
        if isinstance(error, ProviderError):
            say_error(error)
        raise SystemExit(START_FAILED) from None

    def load_wsgi(self) -> None:
        """Load the application. Raises AppImportError for one that cannot be served."""
        super().load_wsgi()
        self.application = checked(self.wsgi)

    # Stopping.

    @property
    def stopping(self) -> bool:
        """Whether the server was told to stop: each connection ends with its next response."""
        return self._stop_at is not None

    def handle_exit(self, _signal: int, _frame: Any) -> None:
        """Begin to stop, on the loop: the signal may have come while a lock is held."""
        # A second signal may come at the very end.
        if self.alive:
            self._callbacks.defer(self._drain)

    def _drain(self) -> None:
        """Say that no new request should come here; stop after the delay, or at the second signal.

        On a reload the next worker listens already: nothing is said, and there is nothing to wait for.
        """
        first, self._stop_at = self._stop_at is None, time.monotonic()
        if first and self.options.reloads.count == self._reload:
            self._stop_at += self.options.shutdown_delay
            self.application.drain()

    def _stop(self, connections: Connections, listening: Listening) -> None:
        """Take what is in the backlog, and let the kernel refuse the next, as it does when the last process closes.

        The master has closed, if all stops. On a reload it and the next worker listen on, and the next is theirs.
        """
        self.alive = False
        listening.end(lambda: not connections.full)
        self._end = time.monotonic() + requests_share(self.graceful_timeout)
        connections.begin_to_end()

    # The loop.

    def run(self) -> None:
        """Serve until the end: that of the last request after a signal, of the time for it, or of the master."""
        poller = selectors.DefaultSelector()
        requests = Requests(self.application, self.cfg, self.log, stopping=lambda: self.stopping)
        connections = Connections(
            poller, self._callbacks, requests, self.cfg, self.log, deadlines=self.options.deadlines, most=self._most
        )
        listening = Listening(self.sockets, poller, self.log, take=connections.take, room=connections.room)
        poller.register(self._callbacks, selectors.EVENT_READ, self._callbacks.run)
        try:
            self._turn(connections, listening)
        finally:
            # Also when a signal raises SystemExit.
            connections.leave_threads()
        listening.close()
        connections.close()
        poller.close()

    def _turn(self, connections: Connections, listening: Listening) -> None:
        tick = 0.0
        while self.alive or (connections.count and time.monotonic() < self._end):
            if tick <= time.monotonic():
                tick = time.monotonic() + _TICK_SECONDS
                self.notify()
                if self.ppid != os.getppid():
                    self.log.info("the master is gone, and this worker goes too")
                    break
                connections.close_overdue()
                if self.alive:
                    listening.open()
            for key, _ in connections.select(self._pause(tick)):
                key.data()
            if self.alive and self._stop_at is not None and self._stop_at <= time.monotonic():
                self._stop(connections, listening)

    def _pause(self, tick: float) -> float:
        until = min(tick, self._stop_at or tick) if self.alive else min(tick, self._end)
        return max(0.0, until - time.monotonic())


def worker_class(options: WorkerOptions) -> type[Worker]:
    """Return the class that gunicorn makes its worker of: it can hand over nothing but its own configuration."""
    return type("Worker", (Worker,), {"options": options})
