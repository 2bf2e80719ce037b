"""The routes of a server, and what answers them: the road for reads and probes, and the blueprints."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version as distribution_version

from metrics_apiserver import registry
from metrics_apiserver.answering.failures import Failures
from metrics_apiserver.answering.observation import Observer
from metrics_apiserver.answering.probes import Check, Passing, Probes
from metrics_apiserver.answering.reads import MetricReads
from metrics_apiserver.answering.respond import Answering, PlainFront
from metrics_apiserver.auth.access import Access
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
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.reloading import ConfigurationFile
from metrics_apiserver.schemas.table import GROUPS, versions_of
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.staleness import Following
from metrics_apiserver.telemetry import Telemetry

__all__ = ["add_routes"]

logger = logging.getLogger("metrics_apiserver")


def add_routes(server: MetricsServer, telemetry: Telemetry, clock: Clock) -> None:
    """Have the server answer both fronts: plain requests, and WSGI."""
    observer = Observer(telemetry.requests, clock)
    router = server.router
    version = distribution_version(registry.DISTRIBUTION)
    live: Mapping[str, Check] = {"ping": lambda: None}
    ready: dict[str, Check] = {
        **live,
        "authentication": server.authentication_check,
        "rest-mapping": server.cluster.check,
        "shutdown": server.shutdown_check,
        "followed": partial(_followed, server.following),
        "providers": partial(_providers_check, server),
    }
    if server.configuration.path:
        ready["configuration"] = partial(_configuration_check, server.configuration)
    access = None
    if server.delegation is not None:
        access = Access(server.delegation.authenticator, server.delegation.authorizer)
    served = {group: telemetry.freshness.observer(group, clock.now) for group in GROUPS}
    failing = Failures(logger)
    answering = Answering(MetricReads(router, served), Probes(live, ready, logger), failing, access)
    failures.register(server, failing, access=access)
    server.register_blueprint(groups.blueprint(lambda: server.discovery.documents, lambda: _paths(server, ready)))
    for group in GROUPS:
        server.register_blueprint(metrics.blueprint(group, answering.respond))
    server.register_blueprint(write_metrics.blueprint(router, server.discovery.refresh_soon))
    server.register_blueprint(openapi.blueprint(version))
    server.register_blueprint(probes.blueprint(answering.respond))
    server.register_blueprint(process.blueprint(version, telemetry))
    server.register_blueprint(debug.blueprint(router.recent, ready))
    server.front = PlainFront(answering, observer)
    server.wsgi_app = ReadsTarget(Observation(server.wsgi_app, observer))  # type: ignore[method-assign]


def _followed(following: Following) -> Passing | None:
    """Say what is stale; that is never a failure: a hiccup of the cluster must not take all replicas out."""
    remark = following.remark()
    return None if remark is None else Passing(remark, remark="stale")


def _providers_check(server: MetricsServer) -> Passing | None:
    """Say which are away; the others serve."""
    away = [f"{each.name} is away: {each.away}" for each in server.providers if each.away]
    return Passing("; ".join(away), remark="away") if away else None


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
