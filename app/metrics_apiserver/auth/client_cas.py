"""Who may sign clients' certificates, as of now: from the flags' files, else from the cluster's ConfigMap.

Both change while the server runs. What is in force is one immutable object, swapped as a whole; whatever was decided
by an older one is decided anew.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from metrics_apiserver.auth.certificates import CertificateBundle
from metrics_apiserver.auth.front_proxy import RequestHeaders
from metrics_apiserver.kube.authorities import parse_authorities
from metrics_apiserver.settings import AuthenticationSettings

__all__ = ["ClientCAs", "ClientCAsInForce"]

_Found = TypeVar("_Found")

_CLIENT_CA, _PROXY_CA = "client-ca-file", "requestheader-client-ca-file"


@dataclass(frozen=True, slots=True)
class ClientCAsInForce:
    """Both CAs, and the header fields that belong to the second; no `generation` is used twice."""

    generation: int = 0
    client: CertificateBundle = field(default_factory=CertificateBundle)
    proxy: CertificateBundle = field(default_factory=CertificateBundle)
    headers: RequestHeaders = field(default_factory=RequestHeaders)

    @property
    def ders(self) -> tuple[bytes, ...]:
        """Every CA certificate (DER), each once."""
        return tuple(dict.fromkeys(self.client.ders + self.proxy.ders))


class ClientCAs:
    """Holds the CAs in force; each source tells it what it has found, from threads of their own.

    What cannot be read is not taken over: the old one stays, and the log says so, once.
    """

    def __init__(self, settings: AuthenticationSettings, logger: logging.Logger) -> None:
        self._settings = settings
        self._logger = logger
        self._lock = threading.Lock()
        # By source: what is in use of it, and what is wrong with what it has now.
        self._taken: dict[str, object] = {}
        self._problems: dict[str, str] = {}
        self._looked_up = False
        self.in_force = ClientCAsInForce(headers=_headers_of_flags(settings))

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the flags name."""
        both = (self._settings.client_ca_file, self._settings.requestheader_client_ca_file)
        return tuple(dict.fromkeys(path for path in both if path))

    @property
    def from_cluster(self) -> bool:
        """Whether the ConfigMap has to be read: a flag is missing, and nobody forbids it."""
        flags = (self._settings.client_ca_file, self._settings.requestheader_client_ca_file)
        return not all(flags) and not self._settings.authentication_skip_lookup

    @property
    def complete(self) -> bool:
        """Whether every source has been read; a CA may still be off."""
        return self._looked_up or not self.from_cluster

    def read_files(self) -> str | None:
        """Take over what the flags' files hold now; return why one of them is not in use."""
        client, proxy = self._settings.client_ca_file, self._settings.requestheader_client_ca_file
        if client:
            self._take(client, lambda: _read(client), self._use_client)
        if proxy:
            self._take(proxy, lambda: (_read(proxy), _headers_of_flags(self._settings)), self._use_proxy)
        return self._problem_of(*self.files)

    def use_config_map(self, data: Mapping[str, str]) -> str | None:
        """Take over what the ConfigMap says, where no flag says it; an empty CA is none, and recognises nobody.

        Give why some of it is not in use.
        """
        if not self._settings.client_ca_file:
            self._take(f"the ConfigMap's {_CLIENT_CA}", lambda: data.get(_CLIENT_CA, ""), self._use_client)
        if not self._settings.requestheader_client_ca_file:
            source = f"the ConfigMap's {_PROXY_CA}"
            self._take(source, lambda: (data.get(_PROXY_CA, ""), _headers_of(data)), self._use_proxy)
        self._looked_up = True
        return self._problem_of(*(f"the ConfigMap's {key}" for key in (_CLIENT_CA, _PROXY_CA)))

    def _problem_of(self, *sources: str) -> str | None:
        problems = self._problems
        return next((f"{source} cannot be used: {problems[source]}" for source in sources if source in problems), None)

    def _take(self, source: str, read: Callable[[], _Found], use: Callable[[_Found], ClientCAsInForce]) -> None:
        """Put into force what a source has, unless it is what it had, or cannot be used."""
        with self._lock:
            try:
                found = read()
                if source in self._taken and self._taken[source] == found:
                    self._problems.pop(source, None)
                    return
                self.in_force = use(found)
            except (OSError, ValueError, RecursionError) as error:
                self._refuse(source, (isinstance(error, OSError) and error.strerror) or str(error))
                return
            self._taken[source] = found
            self._problems.pop(source, None)
            self._logger.info("client certificates: %s is in use", source)

    def _refuse(self, source: str, problem: str) -> None:
        if self._problems.get(source) != problem:
            self._logger.warning("client certificates: %s cannot be used, what was in use stays: %s", source, problem)
        self._problems[source] = problem

    def _use_client(self, pem: str) -> ClientCAsInForce:
        return replace(self.in_force, generation=self.in_force.generation + 1, client=_bundle(pem))

    def _use_proxy(self, found: tuple[str, RequestHeaders]) -> ClientCAsInForce:
        pem, headers = found
        return replace(self.in_force, generation=self.in_force.generation + 1, proxy=_bundle(pem), headers=headers)


def _read(path: str) -> str:
    text = Path(path).read_bytes().decode("latin-1")
    if not text.strip():
        raise ValueError("it is empty")
    return text


def _bundle(pem: str) -> CertificateBundle:
    return CertificateBundle(parse_authorities(pem.encode("latin-1", "replace")) if pem.strip() else ())


def _headers_of_flags(settings: AuthenticationSettings) -> RequestHeaders:
    return RequestHeaders.named(
        allowed_names=settings.requestheader_allowed_names,
        username=settings.requestheader_username_headers,
        uid=settings.requestheader_uid_headers,
        group=settings.requestheader_group_headers,
        extra_prefix=settings.requestheader_extra_headers_prefix,
    )


def _headers_of(data: Mapping[str, str]) -> RequestHeaders:
    """Read the ConfigMap's lists, which are JSON. Raises ValueError."""

    def names(key: str) -> list[str]:
        # null is Go's empty list, and inside of one the empty text.
        found = json.loads(data.get(key) or "null")
        found = [] if found is None else found
        if not isinstance(found, list) or not all(name is None or isinstance(name, str) for name in found):
            raise ValueError(f"{key} is not a list of names")
        return [name or "" for name in found]

    return RequestHeaders.named(
        allowed_names=names("requestheader-allowed-names"),
        username=names("requestheader-username-headers"),
        uid=names("requestheader-uid-headers"),
        group=names("requestheader-group-headers"),
        extra_prefix=names("requestheader-extra-headers-prefix"),
    )
