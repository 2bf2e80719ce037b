"""A configuration, read and checked: for the start, for `validate`, for a worker, and for a file that has changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from importlib import resources

import yaml

from metrics_apiserver import registry
from metrics_apiserver.ciphers import cipher_problems
from metrics_apiserver.configuration.checks import settings_problems
from metrics_apiserver.configuration.sources import Source
from metrics_apiserver.kube.authorities import authority_problems
from metrics_apiserver.settings import (
    AuthenticationSettings,
    AuthorizationSettings,
    ClusterSettings,
    DiscoverySettings,
    LoggingSettings,
    Problem,
    ProviderSettings,
    ServingSettings,
    Settings,
    SettingsError,
    in_cluster,
)
from metrics_apiserver.settings.schema import InstanceSchema
from metrics_apiserver.settings.sections import FunctionsSettings

__all__ = ["load", "located", "read", "settings_from"]

# What a server without any setting serves, and the objects of standalone mode where nobody names others.
_BUNDLED = resources.files("metrics_apiserver") / "embedded"


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Read the settings of these variables, and of the file that they name. Raises SettingsError with every problem.

    What the settings name (providers, certificate authorities) is not looked at.
    """
    settings, problems = read(environ)
    if problems:
        raise SettingsError(problems)
    return settings


def load(environ: Mapping[str, str], content: bytes | None = None) -> tuple[Settings, list[Problem]]:
    """Read the settings, and say what is wrong with them and what they name, but for the serving certificate.

    `content` is what the file of --config holds, where it was read already.
    """
    settings, problems = read(environ, content)
    problems += located(
        settings,
        [
            *registry.check(settings.providers),
            *authority_problems(settings.authentication),
            *cipher_problems(settings.serving.tls_cipher_suites),
        ],
    )
    return settings, problems


def read(environ: Mapping[str, str], content: bytes | None = None) -> tuple[Settings, list[Problem]]:
    """Read the settings, with the default in the place of what is wrong, and say what is wrong."""
    source = Source.open(environ, content)
    cluster = dataclasses.replace(source.section(ClusterSettings), in_cluster=in_cluster(environ))
    providers, functions = source.providers(), source.section(FunctionsSettings)
    if cluster.standalone:
        if providers is None:
            providers = _embedded(cluster, writable=not functions.metrics)
        if not cluster.objects:
            cluster = dataclasses.replace(cluster, objects=str(_BUNDLED / "objects.yaml"))
    settings = Settings(
        serving=source.section(ServingSettings),
        cluster=cluster,
        authentication=source.section(AuthenticationSettings),
        authorization=source.section(AuthorizationSettings),
        discovery=source.section(DiscoverySettings),
        logging=source.section(LoggingSettings),
        providers=(*(providers or ()), *functions.instances),
        origin=source.origin,
    )
    source.refuse_unknown()
    return settings, source.problems + source.located(settings_problems(settings))


def located(settings: Settings, problems: Iterable[Problem]) -> list[Problem]:
    """Give each problem of these settings the line of the file that it comes from."""
    found = list(problems)
    return Source.open(settings.origin.environ, settings.origin.content).located(found) if found else []


def _embedded(cluster: ClusterSettings, *, writable: bool) -> tuple[ProviderSettings, ...]:
    """Return the bundled default of standalone mode: the writable provider, with values to look at.

    Who brings objects of their own gets it without the values, which belong to the bundled objects. Who brings metrics
    of their own gets none.
    """
    if not writable:
        return ()
    if cluster.objects:
        return (ProviderSettings(name="writable", kind="writable"),)
    document = yaml.safe_load((_BUNDLED / "config.yaml").read_text(encoding="utf-8"))
    return tuple(InstanceSchema(many=True).load(document["providers"]))
