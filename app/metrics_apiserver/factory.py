"""`create_app`: the only place where objects meet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry

from metrics_apiserver import registry
from metrics_apiserver.auth.delegation import Delegation
from metrics_apiserver.concurrency.budget import provider_room
from metrics_apiserver.discovery import Discovery, Listed
from metrics_apiserver.dispatch.router import Router
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
from metrics_apiserver.routes import add_routes
from metrics_apiserver.schemas.table import API_VERSIONS
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.settings import ClusterSettings, Settings
from metrics_apiserver.staleness import Following
from metrics_apiserver.telemetry import FollowedMetrics, Telemetry

__all__ = ["create_app"]

logger = logging.getLogger("metrics_apiserver")


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    cluster: Cluster | StandaloneCluster | None = None,
    keep: Callable[[bytes], None] = lambda _content: None,
    restarting: bool = False,
    some: bool = False,
) -> MetricsServer:
    """Build the server of these settings, on their cluster unless another is given.

    `keep` gets what the file of --config holds each time it is in use. `restarting`: it takes the place of one that
    has served, so that a provider that does not start is away, and the rest serves. With `some` that is so for one,
    too, that cannot be built.

    Raises ProviderError, or ValueError with a sentence for a bad cluster.
    """
    clock = clock or SystemClock()
    following = Following(clock.monotonic, logger)
    cluster = cluster or _cluster(settings.cluster, following)
    delegation = None if settings.cluster.standalone else _delegation(settings, clock, following)
    make_context = partial(_provider_context, cluster=cluster, clock=clock, restarting=restarting)
    # The last that can fail for a reason of the configuration; what they began is undone if anything does after them.
    providers = registry.build(settings.providers, make_context, some=some)
    try:
        server = _server(
            settings,
            providers,
            make_context,
            cluster=cluster,
            delegation=delegation,
            following=following,
            clock=clock,
            keep=keep,
            restarting=restarting,
        )
    except BaseException:
        registry.discard(providers)
        raise
    for configured in providers:
        if configured.away:
            continue
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
    keep: Callable[[bytes], None],
    restarting: bool,
) -> MetricsServer:
    """Put the server together; nothing is started."""
    telemetry = Telemetry(CollectorRegistry(), api_versions=[(row.group, row.version) for row in API_VERSIONS])
    telemetry.registry.register(FollowedMetrics(following.ages))
    running = _running(
        settings, providers, make_context, cluster=cluster, telemetry=telemetry, clock=clock, restarting=restarting
    )
    configuration = ConfigurationFile(
        settings, running.replace, telemetry=telemetry, clock=clock, logger=logger, following=following, keep=keep
    )
    server = MetricsServer(
        cluster=cluster,
        running=running,
        configuration=configuration,
        telemetry=telemetry,
        delegation=delegation,
        following=following,
    )
    add_routes(server, telemetry, clock)
    return server


def _running(
    settings: Settings,
    providers: Sequence[ConfiguredProvider],
    make_context: Callable[[str], ProviderContext],
    *,
    cluster: Cluster | StandaloneCluster,
    telemetry: Telemetry,
    clock: Clock,
    restarting: bool,
) -> RunningProviders:
    """Make what asks the providers: their instances, the router and discovery."""
    waiting, seconds = provider_room(), settings.serving.request_timeout
    instances = make_instances(providers, waiting=waiting, telemetry=telemetry, clock=clock)
    mapper, objects = cluster.mapper, cluster.objects
    router = Router(instances, mapper=mapper, objects=objects, clock=clock, logger=logger, seconds=seconds)
    discovery = Discovery(
        [Listed(each.name, each.provider, each.lists, each.learn) for each in instances],
        mapper=mapper,
        limit=settings.discovery.discovery_limit,
        telemetry=telemetry,
        logger=logger,
    )
    return RunningProviders(
        providers,
        instances,
        router=router,
        discovery=discovery,
        telemetry=telemetry,
        clock=clock,
        build=partial(registry.build_one, make_context=partial(_provider_context, cluster=cluster, clock=clock)),
        leave_away=(lambda each, why: registry.leave_away(each, make_context, why)) if restarting else None,
        waiting=waiting,
        seconds=seconds,
    )


def _provider_context(
    name: str, *, cluster: Cluster | StandaloneCluster, clock: Clock, restarting: bool = False
) -> ProviderContext:
    return ProviderContext(
        name=name,
        mapper=cluster.mapper,
        objects=cluster.objects,
        clock=clock,
        logger=logger.getChild(f"providers.{name}"),
        # Its own: the next instance of its kind, or its successor after a reload, counts the same.
        metrics_registry=CollectorRegistry(),
        restarting=restarting,
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
