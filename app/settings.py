"""What can be set: frozen dataclasses by concern, read from flags, environment and a YAML file, checked as a whole.

Precedence: flag, `METRICS_APISERVER_*`, file (`--config`), default. `metrics-apiserver serve` hands its flags on as
environment variables, so that `gunicorn wsgi:app` and the command read the same settings by the same code.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from marshmallow import Schema, ValidationError, fields, validate

__all__ = [
    "ENVIRONMENT_PREFIX",
    "ClusterSettings",
    "DiscoverySettings",
    "LoggingSettings",
    "ProviderSettings",
    "ServingSettings",
    "Setting",
    "Settings",
    "SettingsError",
    "flatten_messages",
    "settings_table",
]

ENVIRONMENT_PREFIX = "METRICS_APISERVER_"
# Where Kubernetes mounts the account of a pod (client-go `rest.InClusterConfig`).
_IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

_Section = TypeVar("_Section")


class SettingsError(ValueError):
    """The configuration is wrong; `problems` has every reason, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


def _setting(default: Any, schema_field: fields.Field[Any], text: str) -> Any:
    """Declare a setting: its default, how it is read and checked, and its help."""
    return field(default=default, metadata={"field": schema_field, "help": text})


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """The socket: where to listen and with which certificate."""

    bind_address: str = _setting(
        "127.0.0.1", fields.String(validate=validate.Length(min=1)), "The address to listen on; loopback only so far."
    )
    secure_port: int = _setting(
        6443, fields.Integer(validate=validate.Range(1, 65535)), "The port to serve HTTPS on, with both APIs."
    )
    cert_dir: str = _setting(
        "apiserver.local.config/certificates",
        fields.String(validate=validate.Length(min=1)),
        "The folder for the self-signed certificate that is made when none is given.",
    )
    tls_cert_file: str = _setting("", fields.String(), "The serving certificate (PEM, intermediates after it).")
    tls_private_key_file: str = _setting("", fields.String(), "The private key of --tls-cert-file (PEM).")
    tls_min_version: str = _setting(
        "VersionTLS12",
        fields.String(validate=validate.OneOf(["VersionTLS12", "VersionTLS13"])),
        "The oldest TLS version to accept: VersionTLS12 or VersionTLS13.",
    )
    service_name: str = _setting(
        "metrics-apiserver",
        fields.String(validate=validate.Regexp(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")),
        "The Service that the APIServices name; part of the self-signed certificate.",
    )
    service_namespace: str = _setting(
        "metrics-apiserver",
        fields.String(validate=validate.Regexp(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")),
        "The namespace of --service-name.",
    )


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The cluster whose objects have metrics; without one the server is standalone."""

    kubeconfig: str = _setting("", fields.String(), "The kubeconfig of the cluster; in a pod its own account is used.")
    objects: str = _setting("", fields.String(), "Standalone: a file with the objects that exist (Kubernetes YAML).")
    in_cluster: bool = False

    @property
    def standalone(self) -> bool:
        """Whether there is no cluster."""
        return not self.kubeconfig and not self.in_cluster

    @property
    def mode(self) -> str:
        """The mode and why, for the first log line."""
        if self.kubeconfig:
            return f"cluster mode: --kubeconfig names {self.kubeconfig}"
        if self.in_cluster:
            return "cluster mode: running in a pod with a service account"
        return "standalone mode: no --kubeconfig, and not in a cluster"


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """How much of what the providers list is shown."""

    discovery_limit: int = _setting(
        2000, fields.Integer(validate=validate.Range(1, 100_000)), "The most metrics that one API version lists."
    )


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """What is logged."""

    v: int = _setting(2, fields.Integer(validate=validate.Range(0, 10)), "Verbosity, as klog counts: 2 is the default.")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider instance: its name, the entry point's name, and its options as they were written."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


class _ProviderSchema(Schema):
    name = fields.String(required=True, validate=validate.Length(min=1))
    kind = fields.String(required=True, validate=validate.Length(min=1))
    options = fields.Dict(keys=fields.String(), load_default=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table of settings: its names in the three places, its help and its default."""

    name: str
    help: str
    default: Any
    schema_field: fields.Field[Any]

    @property
    def flag(self) -> str:
        """The flag: `--secure-port`; verbosity is `-v`, as everywhere in Kubernetes."""
        return "-v" if self.name == "v" else "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable: `METRICS_APISERVER_SECURE_PORT`."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def key(self) -> str:
        """The key in the file: `securePort`."""
        return re.sub(r"_([a-z])", lambda letter: letter[1].upper(), self.name)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    serving: ServingSettings = ServingSettings()
    cluster: ClusterSettings = ClusterSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    logging: LoggingSettings = LoggingSettings()
    providers: tuple[ProviderSettings, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read and check the settings. Raises SettingsError with every problem."""
        settings, problems = cls.load(environ)
        if problems:
            raise SettingsError(problems)
        return settings

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
        """Read the settings, with the default in the place of what is wrong, and say what is wrong."""
        problems: list[str] = []
        file = environ.get(ENVIRONMENT_PREFIX + "CONFIG", "")
        source = _Source(environ, file, _read_config(file, problems) if file else {}, problems)
        cluster = dataclasses.replace(
            source.section(ClusterSettings),
            in_cluster="KUBERNETES_SERVICE_HOST" in environ and _IN_CLUSTER_TOKEN.exists(),
        )
        providers = source.providers()
        if providers is None and cluster.standalone:
            providers, cluster = _embedded(cluster)
        settings = cls(
            serving=source.section(ServingSettings),
            cluster=cluster,
            discovery=source.section(DiscoverySettings),
            logging=source.section(LoggingSettings),
            providers=providers or (),
        )
        source.refuse_unknown()
        return settings, problems + settings.validate() + _worker_problems(environ)

    def validate(self) -> list[str]:
        """Say everything that is wrong across single settings."""
        problems = []
        serving, cluster = self.serving, self.cluster
        if not _is_loopback(serving.bind_address):
            problems.append(
                f"--bind-address={serving.bind_address}: this server does not authorize requests yet and listens on"
                " loopback only; use 127.0.0.1, ::1 or localhost"
            )
        if bool(serving.tls_cert_file) != bool(serving.tls_private_key_file):
            problems.append("--tls-cert-file and --tls-private-key-file belong together: give both or neither")
        for flag, path in (
            ("--tls-cert-file", serving.tls_cert_file),
            ("--tls-private-key-file", serving.tls_private_key_file),
            ("--kubeconfig", cluster.kubeconfig),
            ("--objects", cluster.objects),
        ):
            if path and not os.access(path, os.R_OK):
                problems.append(f"{flag}={path}: there is no such file, or it cannot be read")
        if cluster.objects and not cluster.standalone:
            problems.append(f"--objects={cluster.objects}: a cluster has its own objects; leave it out there")
        if not self.providers:
            problems.append("no provider is configured: name one with --provider, or list them in --config")
        return problems + _duplicates(provider.name for provider in self.providers)


@dataclass(slots=True)
class _Source:
    """The three places a value can come from, best first."""

    environ: Mapping[str, str]
    path: str
    file: Mapping[str, Any]
    problems: list[str]

    def section(self, kind: type[_Section]) -> _Section:
        values = {}
        for setting in _rows(kind):
            raw, where = self.raw(setting)
            if raw is None:
                continue
            try:
                values[setting.name] = setting.schema_field.deserialize(raw)
            except ValidationError as error:
                self.problems += [f"{where}={raw}: {message}" for message in flatten_messages(error.messages)]
        return kind(**values)

    def raw(self, setting: Setting) -> tuple[Any, str]:
        if setting.variable in self.environ:
            return self.environ[setting.variable], f"{setting.flag} ({setting.variable})"
        return self.file.get(setting.key), f"{setting.key} in {self.path}"

    def providers(self) -> tuple[ProviderSettings, ...] | None:
        """The provider instances; None where nobody named any."""
        names = self.environ.get(ENVIRONMENT_PREFIX + "PROVIDER")
        if names is not None:
            listed = [name.strip() for name in names.split(",") if name.strip()]
            return tuple(ProviderSettings(name=name, kind=name) for name in listed)
        if "providers" not in self.file:
            return None
        try:
            loaded = _ProviderSchema(many=True).load(self.file["providers"])
        except ValidationError as error:
            self.problems += [f"providers in {self.path}: {message}" for message in flatten_messages(error.messages)]
            # Known to be wrong already: not to be reported as missing as well.
            return (ProviderSettings(name="", kind=""),)
        return tuple(ProviderSettings(**provider) for provider in loaded)

    def refuse_unknown(self) -> None:
        """A misspelt name must not be taken for the default."""
        rows = settings_table()
        known = {setting.variable for setting in rows} | {ENVIRONMENT_PREFIX + name for name in ("CONFIG", "PROVIDER")}
        keys = {setting.key for setting in rows} | {"providers"}
        for variable in sorted(self.environ):
            if variable.startswith(ENVIRONMENT_PREFIX) and variable not in known | _OTHER_VARIABLES:
                self.problems.append(f"{variable}: there is no such setting")
        self.problems += [f"{key} in {self.path}: there is no such setting" for key in sorted(set(self.file) - keys)]


# Variables with our prefix that are no settings of the server: the cache folder of the project's own tools.
_OTHER_VARIABLES = {ENVIRONMENT_PREFIX + "CACHE"}


def settings_table() -> list[Setting]:
    """List every setting that has a flag, in the order of the sections."""
    sections = (ServingSettings, ClusterSettings, DiscoverySettings, LoggingSettings)
    return [setting for section in sections for setting in _rows(section)]


def _rows(section: type[Any]) -> Iterator[Setting]:
    for item in dataclasses.fields(section):
        if "field" in item.metadata:
            yield Setting(item.name, item.metadata["help"], item.default, item.metadata["field"])


def _read_config(file: str, problems: list[str]) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"--config={file}: {error.strerror}")
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"--config={file}: not YAML: {' '.join(str(error).split())}")
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        problems.append(f"--config={file}: a mapping of settings is expected")
        return {}
    return document


def _embedded(cluster: ClusterSettings) -> tuple[tuple[ProviderSettings, ...], ClusterSettings]:
    """Give the bundled default of standalone mode: the writable provider, with objects and values to look at.

    Who brings objects of their own gets the provider without the values, which belong to the bundled objects.
    """
    folder = resources.files("app") / "embedded"
    if cluster.objects:
        return (ProviderSettings(name="writable", kind="writable"),), cluster
    document = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    providers = tuple(ProviderSettings(**provider) for provider in document["providers"])
    return providers, dataclasses.replace(cluster, objects=str(folder / "objects.yaml"))


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _duplicates(names: Iterator[str] | Sequence[str]) -> list[str]:
    listed = list(names)
    twice = sorted({name for name in listed if listed.count(name) > 1})
    return [f"providers: the name {name} is given twice; every instance needs its own" for name in twice]


def _worker_problems(environ: Mapping[str, str]) -> list[str]:
    """Refuse gunicorn's own switch for more workers: a provider's memory would be a different one in each."""
    workers = environ.get("WEB_CONCURRENCY", "1")
    if workers.strip() in ("", "0", "1"):
        return []
    return [
        f"WEB_CONCURRENCY={workers}: more than one worker needs providers that share their state;"
        " run more replicas instead"
    ]


def flatten_messages(messages: Any, path: str = "") -> list[str]:
    """Turn marshmallow's nested messages into sentences that name the place."""
    if isinstance(messages, Mapping):
        join: Callable[[Any], str] = lambda key: f"{path}.{key}" if path else str(key)  # noqa: E731 - one use, here
        return [line for key, inner in messages.items() for line in flatten_messages(inner, join(key))]
    if isinstance(messages, (list, tuple)):
        return [line for inner in messages for line in flatten_messages(inner, path)]
    place = path.removesuffix("._schema").removesuffix("_schema")
    return [f"{place}: {messages}" if place else str(messages)]
