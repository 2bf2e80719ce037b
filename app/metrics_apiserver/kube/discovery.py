"""Discovery: what the cluster says of its resources, aggregated (two requests) or one group version at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.restmapper import ResourceTable
from metrics_apiserver.kube.shapes import ShapeError, items_of, mapping_of, optional_text, text_of
from metrics_apiserver.model.groups import METRICS_GROUPS
from metrics_apiserver.model.resources import GroupVersion, GroupVersionResource, RESTMapping

__all__ = ["ResourceReader"]

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
_ACCEPT = ",".join((_AGGREGATED.format(version="v2"), _AGGREGATED.format(version="v2beta1"), "application/json"))
# For all requests of one reading; cluster after cluster has a few hundred group versions at the most.
_SECONDS = 120.0
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
        self._deadline = 0.0

    def read(self) -> ResourceTable:
        """Read all resources. Raises ClusterError when there is nothing to go by, or not all of it within two minutes.

        Without the core, every name of its would mean some other group's resource.
        """
        self._deadline = time.monotonic() + _SECONDS
        found = dict([*self._read_root("/api"), *self._read_root("/apis")])
        self._known = found
        return ResourceTable(mapping for mappings in found.values() for mapping in mappings)

    def _read_root(self, root: str) -> list[_Version]:
        media_type, document = self._client.get_json(root, accept=_ACCEPT)
        try:
            if _is_aggregated(media_type):
                return list(self._aggregated(document))
            if root == "/api":
                return [(group_version, self._version(group_version)) for group_version in _core(document)]
            return list(self._legacy(document))
        except ShapeError as error:
            raise ClusterError(f"GET {root}: the answer is not a discovery document") from error

    def _aggregated(self, document: Mapping[str, Any]) -> Iterator[_Version]:
        """Read `apidiscovery.k8s.io` v2 or v2beta1: what is read here is the same in both."""
        if "items" not in document:
            raise ShapeError("items is missing")
        for group in items_of(document, "items"):
            name = optional_text(mapping_of(group, "metadata"), "name")
            if name in METRICS_GROUPS:
                continue
            for version in items_of(group, "versions"):
                group_version = GroupVersion(name, optional_text(version, "version"))
                resources = items_of(version, "resources")
                if not group_version.version:
                    continue
                if version.get("freshness") == "Stale" and not resources:
                    yield group_version, self._known_of(group_version, "the cluster calls them stale")
                else:
                    yield group_version, list(_entries(group_version, resources))
                    self._reported.discard(group_version)

    def _legacy(self, document: Mapping[str, Any]) -> Iterator[_Version]:
        """Read an APIGroupList, then each version of each group, the preferred one first."""
        if "groups" not in document:
            raise ShapeError("groups is missing")
        for group in items_of(document, "groups"):
            name = text_of(group, "name")
            if name in METRICS_GROUPS:
                continue
            versions = [text_of(version, "version") for version in items_of(group, "versions")]
            preferred = optional_text(mapping_of(group, "preferredVersion"), "version")
            for version in sorted(versions, key=lambda version: version != preferred):
                group_version = GroupVersion(name, version)
                if time.monotonic() > self._deadline:
                    raise ClusterError(f"GET /apis: the group versions have not been read within {_SECONDS:g} s")
                try:
                    yield group_version, self._version(group_version)
                    self._reported.discard(group_version)
                except ClusterError as error:
                    yield group_version, self._known_of(group_version, str(error))

    def _version(self, group_version: GroupVersion) -> list[RESTMapping]:
        """Read an APIResourceList. Raises ClusterError."""
        path = f"/apis/{group_version}" if group_version.group else f"/api/{group_version}"
        _, document = self._client.get_json(path)
        try:
            return list(_listed(group_version, document))
        except ShapeError as error:
            raise ClusterError(f"GET {path}: the answer is not a list of resources") from error

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


def _core(document: Mapping[str, Any]) -> list[GroupVersion]:
    versions = document.get("versions")
    if not isinstance(versions, list) or not all(isinstance(version, str) for version in versions):
        raise ShapeError("versions is not a list of texts")
    return [GroupVersion("", version) for version in versions]


def _entries(group_version: GroupVersion, resources: Iterable[Mapping[str, Any]]) -> Iterator[RESTMapping]:
    """Read the resources of one group version of aggregated discovery."""
    for resource in resources:
        kind, plural = optional_text(mapping_of(resource, "responseKind"), "kind"), optional_text(resource, "resource")
        # Without a kind it is only the parent of its subresources. The names are those of any aggregated server.
        if kind and plural:
            singular, namespaced = optional_text(resource, "singularResource"), resource.get("scope") == "Namespaced"
            yield _mapping(group_version, plural, singular, kind, namespaced=namespaced)


def _listed(group_version: GroupVersion, document: Mapping[str, Any]) -> Iterator[RESTMapping]:
    """Read the resources of one group version of legacy discovery."""
    if "resources" not in document:
        raise ShapeError("resources is missing")
    for resource in items_of(document, "resources"):
        namespaced = resource.get("namespaced")
        if not isinstance(namespaced, bool):
            raise ShapeError("namespaced is not true or false")
        yield _mapping(
            group_version,
            text_of(resource, "name"),
            optional_text(resource, "singularName"),
            text_of(resource, "kind"),
            namespaced=namespaced,
        )


def _mapping(group_version: GroupVersion, plural: str, singular: str, kind: str, *, namespaced: bool) -> RESTMapping:
    return RESTMapping(
        resource=GroupVersionResource(group_version.group, group_version.version, plural),
        kind=kind,
        # K3s leaves singular names empty.
        singular=singular or kind.lower(),
        namespaced=namespaced,
    )
