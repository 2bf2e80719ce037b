"""What can be wrong with the settings as a whole: where the server listens, who may ask, which files are read."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping

from metrics_apiserver.settings import (
    AuthenticationSettings,
    AuthorizationSettings,
    ClusterSettings,
    Problem,
    ProviderSettings,
    ServingSettings,
    Settings,
    setting,
)
from metrics_apiserver.settings.sections import rows_of

__all__ = ["settings_problems"]

# A token of RFC 9110 without the underscore: a header with one is dropped, since WSGI cannot tell it from a hyphen.
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^`|~0-9A-Za-z]+")
# Settings that name a file.
_FILES = (
    "tls_cert_file",
    "tls_private_key_file",
    "kubeconfig",
    "lister_kubeconfig",
    "authentication_kubeconfig",
    "authorization_kubeconfig",
    "client_ca_file",
    "requestheader_client_ca_file",
    "objects",
)


def settings_problems(settings: Settings) -> list[Problem]:
    """Return everything that is wrong across single settings; no line is known yet."""
    standalone = settings.cluster.standalone
    return [
        *_bind_problems(settings.serving, standalone=standalone),
        *_file_problems(settings),
        *_cluster_problems(settings.cluster),
        *_access_problems(settings.authentication, settings.authorization, standalone=standalone),
        *_provider_problems(settings.providers),
        *_worker_problems(settings.origin.environ),
    ]


def _bind_problems(serving: ServingSettings, *, standalone: bool) -> Iterator[Problem]:
    """Refuse to be reached from the network where nobody authorizes."""
    if standalone and not _is_loopback(serving.bind_address):
        yield setting("bind_address").problem(
            "without a cluster nobody authorizes requests, and this server listens on loopback only; use 127.0.0.1,"
            " ::1 or localhost, or name a cluster with --kubeconfig",
            serving.bind_address,
        )


def _file_problems(settings: Settings) -> Iterator[Problem]:
    cert_file, key_file = settings.serving.tls_cert_file, settings.serving.tls_private_key_file
    if bool(cert_file) != bool(key_file):
        given = setting("tls_cert_file" if cert_file else "tls_private_key_file")
        yield Problem("--tls-cert-file and --tls-private-key-file belong together: give both or neither", (given.key,))
    sections = (settings.serving, settings.cluster, settings.authentication, settings.authorization)
    paths = {name: getattr(section, name) for section in sections for name in _FILES if hasattr(section, name)}
    for name, path in paths.items():
        if path and not os.access(path, os.R_OK):
            yield setting(name).problem("there is no such file, or it cannot be read", path)


def _cluster_problems(cluster: ClusterSettings) -> Iterator[Problem]:
    """Refuse what has no meaning with a cluster, or without one."""
    if cluster.objects and not cluster.standalone:
        yield setting("objects").problem("a cluster has its own objects; leave it out there", cluster.objects)
    if cluster.lister_kubeconfig and cluster.standalone:
        text = "there is no cluster; name it with --kubeconfig"
        yield setting("lister_kubeconfig").problem(text, cluster.lister_kubeconfig)


def _access_problems(
    authentication: AuthenticationSettings, authorization: AuthorizationSettings, *, standalone: bool
) -> Iterator[Problem]:
    """Return what is wrong with authentication and authorization."""
    if standalone:
        yield from _without_cluster(authentication, authorization)
    for row in rows_of(AuthenticationSettings):
        if row.name.startswith("requestheader_") and "_headers" in row.name:
            for name in getattr(authentication, row.name):
                if not _HEADER_NAME.fullmatch(name):
                    yield row.problem("not the name of a header (letters, digits and hyphens, no underscore)", name)
    if authentication.requestheader_client_ca_file and not authentication.requestheader_username_headers:
        row = setting("requestheader_username_headers")
        yield Problem(f"{row.flag} is empty: a front proxy could name no user; give one at least", (row.key,))
    for path in authorization.authorization_always_allow_paths:
        if not path.startswith("/"):
            yield setting("authorization_always_allow_paths").problem("a path begins with /", path)


def _without_cluster(authentication: AuthenticationSettings, authorization: AuthorizationSettings) -> Iterator[Problem]:
    """Refuse what would have no effect: somebody relies on it."""
    for section in (authentication, authorization):
        for row in rows_of(type(section)):
            if getattr(section, row.name) != row.default:
                yield row.problem("there is no cluster, and nobody checks who asks; name one with --kubeconfig")


def _provider_problems(providers: tuple[ProviderSettings, ...]) -> Iterator[Problem]:
    """Refuse none, and two of one name; the later one is told."""
    if not providers:
        yield Problem("no provider is configured: name one with --provider, or list them in --config", ("providers",))
    names = [provider.name for provider in providers]
    for number, name in enumerate(names):
        if name and name in names[:number]:
            yield Problem(
                f"providers: the name {name} is given twice; every instance needs its own",
                ("providers", number, "name"),
            )


def _worker_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Refuse gunicorn's own switch for more workers: a provider's memory would be a different one in each."""
    workers = environ.get("WEB_CONCURRENCY", "1")
    if workers.strip() not in ("", "0", "1"):
        yield Problem(
            f"WEB_CONCURRENCY={workers}: more than one worker needs providers that share their state;"
            " run more replicas instead"
        )


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
