"""All objects of a resource in the whole cluster: a LIST of their metadata, page by page."""

from __future__ import annotations

from app.kube.client import ClusterClient, ClusterError
from app.kube.store import ObjectStore
from app.model.resources import GroupVersionResource

__all__ = ["list_objects", "resource_path"]

# The second is for servers that know no partial objects; what is read of an object is the same in both.
_ACCEPT = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_PAGE = 500


def resource_path(resource: GroupVersionResource) -> str:
    """Give the path of all objects of a resource, in every namespace."""
    group, version, plural = resource.group, resource.version, resource.resource
    return f"/apis/{group}/{version}/{plural}" if group else f"/api/{version}/{plural}"


def list_objects(client: ClusterClient, path: str) -> tuple[ObjectStore, str]:
    """Read all objects and the version that a watch goes on from.

    No resourceVersion is asked for, which means the newest state: after whatever went wrong, this is right again.
    Pages belong to one moment; if that has become too old before the last page the cluster answers 410.
    Raises ClusterError.
    """
    store = ObjectStore()
    query = {"limit": str(_PAGE)}
    while True:
        _, page = client.get_json(path, accept=_ACCEPT, query=query)
        try:
            for item in page.get("items") or ():
                store.put(item["metadata"])
            version, following = page["metadata"]["resourceVersion"], page["metadata"].get("continue")
        except (LookupError, TypeError, AttributeError) as error:
            raise ClusterError(f"GET {path}: the answer is not a list of objects") from error
        if not following:
            return store, version
        query["continue"] = following
