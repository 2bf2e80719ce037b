"""All settings together, and where they come from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metrics_apiserver.settings.problems import Problem
from metrics_apiserver.settings.providers import ProviderSettings
from metrics_apiserver.settings.sections import (
    AuthenticationSettings,
    AuthorizationSettings,
    ClusterSettings,
    DiscoverySettings,
    LoggingSettings,
    ServingSettings,
)

__all__ = ["SERVICE_ACCOUNT", "Origin", "Settings", "SettingsError", "in_cluster"]

# Where Kubernetes mounts the account of a pod (client-go `rest.InClusterConfig`).
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class SettingsError(ValueError):
    """The configuration is wrong; `problems` has every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, problems)))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where settings come from: the environment, and the file of --config with what it held; no file: an empty path."""

    environ: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    serving: ServingSettings = field(default_factory=ServingSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    authentication: AuthenticationSettings = field(default_factory=AuthenticationSettings)
    authorization: AuthorizationSettings = field(default_factory=AuthorizationSettings)
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    providers: tuple[ProviderSettings, ...] = ()
    # To read them again, and for the lines of problems that are found later.
    origin: Origin = field(default_factory=Origin, compare=False, repr=False)


def in_cluster(environ: Mapping[str, str] = os.environ, *, account: Path = SERVICE_ACCOUNT) -> bool:
    """Return whether this is a pod with a service account."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and (account / "token").is_file()
