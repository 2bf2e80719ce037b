"""No cluster: the standard kinds, and the objects that a file names."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from metrics_apiserver.kube.standard import standard_resources
from metrics_apiserver.model.resources import GroupResource, GroupVersion, NamespacedName, RESTMapping
from metrics_apiserver.model.selectors import Selector

__all__ = ["StandaloneCluster"]


class StandaloneCluster:
    """A cluster that never changes, made of checked objects (`manifests.load_objects`)."""

    def __init__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self.mapper = standard_resources()
        self.objects = _StandaloneObjects(self.mapper.mappings, objects)

    def start(self) -> None:
        """Say which objects there are; everything is there."""
        _logger.info("the objects that are known: %s", self.objects.counted() or "none")

    def stop(self) -> None:
        """Do nothing."""

    def check(self) -> str | None:
        """Return None: there is nothing that could be missing."""
        return None


_logger = logging.getLogger("metrics_apiserver")
# What is named of each resource.
_NAMED = 3


class _StandaloneObjects:
    """The objects by resource, each list sorted once."""

    def __init__(self, mappings: Sequence[RESTMapping], objects: Sequence[Mapping[str, Any]]) -> None:
        resources = {(mapping.resource.group, mapping.kind): mapping.group_resource for mapping in mappings}
        found: defaultdict[GroupResource, dict[NamespacedName, Mapping[str, str]]] = defaultdict(dict)
        for item in objects:
            metadata = item["metadata"]
            resource = resources[GroupVersion.parse(item["apiVersion"]).group, item["kind"]]
            name = NamespacedName(metadata.get("namespace") or "", metadata["name"])
            found[resource][name] = metadata.get("labels") or {}
        self._labels = {resource: dict(sorted(names.items())) for resource, names in found.items()}

    def counted(self) -> str:
        """Return the resources with their objects, as a line says them."""
        parts = []
        for resource, names in self._labels.items():
            named = ", ".join(str(name) for name in list(names)[:_NAMED])
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            parts.append(f"{resource} ({named}{more})")
        return "; ".join(parts)

    def list_names(
        self, mapping: RESTMapping, *, namespace: str, selector: Selector, timeout: float
    ) -> Sequence[NamespacedName]:
        """List the objects whose labels match, sorted by namespace, then name; namespace "" means every one."""
        return [
            name
            for name, labels in self._labels.get(mapping.group_resource, {}).items()
            if namespace in ("", name.namespace) and selector.matches(labels)
        ]
