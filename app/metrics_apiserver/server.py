"""The WSGI application, and the life that gunicorn's hooks give it."""

from __future__ import annotations

import threading
from datetime import datetime

from flask import Flask

from metrics_apiserver.answering.respond import PlainFront
from metrics_apiserver.auth.delegation import Delegation
from metrics_apiserver.exchange import PlainRequest, Response
from metrics_apiserver.kube.cluster import Cluster
from metrics_apiserver.kube.standalone import StandaloneCluster
from metrics_apiserver.registry import ConfiguredProvider
from metrics_apiserver.reloading import ConfigurationFile, RunningProviders
from metrics_apiserver.staleness import Followed, Following
from metrics_apiserver.telemetry import Telemetry

__all__ = ["MAX_BODY_BYTES", "MetricsServer"]

MAX_BODY_BYTES = 1 << 20
# What the providers may take together to stop; it fits into the application's share of the graceful timeout.
_STOP_SECONDS = 2.5
# How many metrics of each API are shown at the start.
_TO_TRY = 3


class MetricsServer(Flask):
    """The WSGI application with the life cycle that gunicorn's hooks drive: start, drain, stop.

    Nothing runs before `start`, which is called in the worker process.
    """

    def __init__(
        self,
        *,
        cluster: Cluster | StandaloneCluster,
        running: RunningProviders,
        configuration: ConfigurationFile,
        telemetry: Telemetry,
        delegation: Delegation | None,
        following: Following,
    ) -> None:
        super().__init__("metrics_apiserver", static_folder=None)
        # `//` is no path of ours, and no redirect either.
        self.url_map.merge_slashes = False
        self.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
        self.cluster = cluster
        self.running = running
        self.configuration = configuration
        self.router = running.router
        self.discovery = running.discovery
        # None: there is no cluster, and everybody may.
        self.delegation = delegation
        self.following = following
        self._telemetry = telemetry
        self._draining = threading.Event()
        # Given by the factory, which makes it of what this server has.
        self.front: PlainFront

    def start(self) -> None:
        """Start what runs in the background: the client CAs, the cluster's mapping, the providers, discovery.

        Raises what a provider raises, as ProviderError; what was started before it is stopped again.
        """
        try:
            self.following.start()
            if self.delegation is not None:
                self.delegation.start()
            self.cluster.start()
            self.running.start()
            self.discovery.start()
            self.configuration.start()
        except BaseException:
            self.stop()
            raise

    @property
    def providers(self) -> list[ConfiguredProvider]:
        """The providers that are asked now, in their order."""
        return self.running.now

    def drain(self) -> None:
        """Tell the probes that no new request should come here."""
        self._draining.set()

    def stop(self) -> None:
        """Stop what `start` started; a provider that fails to stop, or hangs, does not keep the others running."""
        self.drain()
        self.configuration.stop()
        self.discovery.stop()
        self.router.close()
        self.running.stop(_STOP_SECONDS)
        self.cluster.stop()
        if self.delegation is not None:
            self.delegation.stop()
        self.following.stop()

    def follow(self, name: str) -> Followed:
        """Have something be followed that others read, such as the serving certificate."""
        return self.following.follow(name)

    def client_authorities(self) -> tuple[bytes, ...]:
        """Return the CA certificates (DER) by which a client's certificate is judged now; from memory."""
        return self.delegation.cas.in_force.ders if self.delegation is not None else ()

    def observe_certificate(self, not_after: datetime) -> None:
        """Take note of when the serving certificate in use expires."""
        self._telemetry.certificate_expiration.set(not_after.timestamp())

    def to_try(self) -> list[str]:
        """Return paths of the metrics that are listed, a few of each API; none with a cluster, which asks who asks."""
        return [] if self.delegation is not None else self.discovery.paths(_TO_TRY)

    def respond(self, request: PlainRequest, *, may_wait: bool) -> Response | None:
        """Answer a plain request; None where that would have to wait, or is answered over WSGI alone."""
        return self.front.respond(request, may_wait=may_wait)

    def authentication_check(self) -> str | None:
        """Fail while nobody can be recognised by a certificate, because the cluster has not said whose count."""
        return self.delegation.check() if self.delegation is not None else None

    def shutdown_check(self) -> str | None:
        """Fail as soon as the server is stopping."""
        return "the server is stopping" if self._draining.is_set() else None
