"""What can be wrong with the settings that say who may ask: where the server listens, and whom it recognises."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator

from metrics_apiserver.settings.sections import AuthenticationSettings, AuthorizationSettings, rows_of

__all__ = ["access_problems", "bind_problems", "is_usable", "printable"]

# A token of RFC 9110 without the underscore: a header with one is dropped, since WSGI cannot tell it from a hyphen.
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^`|~0-9A-Za-z]+")


def is_usable(text: str) -> bool:
    """Return whether a text can be the name of a file: a NUL cannot, nor can what has no encoding."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def printable(text: str) -> str:
    """Return a text as a sentence may quote it: on one line, and with what has no encoding escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def bind_problems(address: str, *, standalone: bool) -> list[str]:
    """Refuse to be reached from the network where nobody authorizes."""
    if not standalone or _is_loopback(address):
        return []
    return [
        f"--bind-address={address}: without a cluster nobody authorizes requests, and this server listens on loopback"
        " only; use 127.0.0.1, ::1 or localhost, or name a cluster with --kubeconfig"
    ]


def access_problems(
    authentication: AuthenticationSettings, authorization: AuthorizationSettings, *, standalone: bool
) -> list[str]:
    """Return what is wrong with authentication and authorization."""
    problems = list(_without_cluster(authentication, authorization)) if standalone else []
    for setting in rows_of(AuthenticationSettings):
        if setting.name.startswith("requestheader_") and "_headers" in setting.name:
            problems += [
                f"{setting.flag}={name}: not the name of a header (letters, digits and hyphens, no underscore)"
                for name in getattr(authentication, setting.name)
                if not _HEADER_NAME.fullmatch(name)
            ]
    if authentication.requestheader_client_ca_file and not authentication.requestheader_username_headers:
        problems.append(
            "--requestheader-username-headers is empty: a front proxy could name no user; give one at least"
        )
    problems += [
        f"--authorization-always-allow-paths={path}: a path begins with /"
        for path in authorization.authorization_always_allow_paths
        if not path.startswith("/")
    ]
    return problems


def _without_cluster(authentication: AuthenticationSettings, authorization: AuthorizationSettings) -> Iterator[str]:
    """Refuse what would have no effect: somebody relies on it."""
    for section in (authentication, authorization):
        for setting in rows_of(type(section)):
            if getattr(section, setting.name) != setting.default:
                yield f"{setting.flag}: there is no cluster, and nobody checks who asks; name one with --kubeconfig"


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
