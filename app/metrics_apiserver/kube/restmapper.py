"""The REST mapping: from a resource's name in a path to what the cluster knows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from metrics_apiserver.errors import ResourceNotFoundError, ServiceUnavailableError, WouldWaitError
from metrics_apiserver.model.groups import METRICS_GROUPS
from metrics_apiserver.model.resources import GroupResource, RESTMapping

__all__ = ["ClusterMapper", "ResourceTable"]

_MISSING = "the cluster's resources have not been read yet"


class ResourceTable:
    """The resources of a cluster at one moment, found by plural or singular name with or without their group.

    A name's case does not count, and of a group its beginning is enough, as for client-go's mapper
    (`meta.DefaultRESTMapper`). Made of mappings in order of preference (groups as discovery lists them, preferred
    version first). Where a name fits several, core wins, then that order: client-go's priority mapper
    (`restmapper.NewDiscoveryRESTMapper`). Subresources and the metrics groups are left out.
    """

    __slots__ = ("_by_name", "mappings")

    def __init__(self, mappings: Iterable[RESTMapping]) -> None:
        candidates = [mapping for mapping in mappings if _is_candidate(mapping)]
        # The sort is stable: everything but the core keeps its order.
        candidates.sort(key=lambda mapping: mapping.resource.group != "")
        unique: dict[GroupResource, RESTMapping] = {}
        by_name: dict[GroupResource, RESTMapping] = {}
        for mapping in candidates:
            group = mapping.resource.group
            unique.setdefault(mapping.group_resource, mapping)
            for name in (mapping.resource.resource, mapping.singular):
                by_name.setdefault(GroupResource(name, group), mapping)
                # Without a group it means whichever comes first; for the core both keys are the same.
                by_name.setdefault(GroupResource(name), mapping)
        self.mappings = tuple(unique.values())
        self._by_name = by_name

    def find(self, resource: GroupResource) -> RESTMapping | None:
        """Find a resource by plural or singular name, group optional."""
        return self._by_name.get(resource) or self._find_loosely(
            GroupResource(resource.resource.lower(), resource.group)
        )

    def _find_loosely(self, resource: GroupResource) -> RESTMapping | None:
        found = self._by_name.get(resource)
        if found is not None or not resource.group:
            return found
        for mapping in self.mappings:
            named = resource.resource in (mapping.resource.resource, mapping.singular)
            if named and mapping.resource.group.startswith(resource.group):
                return mapping
        return None

    def mapping_for(self, resource: GroupResource, *, may_wait: bool = True) -> RESTMapping:
        """Return the mapping of a plural or singular name, group optional. Raises ResourceNotFoundError."""
        mapping = self.find(resource)
        if mapping is None:
            raise ResourceNotFoundError(resource, (known.group_resource for known in self.mappings))
        return mapping


def _is_candidate(mapping: RESTMapping) -> bool:
    return mapping.resource.group not in METRICS_GROUPS and "/" not in mapping.resource.resource


class ClusterMapper:
    """The newest table that was read from the cluster; one thread replaces it, any thread asks.

    `refresh` has the cluster read again for a name that the table does not have, waits for that, and gives False
    where there was none: it decides how long and how often.
    """

    def __init__(self, refresh: Callable[[], bool] = lambda: False) -> None:
        self._refresh = refresh
        self._table: ResourceTable | None = None
        self._cause = "reading has not started"

    @property
    def problem(self) -> str | None:
        """Why there is no table yet; None once there is one."""
        return f"{_MISSING}: {self._cause}" if self._table is None else None

    def replace(self, table: ResourceTable) -> None:
        """Answer from this table from now on."""
        self._table = table

    def failed(self, cause: str) -> None:
        """Take note why a table could not be read; one that was read before stays."""
        self._cause = cause

    def mapping_for(self, resource: GroupResource, *, may_wait: bool = True) -> RESTMapping:
        """Return the mapping of a resource: from memory, and of one that was unknown in the cluster as it is now.

        Raises ResourceNotFoundError, ServiceUnavailableError as long as nothing was read, and WouldWaitError where the
        cluster would have to be asked and this must not wait.
        """
        table = self._table
        if table is None:
            raise ServiceUnavailableError(_MISSING, cause=self._cause)
        mapping = table.find(resource)
        if mapping is None and not may_wait:
            raise WouldWaitError
        if mapping is None and self._refresh():
            table = self._table or table
        return mapping or table.mapping_for(resource)
