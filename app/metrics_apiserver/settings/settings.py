"""All settings together: read, checked as a whole, with the embedded default where nothing is configured."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import yaml

from metrics_apiserver.settings.checks import access_problems, bind_problems
from metrics_apiserver.settings.providers import ProviderSettings
from metrics_apiserver.settings.schema import InstanceSchema
from metrics_apiserver.settings.sections import (
    AuthenticationSettings,
    AuthorizationSettings,
    ClusterSettings,
    DiscoverySettings,
    FunctionsSettings,
    LoggingSettings,
    ServingSettings,
)
from metrics_apiserver.settings.sources import Source

__all__ = ["SERVICE_ACCOUNT", "Settings", "SettingsError", "in_cluster"]

# Where Kubernetes mounts the account of a pod (client-go `rest.InClusterConfig`).
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class SettingsError(ValueError):
    """The configuration is wrong; `problems` has every reason, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


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
    # Where they come from: for the lines of problems, and to read them again.
    source: Source = field(default_factory=Source, compare=False, repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read and check the settings. Raises SettingsError with every problem."""
        settings, problems = cls.load(environ)
        if problems:
            raise SettingsError(problems)
        return settings

    @classmethod
    def load(cls, environ: Mapping[str, str], content: bytes | None = None) -> tuple[Settings, list[str]]:
        """Read the settings, with the default in the place of what is wrong, and say what is wrong.

        `content` is what the file of --config holds, where it was read already.
        """
        source = Source.open(environ, content)
        cluster = dataclasses.replace(source.section(ClusterSettings), in_cluster=in_cluster(environ))
        providers, functions = source.providers(), source.section(FunctionsSettings)
        if providers is None and cluster.standalone:
            providers, cluster = _embedded(cluster, writable=not functions.metrics)
        settings = cls(
            serving=source.section(ServingSettings),
            cluster=cluster,
            authentication=source.section(AuthenticationSettings),
            authorization=source.section(AuthorizationSettings),
            discovery=source.section(DiscoverySettings),
            logging=source.section(LoggingSettings),
            providers=(*(providers or ()), *functions.instances),
            source=source,
        )
        source.refuse_unknown()
        return settings, source.problems + settings.validate() + _worker_problems(environ)

    def validate(self) -> list[str]:
        """Say everything that is wrong across single settings."""
        serving, cluster, authentication = self.serving, self.cluster, self.authentication
        problems = bind_problems(serving.bind_address, standalone=cluster.standalone)
        if bool(serving.tls_cert_file) != bool(serving.tls_private_key_file):
            problems.append("--tls-cert-file and --tls-private-key-file belong together: give both or neither")
        for flag, path in (
            ("--tls-cert-file", serving.tls_cert_file),
            ("--tls-private-key-file", serving.tls_private_key_file),
            ("--kubeconfig", cluster.kubeconfig),
            ("--lister-kubeconfig", cluster.lister_kubeconfig),
            ("--authentication-kubeconfig", authentication.authentication_kubeconfig),
            ("--authorization-kubeconfig", self.authorization.authorization_kubeconfig),
            ("--client-ca-file", authentication.client_ca_file),
            ("--requestheader-client-ca-file", authentication.requestheader_client_ca_file),
            ("--objects", cluster.objects),
        ):
            if path and not os.access(path, os.R_OK):
                problems.append(f"{flag}={path}: there is no such file, or it cannot be read")
        if cluster.objects and not cluster.standalone:
            problems.append(f"--objects={cluster.objects}: a cluster has its own objects; leave it out there")
        if cluster.lister_kubeconfig and cluster.standalone:
            problems.append(
                f"--lister-kubeconfig={cluster.lister_kubeconfig}: there is no cluster; name it with --kubeconfig"
            )
        problems += access_problems(authentication, self.authorization, standalone=cluster.standalone)
        problems = [self.source.placed(problem) for problem in problems]
        if not self.providers:
            line = f"{self.source.document.at(('providers',))}: " if "providers" in self.source.document.values else ""
            problems.append(f"{line}no provider is configured: name one with --provider, or list them in --config")
        return [*problems, *self._duplicates()]

    def _duplicates(self) -> Iterator[str]:
        """Refuse two instances of one name; each is told by the later one's line."""
        names = [provider.name for provider in self.providers]
        for number, name in enumerate(names):
            if name and name in names[:number]:
                line = self.source.provider_line(number, ("name",))
                yield f"{line}providers: the name {name} is given twice; every instance needs its own"


def in_cluster(environ: Mapping[str, str] = os.environ, *, account: Path = SERVICE_ACCOUNT) -> bool:
    """Return whether this is a pod with a service account."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and (account / "token").is_file()


def _embedded(cluster: ClusterSettings, *, writable: bool) -> tuple[tuple[ProviderSettings, ...], ClusterSettings]:
    """Return the bundled default of standalone mode: the writable provider, with objects and values to look at.

    Who brings objects of their own gets the provider without the values, which belong to the bundled objects. Who
    brings metrics of their own gets the objects alone.
    """
    folder = resources.files("metrics_apiserver") / "embedded"
    if not writable:
        return (), cluster if cluster.objects else dataclasses.replace(cluster, objects=str(folder / "objects.yaml"))
    if cluster.objects:
        return (ProviderSettings(name="writable", kind="writable"),), cluster
    document = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    providers = tuple(InstanceSchema(many=True).load(document["providers"]))
    return providers, dataclasses.replace(cluster, objects=str(folder / "objects.yaml"))


def _worker_problems(environ: Mapping[str, str]) -> list[str]:
    """Refuse gunicorn's own switch for more workers: a provider's memory would be a different one in each."""
    workers = environ.get("WEB_CONCURRENCY", "1")
    if workers.strip() in ("", "0", "1"):
        return []
    return [
        f"WEB_CONCURRENCY={workers}: more than one worker needs providers that share their state;"
        " run more replicas instead"
    ]
