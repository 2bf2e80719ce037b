"""gunicorn's hooks, joined in one object, because gunicorn hands the worker to some of them only."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from gunicorn.errors import HaltServer

from metrics_apiserver import logs
from metrics_apiserver.ciphers import insecure_ciphers
from metrics_apiserver.concurrency import within
from metrics_apiserver.configuration import START_FAILED, has_served, served
from metrics_apiserver.embedded import read_lines
from metrics_apiserver.serving.application import Application
from metrics_apiserver.serving.pairs import Pair
from metrics_apiserver.serving.reloading import ServingCertificate
from metrics_apiserver.serving.stopping import Reloads, end, end_share, stop_share
from metrics_apiserver.serving.tls import TLSContext
from metrics_apiserver.serving.worker import Worker
from metrics_apiserver.settings import ServingSettings, Settings

__all__ = ["Hooks", "bind"]


def bind(serving: ServingSettings) -> str:
    """Return the address as gunicorn's `bind` and a URL write it."""
    host = f"[{serving.bind_address}]" if ":" in serving.bind_address else serving.bind_address
    return f"{host}:{serving.secure_port}"


class Hooks:
    """What happens around the server's life; the methods have gunicorn's names."""

    def __init__(self, settings: Settings, pair: Pair, reloads: Reloads, *, to_try: Sequence[str] = ()) -> None:
        """Serve `settings` with `pair`; `to_try` are commands to show once the server is ready."""
        self._settings = settings
        self._reloads = reloads
        self._to_try = to_try
        # As it was at the start. A worker that is forked later reads the files again, and has this one where it must
        # refuse what it finds: with none it could not begin, and the master would give up.
        self._pair = pair
        self._certificate: ServingCertificate | None = None
        self._started = False
        # In the master: how many workers there may be, while one takes the place of another. In a worker: of whom.
        self._wanted = 1
        self._before: Sequence[int] = ()

    # In the master.

    def on_starting(self, server: Any) -> None:
        """Refuse what gunicorn's own command line can ask for, and this server cannot give."""
        problems = []
        if server.cfg.workers > 1:
            problems.append(
                f"--workers={server.cfg.workers}: more than one worker needs providers that share their state;"
                " run more replicas instead"
            )
        if not issubclass(server.cfg.worker_class, Worker):
            problems.append(
                f"--worker-class={server.cfg.worker_class_str}: this server has a worker of its own, and serves with no"
                " other"
            )
        ours = bind(self._settings.serving)
        if server.cfg.settings["bind"].get() != [ours]:
            problems.append(f"gunicorn's --bind is not used here: --bind-address and --secure-port say {ours}")
        for problem in problems:
            server.log.error(problem)
        if problems:
            raise SystemExit(1)

    def nworkers_changed(self, server: Any, new: int, old: int | None) -> None:
        """Keep the one worker when a signal (TTIN) asks for more; the start is `on_starting`'s to refuse."""
        if old is not None and new > self._wanted:
            server.log.warning("there is one worker only: run more replicas instead")
            server.num_workers = self._wanted

    def on_reload(self, server: Any) -> None:
        """Let the worker that serves stay (SIGHUP) until the next one tells it to go, since it serves itself then.

        Where the next one cannot begin, the first goes on.
        """
        self._reloads.begin()
        self._want(server, len(server.WORKERS) + 1)
        # Not older than the next one: the master waits for those that are, and would hear no other signal meanwhile.
        for worker in server.WORKERS.values():
            worker.age = server.worker_age + 1

    def child_exit(self, server: Any, _worker: Any) -> None:
        """Want those that are left, until it is one again: a worker has gone that was told to, or could not begin."""
        # Without listeners the master is stopping, and waits for its workers.
        if not has_served() and server.LISTENERS:
            raise HaltServer("the server cannot start: what is wrong was said before", START_FAILED)
        if server.num_workers > 1:
            self._want(server, max(1, len(server.WORKERS)))

    def _want(self, server: Any, count: int) -> None:
        self._wanted = count
        server.num_workers = count

    def _say_where(self, log: Any, paths: Sequence[str]) -> None:
        """Say where the server is, and what to try: reads of these paths, unless there are lines of another's."""
        serving, cert = self._settings.serving, self._pair.contents.cert_file
        log.info("serving at https://%s (certificate: %s)", bind(serving), cert)
        for name in insecure_ciphers(serving.tls_cipher_suites):
            log.warning("--tls-cipher-suites=%s: this suite is insecure", name)
        lines = self._to_try or read_lines(paths, bind(serving), Path(cert), given=bool(serving.tls_cert_file))
        if lines:
            _show(lines, log, self._settings.logging.log_format)

    # In the worker.

    def post_fork(self, server: Any, _worker: Any) -> None:
        """Remember who serves: the master's list, as it was when this worker was forked."""
        self._before = list(server.WORKERS)

    def post_worker_init(self, worker: Any) -> None:
        """Let the application begin its own work, and serve TLS with the authorities that it knows."""
        self._started = True
        application: Application = worker.application
        application.start()
        self._certificate = ServingCertificate(
            self._settings.serving,
            self._pair,
            authorities=partial(self._authorities, application),
            observe=application.observe_certificate,
            followed=application.follow("the serving certificate"),
        )
        self._certificate.start()
        if not has_served():
            # Not before: a provider may still have been in the way.
            self._say_where(worker.log, application.to_try())
        served()
        for pid in self._before:
            # The master alone could give its number to somebody else, by waiting for it, and it has just been there.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _authorities(self, application: Application) -> Sequence[bytes] | None:
        """Return the CAs whose certificates clients are asked for; None where nobody would look at one."""
        known = application.client_authorities()
        # In a cluster they are asked also while no CA is known yet: who showed none once is not asked again.
        return None if not known and self._settings.cluster.standalone else known

    def worker_exit(self, _server: Any, worker: Any) -> None:
        """Let the application end what it began, and the process end whatever it left running."""
        if not self._started:
            return
        if self._certificate is not None:
            self._certificate.stop()
        seconds = stop_share(worker.graceful_timeout)
        failure = "the application failed to stop"
        if not within(seconds, worker.application.stop, "stop", logger=worker.log, failure=failure):
            worker.log.warning("the application has not stopped within %g s", seconds)
        if self._certificate is not None:
            # It has had the time already, unless the application was quicker.
            self._certificate.join(end_share(worker.graceful_timeout))
        end(end_share(worker.graceful_timeout))

    def ssl_context(self, _config: Any, _default_factory: Callable[[], Any]) -> TLSContext:
        """Return the context in use; gunicorn asks for every connection."""
        assert self._certificate is not None, "no connection is accepted before post_worker_init"
        return self._certificate.context


def _show(lines: Sequence[str], log: Any, log_format: str) -> None:
    if log_format == "json":
        # Whoever reads JSON reads nothing else.
        for line in lines:
            log.info("to try: %s", line)
        return
    logs.show("\nTry:\n\n" + "".join(f"  {line}\n" for line in lines) + "\n")
