"""Impersonation, which this server does not do: the kube-apiserver does it before it forwards a request."""

from __future__ import annotations

from metrics_apiserver.auth.front_proxy import HeaderPairs

__all__ = ["impersonates"]

_NAMES = ("IMPERSONATE-USER", "IMPERSONATE-GROUP", "IMPERSONATE-UID")
_EXTRA = "IMPERSONATE-EXTRA-"


def impersonates(pairs: HeaderPairs) -> bool:
    """Return whether a request asks to be taken for somebody else's."""
    return any(name.startswith("IMPERSONATE-") and (name in _NAMES or name.startswith(_EXTRA)) for name, _ in pairs)
