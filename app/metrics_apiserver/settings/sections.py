"""The settings by concern, and the table of their names, defaults and help."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marshmallow import fields, validate

from metrics_apiserver.settings.durations import Duration, DurationField
from metrics_apiserver.settings.lists import BooleanField, ListField
from metrics_apiserver.settings.problems import Problem
from metrics_apiserver.settings.providers import ProviderSettings

__all__ = [
    "ENVIRONMENT_PREFIX",
    "AuthenticationSettings",
    "AuthorizationSettings",
    "ClusterSettings",
    "DiscoverySettings",
    "FunctionsSettings",
    "LoggingSettings",
    "ServingSettings",
    "Setting",
    "rows_of",
    "setting",
    "settings_by_section",
    "settings_table",
]

ENVIRONMENT_PREFIX = "METRICS_APISERVER_"


def _setting(default: Any, schema_field: fields.Field[Any], text: str) -> Any:
    """Declare a setting: its default, how it is read and checked, and its help."""
    return field(default=default, metadata={"field": schema_field, "help": text})


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """The socket: where to listen and with which certificate."""

    bind_address: str = _setting(
        "127.0.0.1",
        fields.String(validate=validate.Length(min=1)),
        "The address to listen on; without a cluster, a loopback address only.",
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
    tls_cipher_suites: tuple[str, ...] = _setting(
        (),
        ListField(keeps_empty=True),
        "The cipher suites of TLS 1.2, in Go's names with commas; by default those Go prefers.",
    )
    max_connections: int = _setting(
        2000, fields.Integer(validate=validate.Range(1, 100_000)), "The most connections that may be open at once."
    )
    request_timeout: float = _setting(
        Duration(10), DurationField(least=1), "How long a request may take before it is answered with 504."
    )
    shutdown_delay_duration: float = _setting(
        Duration(0),
        DurationField(least=0),
        "How long a stopping server goes on serving, no longer ready, before it refuses connections.",
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
    lister_kubeconfig: str = _setting(
        "", fields.String(), "The kubeconfig with which objects are listed and watched; --kubeconfig by default."
    )
    discovery_interval: float = _setting(
        Duration(600), DurationField(least=1), "How often the cluster's resources are read again."
    )
    client_qps: float = _setting(
        20.0,
        fields.Float(validate=validate.Range(0.1, 10_000)),
        "How many requests a second are sent to the cluster in the long run.",
    )
    client_burst: int = _setting(
        40,
        fields.Integer(validate=validate.Range(1, 10_000)),
        "How many requests may be sent to the cluster at once, beyond --client-qps.",
    )
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
class AuthenticationSettings:
    """How a cluster's server finds out who asks; what no flag gives comes from the cluster's own ConfigMap."""

    authentication_kubeconfig: str = _setting(
        "",
        fields.String(),
        "The kubeconfig with which tokens are reviewed and the CAs are looked up; --kubeconfig by default.",
    )
    authentication_skip_lookup: bool = _setting(
        False,  # noqa: FBT003 - the default of a flag
        BooleanField(),
        "Whether to leave the ConfigMap kube-system/extension-apiserver-authentication unread.",
    )
    authentication_tolerate_lookup_failure: bool = _setting(
        False,  # noqa: FBT003
        BooleanField(),
        "Whether to serve also while that ConfigMap cannot be read; its CAs then recognise nobody.",
    )
    api_audiences: tuple[str, ...] = _setting(
        (),
        ListField(keeps_empty=True),
        "The audiences of which a token must have one; by default those of the cluster's API.",
    )
    client_ca_file: str = _setting(
        "", fields.String(), "The CAs (PEM) that sign users' client certificates, instead of the cluster's."
    )
    requestheader_client_ca_file: str = _setting(
        "", fields.String(), "The CAs (PEM) that sign the front proxy's certificate, instead of the cluster's."
    )
    requestheader_allowed_names: tuple[str, ...] = _setting(
        (),
        ListField(keeps_empty=True),
        "The common names that a front proxy's certificate may have; any where the list is empty.",
    )
    requestheader_username_headers: tuple[str, ...] = _setting(
        ("x-remote-user",), ListField(), "The headers in which a front proxy names the user, the best first."
    )
    requestheader_uid_headers: tuple[str, ...] = _setting(
        ("x-remote-uid",), ListField(), "The headers in which a front proxy gives the user's UID, the best first."
    )
    requestheader_group_headers: tuple[str, ...] = _setting(
        ("x-remote-group",), ListField(), "The headers in which a front proxy lists the user's groups, one in each."
    )
    requestheader_extra_headers_prefix: tuple[str, ...] = _setting(
        ("x-remote-extra-",), ListField(), "How the headers begin in which a front proxy tells more of the user."
    )


@dataclass(frozen=True, slots=True)
class AuthorizationSettings:
    """How a cluster's server finds out whether that user may."""

    authorization_kubeconfig: str = _setting(
        "", fields.String(), "The kubeconfig with which access is reviewed; --kubeconfig by default."
    )
    authorization_always_allow_paths: tuple[str, ...] = _setting(
        ("/healthz", "/livez", "/readyz"), ListField(), "The paths that everybody may read; /x/* is all below /x."
    )


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """How much of what the providers list is shown."""

    discovery_limit: int = _setting(
        2000, fields.Integer(validate=validate.Range(1, 100_000)), "The most metrics that one API version lists."
    )


@dataclass(frozen=True, slots=True)
class FunctionsSettings:
    """Metrics that are functions, without a configuration of their provider."""

    metrics: tuple[str, ...] = _setting(
        (), ListField(), "A Python file of metrics as functions: one more provider, with the file's name."
    )

    @property
    def instances(self) -> tuple[ProviderSettings, ...]:
        """One provider instance for each file."""
        return tuple(ProviderSettings(Path(file).stem, "functions", {"file": file}) for file in self.metrics)


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """What is logged."""

    v: int = _setting(2, fields.Integer(validate=validate.Range(0, 10)), "Verbosity, as klog counts: 2 is the default.")
    log_format: str = _setting(
        "text", fields.String(validate=validate.OneOf(["text", "json"])), "How a line of the log looks: text or json."
    )


_SECTIONS: tuple[tuple[str, type[Any]], ...] = (
    ("serving", ServingSettings),
    ("the cluster", ClusterSettings),
    ("authentication", AuthenticationSettings),
    ("authorization", AuthorizationSettings),
    ("discovery", DiscoverySettings),
    ("functions", FunctionsSettings),
    ("the log", LoggingSettings),
)
# What values are called in a usage line.
_TAKES = {"secure_port": "PORT", "bind_address": "ADDRESS", "cert_dir": "FOLDER", "metrics": "FILE"}
_TAKES_OF: dict[type[Any], str] = {
    DurationField: "DURATION",
    ListField: "LIST",
    BooleanField: "BOOL",
    fields.Integer: "NUMBER",
    fields.Float: "NUMBER",
    fields.String: "TEXT",
}


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

    @property
    def switch(self) -> bool:
        """Whether it is true or false, and the flag alone means true."""
        return isinstance(self.schema_field, BooleanField)

    @property
    def several(self) -> bool:
        """Whether it is a list, to which a repeated flag adds."""
        return isinstance(self.schema_field, ListField)

    @property
    def takes(self) -> str:
        """What its value is, as a usage line says it: `PORT`, `FILE`, `DURATION`."""
        if self.name.endswith(("_file", "kubeconfig")) or self.name == "objects":
            return "FILE"
        return _TAKES.get(self.name) or _TAKES_OF.get(type(self.schema_field), "VALUE")

    @property
    def default_text(self) -> str:
        """The default as one would write it; empty where there is none."""
        if self.switch:
            return str(self.default).lower()
        return ",".join(self.default) if self.several else str(self.default)

    def problem(self, text: str, value: object = None) -> Problem:
        """Return what is wrong with it: `--secure-port=VALUE: text`, without the value where that is None."""
        begin = self.flag if value is None else f"{self.flag}={value}"
        return Problem(f"{begin}: {text}", (self.key,))


def settings_table() -> list[Setting]:
    """List every setting that has a flag, in the order of the sections."""
    return [setting for _, rows in settings_by_section() for setting in rows]


def settings_by_section() -> list[tuple[str, list[Setting]]]:
    """List the sections by what they are about, each with its settings."""
    return [(title, list(rows_of(section))) for title, section in _SECTIONS]


def setting(name: str) -> Setting:
    """Return the row of this name, as its section has it: `secure_port`."""
    return next(row for row in settings_table() if row.name == name)


def rows_of(section: type[Any]) -> Iterator[Setting]:
    """List the settings of one section."""
    for item in dataclasses.fields(section):
        if "field" in item.metadata:
            yield Setting(item.name, item.metadata["help"], item.default, item.metadata["field"])
