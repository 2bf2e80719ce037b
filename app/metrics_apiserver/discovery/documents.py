"""The discovery documents of one listing: APIGroupList, APIGroup, APIResourceList, APIGroupDiscoveryList."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metrics_apiserver.model.groups import EXTERNAL_METRICS
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo
from metrics_apiserver.model.resources import GroupResource
from metrics_apiserver.schemas.apidiscovery import AGGREGATED_VERSIONS, APIGroupDiscoveryListSchema
from metrics_apiserver.schemas.encoders import JSON, encode
from metrics_apiserver.schemas.meta_v1 import APIGroupListSchema, APIGroupSchema, APIResourceListSchema
from metrics_apiserver.schemas.table import API_VERSIONS, GROUPS, APIVersion, versions_of

__all__ = ["Documents", "Encoded"]

_VERBS = ["get"]


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
    def of(cls, custom: Sequence[CustomMetricInfo], external: Sequence[ExternalMetricInfo]) -> Documents:
        """Build the documents of these metrics, which are sorted and have no double."""
        by_path: dict[str, Mapping[str, Any]] = {"/apis": _group_list()}
        for group in GROUPS:
            by_path[f"/apis/{group}"] = APIGroupSchema().dump(_group(group))
        for row in API_VERSIONS:
            resources = _external_resources(row, external) if _is_external(row) else _custom_resources(row, custom)
            by_path[f"/apis/{row.group_version}"] = APIResourceListSchema().dump(
                {"group_version": row.group_version, "resources": resources}
            )
        aggregated = {version: _aggregated(version, custom, external) for version in AGGREGATED_VERSIONS}
        return cls(by_path, aggregated)

    def encoded(self, path: str, *, aggregated: str = "", media_type: str = JSON, pretty: bool = False) -> Encoded:
        """Give the bytes of the document at a path, or of the aggregated one."""
        key = (path, aggregated, media_type, pretty)
        found = self._encoded.get(key)
        if found is None:
            document = self.aggregated[aggregated] if aggregated else self.by_path[path]
            body = encode(document, media_type=media_type, pretty=pretty)
            # The path and the media type are part of it: the aggregator sends the ETag of one with another.
            digest = hashlib.sha256(f"{path} {aggregated} {media_type} ".encode() + body).hexdigest()
            found = self._encoded[key] = Encoded(body, f'"{digest}"')
        return found


def _is_external(row: APIVersion) -> bool:
    return row.group == EXTERNAL_METRICS


def _group(group: str) -> dict[str, Any]:
    versions = [{"group_version": row.group_version, "version": row.version} for row in versions_of(group)]
    return {"name": group, "versions": versions, "preferred_version": versions[0]}


def _group_list() -> Mapping[str, Any]:
    document: Mapping[str, Any] = APIGroupListSchema().dump({"groups": [_group(group) for group in GROUPS]})
    return document


def _custom_resources(row: APIVersion, infos: Iterable[CustomMetricInfo]) -> list[dict[str, Any]]:
    listed = [_resource(row, f"{info.group_resource}/{info.metric}", info.namespaced) for info in infos]
    return listed or [_resource(row, row.placeholder, namespaced=True)]


def _external_resources(row: APIVersion, infos: Iterable[ExternalMetricInfo]) -> list[dict[str, Any]]:
    listed = [_resource(row, info.metric, namespaced=True) for info in infos]
    return listed or [_resource(row, row.placeholder, namespaced=True)]


def _resource(row: APIVersion, name: str, namespaced: bool) -> dict[str, Any]:  # noqa: FBT001 - a column
    return {"name": name, "singular_name": "", "namespaced": namespaced, "kind": row.list_kind, "verbs": _VERBS}


def _aggregated(
    version: str, custom: Sequence[CustomMetricInfo], external: Sequence[ExternalMetricInfo]
) -> Mapping[str, Any]:
    groups = []
    for group in GROUPS:
        versions = []
        for row in versions_of(group):
            listed = _external_entries(row, external) if _is_external(row) else _parent_entries(row, custom)
            # Always in this form: with the placeholder, kubectl's table of resources prints no warning.
            versions.append({"version": row.version, "resources": [*listed, _entry(row, row.placeholder)]})
        groups.append({"metadata": {"name": group}, "versions": versions})
    document: Mapping[str, Any] = APIGroupDiscoveryListSchema().dump(
        {"api_version": f"apidiscovery.k8s.io/{version}", "items": groups}
    )
    return document


def _external_entries(row: APIVersion, infos: Iterable[ExternalMetricInfo]) -> list[dict[str, Any]]:
    return [_entry(row, info.metric) for info in infos if info.metric != row.placeholder]


def _entry(row: APIVersion, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "response_kind": _response_kind(row),
        "scope": "Namespaced",
        "singular_name": "",
        "verbs": _VERBS,
    }


def _parent_entries(row: APIVersion, infos: Iterable[CustomMetricInfo]) -> list[dict[str, Any]]:
    """Show metrics as subresources of the resource they describe, which itself cannot be read here."""
    parents: dict[GroupResource, list[CustomMetricInfo]] = {}
    for info in infos:
        parents.setdefault(info.group_resource, []).append(info)
    return [
        {
            "name": str(parent),
            "scope": "Namespaced" if any(info.namespaced for info in children) else "Cluster",
            "singular_name": "",
            "verbs": [],
            "subresources": [
                {"name": info.metric, "response_kind": _response_kind(row), "verbs": _VERBS} for info in children
            ],
        }
        for parent, children in parents.items()
    ]


def _response_kind(row: APIVersion) -> dict[str, str]:
    return {"group": row.group, "version": row.version, "kind": row.list_kind}
