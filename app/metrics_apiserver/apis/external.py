"""external.metrics.k8s.io: metrics that belong to no object of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple, cast
from urllib.parse import quote

from metrics_apiserver.apis.api import (
    API,
    Info,
    ListNames,
    Mapper,
    PathForm,
    Query,
    Read,
    namespace_part,
    selector_part,
)
from metrics_apiserver.apis.checking import Checked
from metrics_apiserver.apis.entries import entry, resource
from metrics_apiserver.apis.external_values import check_external
from metrics_apiserver.apis.parameters import check_field_selector, parse_selector, wants_watch
from metrics_apiserver.errors import MethodNotAllowedError, NotFoundError
from metrics_apiserver.model.groups import EXTERNAL_METRICS
from metrics_apiserver.model.metrics import ExternalMetricInfo, ExternalMetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.selectors import EVERYTHING, Selector
from metrics_apiserver.provider import ExternalMetricsProvider, Provider, RequestContext, RESTMapper
from metrics_apiserver.schemas.table import APIVersion

__all__ = ["EXTERNAL_METRICS_API", "ExternalMetricQuery", "ExternalRead"]


@dataclass(frozen=True, slots=True)
class ExternalMetricQuery:
    """A read of an external metric in a namespace (`*`: every namespace)."""

    info: ExternalMetricInfo
    namespace: str
    metric_selector: Selector

    @property
    def api(self) -> API:
        """The external metrics API."""
        return EXTERNAL_METRICS_API


class ExternalRead(NamedTuple):
    """The series of an external metric whose labels match."""

    namespace: str
    info: ExternalMetricInfo
    metric_selector: Selector

    @property
    def by_name(self) -> bool:
        """False: of no series there is an empty list."""
        return False

    @property
    def resource(self) -> None:
        """None: it belongs to no object."""
        return

    @property
    def objects(self) -> str:
        """Nothing: it belongs to no object."""
        return ""

    @property
    def api(self) -> API:
        """The external metrics API."""
        return EXTERNAL_METRICS_API

    @property
    def matched_namespace(self) -> str:
        """The namespace of the path."""
        return self.namespace

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The selector of series."""
        return (self.metric_selector,)

    def unknown(self) -> NotFoundError:
        """Return the error for a metric that nobody has."""
        return NotFoundError(f"no provider is asked for {self}")

    def wider(self) -> ExternalRead:
        """Return the same read of every series."""
        return self._replace(metric_selector=EVERYTHING)

    def ask(self, provider: Provider, context: RequestContext) -> object:
        """Ask a provider; what it gives is not checked yet."""
        asked = cast(ExternalMetricsProvider, provider)
        return asked.get_external_metric(context, self.namespace, self.metric_selector, self.info)

    def __str__(self) -> str:
        return f"{self.info.metric}{namespace_part(self.namespace)}{selector_part(self.metric_selector)}"


class _ExternalMetricsAPI(API):
    name = "external"
    group = EXTERNAL_METRICS
    interface = ExternalMetricsProvider
    duplicated = "label sets"
    path_forms = (
        PathForm("NamespacedMetric", "/namespaces/{namespace}/{metric}", "read an external metric", ("labelSelector",)),
    )

    def parse(self, segments: Sequence[str], parameters: Mapping[str, str]) -> ExternalMetricQuery:
        """Read a path and its parameters. Raises MethodNotAllowedError for a watch, too."""
        match segments:
            case ("namespaces", namespace, metric):
                if wants_watch(parameters):
                    # It was judged as one, and there is none: a list is more.
                    raise MethodNotAllowedError
                check_field_selector(parameters.get("fieldSelector", ""), None)
                return ExternalMetricQuery(
                    info=ExternalMetricInfo(metric),
                    namespace=namespace,
                    metric_selector=parse_selector(parameters.get("labelSelector", "")),
                )
            case _:
                raise NotFoundError.for_path()

    def read_of(self, query: Query, mapper: Mapper, *, may_wait: bool) -> ExternalRead:
        """Return the read."""
        asked = cast(ExternalMetricQuery, query)
        return ExternalRead(asked.namespace, asked.info, asked.metric_selector)

    def check(self, given: object) -> Checked[ExternalMetricValue]:
        """Check values; of two with the same labels the first counts."""
        return check_external(given)

    def substitutes(
        self, read: Read, quantity: Quantity, *, now: datetime, mapper: Mapper, names: ListNames
    ) -> Sequence[ExternalMetricValue]:
        """Return one value, without labels."""
        return (ExternalMetricValue(read.info.metric, now, quantity),)

    def list_metrics(self, provider: Provider, mapper: RESTMapper, most: int) -> tuple[ExternalMetricInfo, ...]:
        """Return what a provider lists."""
        asked = cast(ExternalMetricsProvider, provider)
        return tuple(sorted(set(islice(asked.list_all_external_metrics(), most))))

    def example(self, info: Info) -> str:
        """Return the path of the metric in the namespace `default`."""
        return f"namespaces/default/{quote(info.metric, safe='')}"

    def merge(self, listings: Iterable[Sequence[Info]]) -> list[Info]:
        """Return the metrics of several providers, by name."""
        found = {info.metric: info for infos in listings for info in infos}
        return [found[name] for name in sorted(found)]

    def resources(self, row: APIVersion, infos: Sequence[Info]) -> list[dict[str, object]]:
        """Return one resource for each metric."""
        return [resource(row, info.metric, namespaced=True) for info in infos]

    def discovery_entries(self, row: APIVersion, infos: Sequence[Info]) -> list[dict[str, object]]:
        """Return one resource for each metric; one that is called like the placeholder is that."""
        return [entry(row, info.metric) for info in infos if info.metric != row.placeholder]


EXTERNAL_METRICS_API = _ExternalMetricsAPI()
