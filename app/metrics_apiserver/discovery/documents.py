"""The discovery documents of one listing: APIGroupList, APIGroup, APIResourceList, APIGroupDiscoveryList."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metrics_apiserver.apis.api import Info
from metrics_apiserver.apis.entries import entry, resource
from metrics_apiserver.apis.table import api_of
from metrics_apiserver.schemas.apidiscovery import AGGREGATED_VERSIONS, APIGroupDiscoveryListSchema
from metrics_apiserver.schemas.encoders import JSON, encode
from metrics_apiserver.schemas.meta_v1 import APIGroupListSchema, APIGroupSchema, APIResourceListSchema
from metrics_apiserver.schemas.table import API_VERSIONS, GROUPS, versions_of

__all__ = ["Documents", "Encoded"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The bytes of a document and their ETag, quoted as the header has it."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Documents:
    """Every discovery document, by path; `aggregated` by the version of `apidiscovery.k8s.io`."""

    by_path: Mapping[str, Mapping[str, Any]]
    aggregated: Mapping[str, Mapping[str, Any]]
    # A benign race: two threads may encode the same document once each.
    _encoded: dict[tuple[str, str, str, bool], Encoded] = field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Mapping[str, Sequence[Info]]) -> Documents:
        """Build the documents of the metrics of each API group, which are sorted and have no duplicate."""
        by_path: dict[str, Mapping[str, Any]] = {"/apis": _group_list()}
        for group in GROUPS:
            by_path[f"/apis/{group}"] = APIGroupSchema().dump(_group(group))
        for row in API_VERSIONS:
            listed = api_of(row.group).resources(row, metrics.get(row.group, ()))
            resources = listed or [resource(row, row.placeholder, namespaced=True)]
            by_path[f"/apis/{row.group_version}"] = APIResourceListSchema().dump(
                {"group_version": row.group_version, "resources": resources}
            )
        aggregated = {version: _aggregated(version, metrics) for version in AGGREGATED_VERSIONS}
        return cls(by_path, aggregated)

    def encoded(self, path: str, *, aggregated: str = "", media_type: str = JSON, pretty: bool = False) -> Encoded:
        """Return the bytes of the document at a path, or of the aggregated one."""
        key = (path, aggregated, media_type, pretty)
        found = self._encoded.get(key)
        if found is None:
            document = self.aggregated[aggregated] if aggregated else self.by_path[path]
            body = encode(document, media_type=media_type, pretty=pretty)
            # The path and the media type are part of it: the aggregator sends the ETag of one with another.
            digest = hashlib.sha256(f"{path} {aggregated} {media_type} ".encode() + body).hexdigest()
            found = self._encoded[key] = Encoded(body, f'"{digest}"')
        return found


def _group(group: str) -> dict[str, Any]:
    versions = [{"group_version": row.group_version, "version": row.version} for row in versions_of(group)]
    return {"name": group, "versions": versions, "preferred_version": versions[0]}


def _group_list() -> Mapping[str, Any]:
    document: Mapping[str, Any] = APIGroupListSchema().dump({"groups": [_group(group) for group in GROUPS]})
    return document


def _aggregated(version: str, metrics: Mapping[str, Sequence[Info]]) -> Mapping[str, Any]:
    groups = []
    for group in GROUPS:
        versions = []
        for row in versions_of(group):
            listed = api_of(group).discovery_entries(row, metrics.get(group, ()))
            # Always in this form: with the placeholder, kubectl's table of resources prints no warning.
            versions.append({"version": row.version, "resources": [*listed, entry(row, row.placeholder)]})
        groups.append({"metadata": {"name": group}, "versions": versions})
    document: Mapping[str, Any] = APIGroupDiscoveryListSchema().dump(
        {"api_version": f"apidiscovery.k8s.io/{version}", "items": groups}
    )
    return document
