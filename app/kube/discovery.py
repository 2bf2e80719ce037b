"""Discovery: what the cluster says of its resources, aggregated (two requests) or one group version at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.kube.client import ClusterClient, ClusterError
from app.kube.restmapper import ResourceTable
from app.model.groups import METRICS_GROUPS
from app.model.resources import GroupVersion, GroupVersionResource, RESTMapping

__all__ = ["ResourceReader"]

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
_ACCEPT = ",".join((_AGGREGATED.format(version="v2"), _AGGREGATED.format(version="v2beta1"), "application/json"))
# A document that is not what its media type says ends in one of these.
_MALFORMED = (AttributeError, KeyError, TypeError)
_Version = tuple[GroupVersion, list[RESTMapping]]


class ResourceReader:
    """Reads the cluster's discovery, again and again.

    A group version that cannot be read costs only itself: what was known of it before stays, and the log has it once.
    """

    def __init__(self, client: ClusterClient, *, logger: logging.Logger) -> None:
        self._client = client
        self._logger = logger
        self._known: dict[GroupVersion, list[RESTMapping]] = {}
        self._reported: set[GroupVersion] = set()

    def read(self) -> ResourceTable:
        """Read all resources. Raises ClusterError when there is nothing to go by.

        Without the core, every name of its would mean some other group's resource.
        """
        found = dict([*self._read_root("/api"), *self._read_root("/apis")])
        self._known = found
        return ResourceTable(mapping for mappings in found.values() for mapping in mappings)

    def _read_root(self, root: str) -> list[_Version]:
        media_type, document = self._client.get_json(root, accept=_ACCEPT)
        try:
            if _is_aggregated(media_type):
                return list(self._aggregated(document))
            if root == "/api":
                core = [GroupVersion("", version) for version in document["versions"]]
                return [(group_version, _version(self._client, group_version)) for group_version in core]
            return list(self._legacy(document))
        except _MALFORMED as error:
            raise ClusterError(f"GET {root}: the answer is not a discovery document") from error

    def _aggregated(self, document: Mapping[str, Any]) -> Iterator[_Version]:
        """Read `apidiscovery.k8s.io` v2 or v2beta1: what is read here is the same in both."""
        for group in document["items"] or ():
            name = (group.get("metadata") or {}).get("name") or ""
            if name in METRICS_GROUPS:
                continue
            for version in group.get("versions") or ():
                group_version, resources = GroupVersion(name, version["version"]), version.get("resources") or ()
                if version.get("freshness") == "Stale" and not resources:
                    yield group_version, self._known_of(group_version, "the cluster calls them stale")
                else:
                    yield group_version, list(_entries(group_version, resources))
                    self._reported.discard(group_version)

    def _legacy(self, document: Mapping[str, Any]) -> Iterator[_Version]:
        """Read an APIGroupList, then each version of each group, the preferred one first."""
        for group in document["groups"] or ():
            if group["name"] in METRICS_GROUPS:
                continue
            versions = [version["version"] for version in group.get("versions") or ()]
            preferred = (group.get("preferredVersion") or {}).get("version")
            for version in sorted(versions, key=lambda version: version != preferred):
                group_version = GroupVersion(group["name"], version)
                try:
                    yield group_version, _version(self._client, group_version)
                    self._reported.discard(group_version)
                except ClusterError as error:
                    yield group_version, self._known_of(group_version, str(error))

    def _known_of(self, group_version: GroupVersion, reason: str) -> list[RESTMapping]:
        known = self._known.get(group_version, [])
        if group_version not in self._reported:
            self._logger.warning(
                "discovery: the resources of %s cannot be read, %d are known from before: %s",
                group_version,
                len(known),
                reason,
            )
        self._reported.add(group_version)
        return known


def _is_aggregated(media_type: str) -> bool:
    return "as=APIGroupDiscoveryList" in media_type.replace(" ", "").split(";")


def _entries(group_version: GroupVersion, resources: Iterable[Mapping[str, Any]]) -> Iterator[RESTMapping]:
    """Read the resources of one group version of aggregated discovery."""
    for resource in resources:
        kind = (resource.get("responseKind") or {}).get("kind")
        # Without a kind it is only the parent of its subresources.
        if kind:
            singular, namespaced = resource.get("singularResource"), resource.get("scope") == "Namespaced"
            yield _mapping(group_version, resource["resource"], singular, kind, namespaced=namespaced)


def _version(client: ClusterClient, group_version: GroupVersion) -> list[RESTMapping]:
    """Read an APIResourceList. Raises ClusterError."""
    path = f"/apis/{group_version}" if group_version.group else f"/api/{group_version}"
    _, document = client.get_json(path)
    try:
        return [
            _mapping(
                group_version,
                resource["name"],
                resource.get("singularName"),
                resource["kind"],
                namespaced=resource["namespaced"],
            )
            for resource in document["resources"] or ()
        ]
    except _MALFORMED as error:
        raise ClusterError(f"GET {path}: the answer is not a list of resources") from error


def _mapping(
    group_version: GroupVersion, plural: str, singular: str | None, kind: str, *, namespaced: bool
) -> RESTMapping:
    return RESTMapping(
        resource=GroupVersionResource(group_version.group, group_version.version, plural),
        kind=kind,
        # K3s leaves singular names empty.
        singular=singular or kind.lower(),
        namespaced=namespaced,
    )
