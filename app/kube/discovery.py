"""Discovery: what the cluster says of its resources, aggregated (two requests) or one group version at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from app.kube.client import ClusterClient, ClusterError
from app.kube.restmapper import ResourceTable
from app.model.groups import METRICS_GROUPS
from app.model.resources import GroupVersion, GroupVersionResource, RESTMapping

__all__ = ["read_resources"]

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
_ACCEPT = ",".join((_AGGREGATED.format(version="v2"), _AGGREGATED.format(version="v2beta1"), "application/json"))
# A document that is not what its media type says ends in one of these.
_MALFORMED = (AttributeError, KeyError, TypeError)


def read_resources(client: ClusterClient, *, logger: logging.Logger) -> ResourceTable:
    """Read the cluster's discovery.

    A group that cannot be read costs only itself and is logged. Raises ClusterError when there is nothing to go by:
    without the core, every name of its would mean some other group's resource.
    """
    return ResourceTable([*_read_root(client, "/api", logger), *_read_root(client, "/apis", logger)])


def _read_root(client: ClusterClient, root: str, logger: logging.Logger) -> list[RESTMapping]:
    media_type, document = client.get_json(root, accept=_ACCEPT)
    try:
        if _is_aggregated(media_type):
            return list(_aggregated(document, logger))
        if root == "/api":
            return [found for version in document["versions"] for found in _version(client, GroupVersion("", version))]
        return list(_legacy(client, document, logger))
    except _MALFORMED as error:
        raise ClusterError(f"GET {root}: the answer is not a discovery document") from error


def _is_aggregated(media_type: str) -> bool:
    return "as=APIGroupDiscoveryList" in media_type.replace(" ", "").split(";")


def _aggregated(document: Mapping[str, Any], logger: logging.Logger) -> Iterator[RESTMapping]:
    """Read `apidiscovery.k8s.io` v2 or v2beta1: what is read here is the same in both."""
    for group in document["items"] or ():
        name = (group.get("metadata") or {}).get("name") or ""
        if name in METRICS_GROUPS:
            continue
        for version in group.get("versions") or ():
            group_version = GroupVersion(name, version["version"])
            resources = version.get("resources") or ()
            if version.get("freshness") == "Stale" and not resources:
                logger.warning("discovery: the cluster does not know the resources of %s (stale)", group_version)
            for resource in resources:
                kind = (resource.get("responseKind") or {}).get("kind")
                # Without a kind it is only the parent of its subresources.
                if kind:
                    singular, namespaced = resource.get("singularResource"), resource.get("scope") == "Namespaced"
                    yield _mapping(group_version, resource["resource"], singular, kind, namespaced=namespaced)


def _legacy(client: ClusterClient, document: Mapping[str, Any], logger: logging.Logger) -> Iterator[RESTMapping]:
    """Read an APIGroupList, then each version of each group, the preferred one first."""
    for group in document["groups"] or ():
        if group["name"] in METRICS_GROUPS:
            continue
        versions = [version["version"] for version in group.get("versions") or ()]
        preferred = (group.get("preferredVersion") or {}).get("version")
        for version in sorted(versions, key=lambda version: version != preferred):
            group_version = GroupVersion(group["name"], version)
            try:
                yield from _version(client, group_version)
            except ClusterError as error:
                logger.warning("discovery: the resources of %s cannot be read: %s", group_version, error)


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
