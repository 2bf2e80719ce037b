"""The entries of discovery that all APIs write alike."""

from __future__ import annotations

from metrics_apiserver.schemas.table import APIVersion

__all__ = ["VERBS", "entry", "resource", "response_kind"]

VERBS = ["get"]


def resource(row: APIVersion, name: str, *, namespaced: bool) -> dict[str, object]:
    """Return an APIResource that is read as this version's list."""
    return {"name": name, "singular_name": "", "namespaced": namespaced, "kind": row.list_kind, "verbs": VERBS}


def entry(row: APIVersion, name: str) -> dict[str, object]:
    """Return an APIResourceDiscovery that is read as this version's list."""
    return {
        "name": name,
        "response_kind": response_kind(row),
        "scope": "Namespaced",
        "singular_name": "",
        "verbs": VERBS,
    }


def response_kind(row: APIVersion) -> dict[str, str]:
    """Return the kind of a version's answers."""
    return {"group": row.group, "version": row.version, "kind": row.list_kind}
