"""Where the cluster is and who we are to it: a named kubeconfig or a pod's own account, and nothing else."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.config.kube_config import KubeConfigLoader
from urllib3.exceptions import HTTPError

from metrics_apiserver.settings import SERVICE_ACCOUNT, in_cluster

__all__ = ["ClusterConfigError", "load_client"]

# How many idle connections are kept: one for each watch that there may be, and some.
_CONNECTIONS = 80
# A cluster that is gone without a word is noticed within a minute, while nothing but a watch is under way.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
# What a kubeconfig of another shape makes the client library raise, besides its own exception.
_MALFORMED = (ConfigException, OSError, AttributeError, LookupError, TypeError, ValueError)


class ClusterConfigError(ValueError):
    """The cluster's configuration cannot be used; the sentence says why."""


def load_client(
    kubeconfig: str, *, environ: Mapping[str, str] = os.environ, account: Path = SERVICE_ACCOUNT
) -> ApiClient:
    """Make the client of a kubeconfig file, or with "" that of the pod's service account.

    Connects to nothing. A private key inside the kubeconfig becomes a temporary file, which this process removes
    when it ends: call it in the process that uses it. Raises ClusterConfigError.
    """
    # Not the library's default host (http://localhost): a kubeconfig without a server must not mean that.
    configuration = Configuration(host="")
    if kubeconfig:
        _load_kubeconfig(Path(kubeconfig), configuration)
    elif in_cluster(environ, account=account):
        _load_account(account, environ, configuration)
    else:
        raise ClusterConfigError("no kubeconfig is named, and this is not a pod with a service account")
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.retries = False
    configuration.socket_options = _socket_options()
    configuration.proxy = _proxy(configuration.proxy)
    try:
        client = ApiClient(configuration)
    except (HTTPError, ValueError) as error:
        # Of the address itself only the variable is told: it may hold a password.
        raise ClusterConfigError(f"the proxy of HTTPS_PROXY (or ALL_PROXY) cannot be used: {_kind(error)}") from None
    client.user_agent = _user_agent()
    return client


def _proxy(url: str | None) -> str | None:
    """Return the address of a proxy; one without a scheme is HTTP's, as for Go (x/net/http/httpproxy)."""
    return f"http://{url}" if url and "://" not in url else url


def _kind(error: Exception) -> str:
    return "it is not an address with the scheme http, https or socks5" if isinstance(error, HTTPError) else str(error)


def _load_account(account: Path, environ: Mapping[str, str], configuration: Configuration) -> None:
    # The loader leaves a hook that reads the token again every minute.
    loader = InClusterConfigLoader(str(account / "token"), str(account / "ca.crt"), environ=environ)
    try:
        loader.load_and_set(configuration)
    except (ConfigException, OSError) as error:
        raise ClusterConfigError(f"the pod's service account cannot be used: {error}") from error


def _load_kubeconfig(path: Path, configuration: Configuration) -> None:
    document = _read_kubeconfig(path)
    if not document.get("current-context"):
        raise ClusterConfigError(f"{path}: no current-context is set")
    try:
        KubeConfigLoader(document, config_base_path=str(path.parent)).load_and_set(configuration)
        token_file = _current_user(document).get("tokenFile")
    except _MALFORMED as error:
        raise ClusterConfigError(f"{path}: not a usable kubeconfig: {error}") from error
    if not configuration.host:
        raise ClusterConfigError(f"{path}: the cluster of the current context names no server")
    if token_file:
        _follow_token(path.parent / token_file, configuration)


def _read_kubeconfig(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ClusterConfigError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        # Not chained: a YAML error quotes the line, and that may hold a key.
        raise ClusterConfigError(f"{path}: not YAML{_place(error)}") from None
    if not isinstance(document, dict):
        raise ClusterConfigError(f"{path}: not a kubeconfig: a mapping is expected")
    return document


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1})" if mark else ""


def _current_user(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the user entry of the current context, of a kubeconfig that the library could read."""
    contexts = {entry["name"]: entry["context"] for entry in document["contexts"]}
    users = {entry["name"]: entry["user"] for entry in document.get("users") or ()}
    return users.get(contexts[document["current-context"]].get("user")) or {}


def _follow_token(path: Path, configuration: Configuration) -> None:
    """Read the token for every request, as client-go follows a tokenFile: the library reads it once, and it expires."""

    def refresh(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = f"Bearer {path.read_text(encoding='utf-8').strip()}"

    configuration.refresh_api_key_hook = refresh


def _socket_options() -> list[tuple[int, int, int]]:
    """Return urllib3's own options, which ours replace, and keepalive as far as the platform has it."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def _user_agent() -> str:
    try:
        number = version("metrics-apiserver")
    except PackageNotFoundError:
        number = "unknown"
    return f"metrics-apiserver/{number} ({sys.platform}/{platform.machine()})"
