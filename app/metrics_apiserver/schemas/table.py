"""The table (group, version) → schema: a new API version is one module and one row here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from marshmallow import Schema

from metrics_apiserver.model.groups import CUSTOM_METRICS, EXTERNAL_METRICS
from metrics_apiserver.schemas import custom_metrics_v1beta1, custom_metrics_v1beta2, external_metrics_v1beta1
from metrics_apiserver.schemas.dumper import dumper

__all__ = ["API_VERSIONS", "GROUPS", "APIVersion", "api_version", "versions_of"]


@dataclass(frozen=True)
class APIVersion:
    """One version of one API group: the kind of its answers and the schema that writes them."""

    group: str
    version: str
    list_kind: str
    # The resource that discovery shows where there is nothing to list: an empty list breaks kubectl and helm.
    placeholder: str
    list_schema: Schema

    @property
    def group_version(self) -> str:
        """As paths and `apiVersion` have it."""
        return f"{self.group}/{self.version}"

    def dump_list(self, values: Sequence[Any]) -> dict[str, Any]:
        """Write values as this version's list."""
        return self._dump(_Values(values))

    @cached_property
    def _dump(self) -> Callable[[Any], dict[str, Any]]:
        return dumper(self.list_schema)


@dataclass(frozen=True, slots=True)
class _Values:
    """What a list schema writes."""

    items: Sequence[Any]


# In a group, the preferred version stands first.
API_VERSIONS = (
    APIVersion(
        CUSTOM_METRICS,
        "v1beta2",
        "MetricValueList",
        "custommetrics",
        custom_metrics_v1beta2.MetricValueListSchema(),
    ),
    APIVersion(
        CUSTOM_METRICS,
        "v1beta1",
        "MetricValueList",
        "custommetrics",
        custom_metrics_v1beta1.MetricValueListSchema(),
    ),
    APIVersion(
        EXTERNAL_METRICS,
        "v1beta1",
        "ExternalMetricValueList",
        "externalmetrics",
        external_metrics_v1beta1.ExternalMetricValueListSchema(),
    ),
)

GROUPS = tuple(dict.fromkeys(row.group for row in API_VERSIONS))
_BY_NAME = {(row.group, row.version): row for row in API_VERSIONS}


def api_version(group: str, version: str) -> APIVersion | None:
    """Find the row of a version; None for one that is not served."""
    return _BY_NAME.get((group, version))


def versions_of(group: str) -> tuple[APIVersion, ...]:
    """List a group's versions, the preferred one first."""
    return tuple(row for row in API_VERSIONS if row.group == group)
