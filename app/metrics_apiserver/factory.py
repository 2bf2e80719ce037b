"""`create_app`: the only place where objects meet."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version as distribution_version

from flask import Flask
from prometheus_client import CollectorRegistry

from metrics_apiserver import registry
from metrics_apiserver.answering.failures import Failures
from metrics_apiserver.answering.observation import Observer
from metrics_apiserver.answering.probes import Check, Passing, Probes
from metrics_apiserver.answering.reads import MetricReads
from metrics_apiserver.answering.respond import Answering, PlainFront
from metrics_apiserver.auth.access import Access
from metrics_apiserver.auth.delegation import Delegation
from metrics_apiserver.blueprints import (
    debug,
    failures,
    groups,
    metrics,
    openapi,
    probes,
    process,
    write_metrics,
)
from metrics_apiserver.blueprints.observation import Observation
from metrics_apiserver.blueprints.targets import ReadsTarget
from metrics_apiserver.discovery import Discovery
from metrics_apiserver.dispatch.bulkhead import provider_room
from metrics_apiserver.dispatch.router import Router
from metrics_apiserver.exchange import PlainRequest, Response
from metrics_apiserver.kube.client import ClusterClient
from metrics_apiserver.kube.cluster import Cluster
from metrics_apiserver.kube.config import load_client
from metrics_apiserver.kube.limits import TokenBucket
from metrics_apiserver.kube.manifests import load_objects
from metrics_apiserver.kube.standalone import StandaloneCluster
from metrics_apiserver.model.clock import Clock, SystemClock
from metrics_apiserver.provider import ProviderContext
from metrics_apiserver.registry import ConfiguredProvider
from metrics_apiserver.reloading import ConfigurationFile, RunningProviders, make_instances
from metrics_apiserver.schemas.table import API_VERSIONS, GROUPS, versions_of
from metrics_apiserver.settings import ClusterSettings, Settings
from metrics_apiserver.staleness import Followed, Following
from metrics_apiserver.telemetry import FollowedMetrics, Telemetry

__all__ = ["MAX_BODY_BYTES", "MetricsServer", "create_app"]

MAX_BODY_BYTES = 1 << 20
# What the providers may take together to stop; it fits into the application's share of the graceful timeout.
STOP_SECONDS = 2.5

logger = logging.getLogger("metrics_apiserver")


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
        router: Router,
        discovery: Discovery,
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
        self.router = router
        self.discovery = discovery
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
        self.running.stop(STOP_SECONDS)
        self.cluster.stop()
        if self.delegation is not None:
            self.delegation.stop()
        self.following.stop()

    def follow(self, name: str) -> Followed:
        """Have something be followed that others read, such as the serving certificate."""
        return self.following.follow(name)

    def client_authorities(self) -> tuple[bytes, ...]:
        """Give the CA certificates (DER) by which a client's certificate is judged now; from memory."""
        return self.delegation.cas.in_force.ders if self.delegation is not None else ()

    def observe_certificate(self, not_after: datetime) -> None:
        """Take note of when the serving certificate in use expires."""
        self._telemetry.certificate_expiration.set(not_after.timestamp())

    def respond(self, request: PlainRequest, *, may_wait: bool) -> Response | None:
        """Answer a plain request; None where that would have to wait, or is answered over WSGI alone."""
        return self.front.respond(request, may_wait=may_wait)

    def authentication_check(self) -> str | None:
        """Fail while nobody can be recognised by a certificate, because the cluster has not said whose count."""
        return self.delegation.check() if self.delegation is not None else None

    def shutdown_check(self) -> str | None:
        """Fail as soon as the server is stopping."""
        return "the server is stopping" if self._draining.is_set() else None


def create_app(
    settings: Settings, *, clock: Clock | None = None, cluster: Cluster | StandaloneCluster | None = None
) -> MetricsServer:
    """Build the server of these settings, on their cluster unless another is given.

    Raises ProviderError, or ValueError with a sentence for a bad cluster.
    """
    clock = clock or SystemClock()
    following = Following(clock.monotonic, logger)
    cluster = cluster or _cluster(settings.cluster, following)
    delegation = None if settings.cluster.standalone else _delegation(settings, clock, following)
    make_context = partial(_provider_context, cluster=cluster, clock=clock)
    # The last that can fail for a reason of the configuration; what they began is undone if anything does after them.
    providers = registry.build(settings.providers, make_context)
    try:
        server = _server(
            settings,
            providers,
            make_context,
            cluster=cluster,
            delegation=delegation,
            following=following,
            clock=clock,
        )
    except BaseException:
        registry.discard(providers)
        raise
    for configured in providers:
        logger.info(
            "provider %s: %s of %s %s", configured.name, configured.kind, configured.distribution, configured.version
        )
    return server


def _server(
    settings: Settings,
    providers: Sequence[ConfiguredProvider],
    make_context: Callable[[str], ProviderContext],
    *,
    cluster: Cluster | StandaloneCluster,
    delegation: Delegation | None,
    following: Following,
    clock: Clock,
) -> MetricsServer:
    """Put the server together; nothing is started."""
    telemetry = Telemetry(CollectorRegistry(), api_versions=[(row.group, row.version) for row in API_VERSIONS])
    telemetry.registry.register(FollowedMetrics(following.ages))
    waiting = provider_room()
    instances = make_instances(providers, waiting=waiting, telemetry=telemetry, clock=clock)
    router = Router(
        instances,
        mapper=cluster.mapper,
        objects=cluster.objects,
        clock=clock,
        logger=logger,
        seconds=settings.serving.request_timeout,
    )
    discovery = Discovery(
        [(configured.name, configured.provider) for configured in providers],
        mapper=cluster.mapper,
        limit=settings.discovery.discovery_limit,
        telemetry=telemetry,
        logger=logger,
    )
    running = RunningProviders(
        providers,
        instances,
        router=router,
        discovery=discovery,
        telemetry=telemetry,
        clock=clock,
        build=partial(registry.build_one, make_context=make_context),
        waiting=waiting,
        seconds=settings.serving.request_timeout,
    )
    server = MetricsServer(
        cluster=cluster,
        running=running,
        configuration=ConfigurationFile(
            settings, running.replace, telemetry=telemetry, clock=clock, logger=logger, following=following
        ),
        router=router,
        discovery=discovery,
        telemetry=telemetry,
        delegation=delegation,
        following=following,
    )
    observer = Observer(telemetry.requests, clock)
    _route(server, telemetry, clock, observer)
    server.wsgi_app = ReadsTarget(Observation(server.wsgi_app, observer))  # type: ignore[method-assign]
    return server


def _provider_context(name: str, *, cluster: Cluster | StandaloneCluster, clock: Clock) -> ProviderContext:
    return ProviderContext(
        name=name,
        mapper=cluster.mapper,
        objects=cluster.objects,
        clock=clock,
        logger=logger.getChild(f"providers.{name}"),
        # Its own: the next instance of its kind, or its successor after a reload, counts the same.
        metrics_registry=CollectorRegistry(),
    )


def _cluster(settings: ClusterSettings, following: Following) -> Cluster | StandaloneCluster:
    if settings.standalone:
        return StandaloneCluster(load_objects(settings.objects) if settings.objects else [])
    return Cluster(
        load_client(settings.kubeconfig),
        lister=load_client(settings.lister_kubeconfig) if settings.lister_kubeconfig else None,
        bucket=TokenBucket(settings.client_qps, settings.client_burst),
        interval=settings.discovery_interval,
        logger=logger,
        following=following,
    )


def _delegation(settings: Settings, clock: Clock, following: Following) -> Delegation:
    """Make what asks the cluster; its requests are few by themselves, and must not wait for those of --client-qps."""
    default = settings.cluster.kubeconfig
    of_authentication = settings.authentication.authentication_kubeconfig or default
    of_authorization = settings.authorization.authorization_kubeconfig or default
    client = access_client = ClusterClient(load_client(of_authentication))
    if of_authorization != of_authentication:
        access_client = ClusterClient(load_client(of_authorization))
    return Delegation(
        settings.authentication,
        settings.authorization,
        client=client,
        access_client=access_client,
        clock=clock,
        logger=logger,
        following=following,
    )


def _followed(following: Following) -> Passing | None:
    """Say what is stale; that is never a failure: a hiccup of the cluster must not take all replicas out."""
    remark = following.remark()
    return None if remark is None else Passing(remark, remark="stale")


def _route(server: MetricsServer, telemetry: Telemetry, clock: Clock, observer: Observer) -> None:
    router = server.router
    version = distribution_version(registry.DISTRIBUTION)
    live: Mapping[str, Check] = {"ping": lambda: None}
    ready: dict[str, Check] = {
        **live,
        "authentication": server.authentication_check,
        "rest-mapping": server.cluster.check,
        "shutdown": server.shutdown_check,
        "followed": partial(_followed, server.following),
    }
    if server.configuration.path:
        ready["configuration"] = partial(_configuration_check, server.configuration)
    access = None
    if server.delegation is not None:
        access = Access(server.delegation.authenticator, server.delegation.authorizer)
    served = {group: telemetry.freshness.observer(group, clock.now) for group in GROUPS}
    failing = Failures(logger)
    answering = Answering(MetricReads(router, served), Probes(live, ready, logger), failing, access)
    failures.register(server, failing, logger, access=access)
    server.register_blueprint(groups.blueprint(lambda: server.discovery.documents, lambda: _paths(server, ready)))
    for group in GROUPS:
        server.register_blueprint(metrics.blueprint(group, answering.respond))
    server.register_blueprint(write_metrics.blueprint(router, server.discovery.refresh_soon))
    server.register_blueprint(openapi.blueprint(version))
    server.register_blueprint(probes.blueprint(answering.respond))
    server.register_blueprint(process.blueprint(version, telemetry))
    server.register_blueprint(debug.blueprint(router.recent, ready))
    server.front = PlainFront(answering, observer)


def _configuration_check(configuration: ConfigurationFile) -> Passing:
    return Passing(configuration.status(), remark="a newer one is refused" if configuration.refused else "")


def _paths(server: MetricsServer, ready: Mapping[str, Check]) -> list[str]:
    """List what `/` shows: the paths that stand still."""
    fixed = [rule.rule for rule in server.url_map.iter_rules() if not rule.arguments and not rule.rule.endswith("/")]
    found = [f"/apis/{group}" for group in GROUPS]
    found += [f"/apis/{row.group_version}" for group in GROUPS for row in versions_of(group)]
    found += [f"/openapi/v3/apis/{row.group_version}" for group in GROUPS for row in versions_of(group)]
    found += [f"/readyz/{name}" for name in ready] + ["/livez/ping", "/healthz/ping"]
    return sorted({*fixed, *found})
