"""What providers of custom metrics list, and how discovery shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from urllib.parse import quote

from metrics_apiserver.apis.entries import VERBS, resource, response_kind
from metrics_apiserver.errors import ResourceNotFoundError
from metrics_apiserver.model.metrics import CustomMetricInfo
from metrics_apiserver.model.resources import GroupResource
from metrics_apiserver.provider import CustomMetricsProvider, RESTMapper
from metrics_apiserver.schemas.table import APIVersion

__all__ = ["discovery_entries", "example", "list_infos", "merge", "resources"]


def list_infos(provider: CustomMetricsProvider, mapper: RESTMapper, most: int) -> tuple[CustomMetricInfo, ...]:
    """Return what a provider lists, with normalised resources; what no path can name is left out.

    No more than `most` are read: a provider's generator may have no end.
    """
    infos = set()
    for info in islice(provider.list_all_metrics(), most):
        try:
            mapping = mapper.mapping_for(info.group_resource)
        except ResourceNotFoundError:
            continue
        infos.add(CustomMetricInfo(mapping.group_resource, info.metric, info.namespaced))
    return tuple(sorted(infos))


def example(info: CustomMetricInfo) -> str:
    """Return the path of a read of the metric of all objects, where it has a namespace those of `default`."""
    resource, metric = quote(str(info.group_resource), safe=""), quote(info.metric, safe="")
    if resource == "namespaces":
        return f"namespaces/*/metrics/{metric}"
    return f"{'namespaces/default/' if info.namespaced else ''}{resource}/*/{metric}"


def merge(listings: Iterable[Sequence[CustomMetricInfo]]) -> list[CustomMetricInfo]:
    """Return the metrics of several providers, by resource and metric; the first that lists one counts."""
    found: dict[tuple[GroupResource, str], CustomMetricInfo] = {}
    for infos in listings:
        for info in infos:
            found.setdefault((info.group_resource, info.metric), info)
    return [found[key] for key in sorted(found, key=lambda key: (str(key[0]), key[1]))]


def resources(row: APIVersion, infos: Sequence[CustomMetricInfo]) -> list[dict[str, object]]:
    """Return one resource for each metric, called like the resource that it describes and itself."""
    return [resource(row, f"{info.group_resource}/{info.metric}", namespaced=info.namespaced) for info in infos]


def discovery_entries(row: APIVersion, infos: Sequence[CustomMetricInfo]) -> list[dict[str, object]]:
    """Return the metrics as subresources of the resource they describe, which itself cannot be read here."""
    parents: dict[GroupResource, list[CustomMetricInfo]] = {}
    for info in infos:
        parents.setdefault(info.group_resource, []).append(info)
    return [
        {
            "name": str(parent),
            "scope": "Namespaced" if any(info.namespaced for info in children) else "Cluster",
            "singular_name": "",
            "verbs": [],
            "subresources": [
                {"name": info.metric, "response_kind": response_kind(row), "verbs": VERBS} for info in children
            ],
        }
        for parent, children in parents.items()
    ]
