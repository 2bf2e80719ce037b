"""Which objects exist in a cluster: a LIST of their metadata, selected by the cluster, page by page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from app.errors import ServiceUnavailableError
from app.kube.client import ClusterClient, ClusterError
from app.model.resources import NamespacedName, RESTMapping
from app.model.selectors import Selector

__all__ = ["ClusterObjects"]

_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAGE = 500
# The names a namespace can have; another one must not become part of a path ("..").
_NAMESPACE = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# No such resource (any more), or one that cannot be listed, as TokenReview.
_NOTHING_TO_LIST = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


class ClusterObjects:
    """Asks the cluster on every call."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    def list_names(
        self, mapping: RESTMapping, *, namespace: str, selector: Selector, timeout: float
    ) -> Sequence[NamespacedName]:
        """List the objects whose labels match, sorted by namespace, then name; namespace "" means every one.

        Raises ServiceUnavailableError when the cluster does not say.
        """
        if namespace and not _NAMESPACE.fullmatch(namespace):
            return ()
        try:
            return sorted(self._names(_path(mapping, namespace), str(selector)))
        except ClusterError as error:
            if error.status in _NOTHING_TO_LIST:
                return ()
            raise ServiceUnavailableError(f"the cluster does not list {mapping.group_resource}: {error}") from error

    def _names(self, path: str, selector: str) -> Iterator[NamespacedName]:
        query = {"limit": str(_PAGE)}
        if selector:
            query["labelSelector"] = selector
        while True:
            _, page = self._client.get_json(path, accept=_METADATA_LIST, query=query)
            for item in page.get("items") or ():
                metadata = item["metadata"]
                yield NamespacedName(metadata.get("namespace", ""), metadata["name"])
            following = page.get("metadata", {}).get("continue")
            if not following:
                return
            query["continue"] = following


def _path(mapping: RESTMapping, namespace: str) -> str:
    group, version, plural = mapping.resource.group, mapping.resource.version, mapping.resource.resource
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"
