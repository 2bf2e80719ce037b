"""All objects of a resource in the whole cluster: a LIST of their metadata, page by page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metrics_apiserver.kube.client import ClusterClient, ClusterError, TooLargeError
from metrics_apiserver.kube.kept import NoRoomError, Share
from metrics_apiserver.kube.shapes import ShapeError, items_of, mapping_of, metadata_of, optional_text, text_of
from metrics_apiserver.kube.store import ObjectStore
from metrics_apiserver.model.resources import GroupVersionResource

__all__ = ["FullError", "ListBounds", "list_objects", "resource_path"]

# The second is for servers that know no partial objects; what is read of an object is the same in both.
_ACCEPT = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_PAGE = 500
# Of a page. Metadata of 500 objects have 1 to 2 MiB; where annotations are long, pages become shorter.
_MOST_OF_PAGE = 4 * 1024 * 1024
_SHORTER = 4


class FullError(ClusterError):
    """The cluster answered, and its objects do not fit into what may be kept of them."""


@dataclass(frozen=True, slots=True)
class ListBounds:
    """How much one LIST reads in all.

    The largest clusters that Kubernetes supports have 150,000 pods: 300 pages. A `continue` token is good for the five
    minutes that etcd keeps old versions, so no LIST that goes on for longer can end well.
    """

    objects: int = 200_000
    pages: int = 1_000
    seconds: float = 300.0


def resource_path(resource: GroupVersionResource) -> str:
    """Return the path of all objects of a resource, in every namespace."""
    group, version, plural = resource.group, resource.version, resource.resource
    return f"/apis/{group}/{version}/{plural}" if group else f"/api/{version}/{plural}"


def list_objects(
    client: ClusterClient, path: str, bounds: ListBounds | None = None, share: Share | None = None
) -> tuple[ObjectStore, str]:
    """Read all objects and the version that a watch goes on from.

    No resourceVersion is asked for, which means the newest state: after whatever went wrong, this is right again.
    Pages belong to one moment; if that has become too old before the last page the cluster answers 410.
    Raises ClusterError, also for a list that does not end within its bounds, and FullError for one that does not fit
    into the share.
    """
    bounds = bounds or ListBounds()
    store = ObjectStore(most=bounds.objects, share=share)
    try:
        return store, _read(client, path, bounds, store)
    except BaseException:
        store.release()
        raise


def _read(client: ClusterClient, path: str, bounds: ListBounds, store: ObjectStore) -> str:
    """Put all objects into the store, and return their version."""
    tokens = {""}
    token, limit, deadline = "", _PAGE, time.monotonic() + bounds.seconds
    for _ in range(bounds.pages):
        if time.monotonic() > deadline:
            raise ClusterError(f"GET {path}: the list has not ended within {bounds.seconds:g} s")
        query = {"limit": str(limit), **({"continue": token} if token else {})}
        try:
            _, page = client.get_json(path, accept=_ACCEPT, query=query, most=_MOST_OF_PAGE)
        except TooLargeError:
            if limit == 1:
                raise
            limit = max(1, limit // _SHORTER)
            continue
        version, token = _take(store, page, path)
        if not token:
            return version
        if token in tokens:
            raise ClusterError(f"GET {path}: the list does not end: a continue token came twice")
        tokens.add(token)
    raise ClusterError(f"GET {path}: the list has more than {bounds.pages} pages")


def _take(store: ObjectStore, page: Mapping[str, Any], path: str) -> tuple[str, str]:
    """Keep the objects of a page, and return its version and the token of the next one. Raises ClusterError."""
    try:
        for item in items_of(page, "items"):
            store.put(metadata_of(item))
        metadata = mapping_of(page, "metadata")
        return text_of(metadata, "resourceVersion"), optional_text(metadata, "continue")
    except ShapeError as error:
        raise ClusterError(f"GET {path}: the answer is not a list of objects") from error
    except NoRoomError as error:
        raise FullError(f"GET {path}: {error}") from error
