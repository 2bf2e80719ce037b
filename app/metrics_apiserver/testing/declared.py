"""What an author says his provider has, for the conformance kit to ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metrics_apiserver.kube.standard import standard_resources
from metrics_apiserver.model.resources import GroupVersion
from metrics_apiserver.provider import CustomMetricInfo, GroupResource, NamespacedName

__all__ = ["CustomMetric", "ExternalMetric"]


@dataclass(frozen=True, slots=True)
class CustomMetric:
    """A custom metric that the provider has a value of for each of these objects, of which there are two or more.

    `labels` are those of its series, where the values have labels; None where the provider knows no series. The kit's
    cluster has the objects; the namespace of a root-scoped resource is "".
    """

    metric: str
    resource: str = "pods"
    objects: tuple[str, ...] = ("conformance-0", "conformance-1")
    namespace: str = "default"
    labels: Mapping[str, str] | None = None

    @property
    def info(self) -> CustomMetricInfo:
        """The metric as a provider is asked for it."""
        return CustomMetricInfo(GroupResource.parse(self.resource), self.metric, namespaced=bool(self.namespace))

    @property
    def names(self) -> list[NamespacedName]:
        """The objects, in the order of a list."""
        return [NamespacedName(self.namespace, name) for name in sorted(self.objects)]

    def manifests(self) -> list[dict[str, Any]]:
        """Return the objects as the kit's cluster has them, all with the label `conformance=has-it`."""
        return self.others(sorted(self.objects), "has-it")

    def others(self, names: Iterable[str], label: str) -> list[dict[str, Any]]:
        """Return objects of the same resource and namespace, with another label."""
        mapping = standard_resources().mapping_for(self.info.group_resource)
        api_version = str(GroupVersion(mapping.resource.group, mapping.resource.version))
        place = {"namespace": self.namespace} if self.namespace else {}
        return [
            {
                "apiVersion": api_version,
                "kind": mapping.kind,
                "metadata": {"name": name, **place, "labels": {"conformance": label}},
            }
            for name in names
        ]


@dataclass(frozen=True, slots=True)
class ExternalMetric:
    """An external metric and the label sets of its series in a namespace; `({},)` is one series without labels."""

    metric: str
    series: tuple[Mapping[str, str], ...]
    namespace: str = "default"
