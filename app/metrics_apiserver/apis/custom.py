"""custom.metrics.k8s.io: metrics of pods, services and every other object."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, cast

from metrics_apiserver.apis.api import (
    API,
    Info,
    ListNames,
    Mapper,
    PathForm,
    Query,
    Read,
    Values,
    namespace_part,
    selector_part,
)
from metrics_apiserver.apis.checking import Checked
from metrics_apiserver.apis.custom_listing import discovery_entries, example, list_infos, merge, resources
from metrics_apiserver.apis.custom_values import check_custom
from metrics_apiserver.apis.parameters import check_field_selector, parse_selector, to_label_selector
from metrics_apiserver.errors import (
    BadRequestError,
    MetricNotFoundError,
    NotFoundError,
    WouldWaitError,
)
from metrics_apiserver.logs import shown_selector
from metrics_apiserver.model.groups import CUSTOM_METRICS
from metrics_apiserver.model.metrics import CustomMetricInfo, MetricIdentifier, MetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import GroupResource, NamespacedName
from metrics_apiserver.model.selectors import EVERYTHING, LabelSelector, Selector
from metrics_apiserver.provider import CustomMetricsProvider, Provider, RequestContext, RESTMapper, reference_for
from metrics_apiserver.schemas.table import APIVersion

__all__ = ["CUSTOM_METRICS_API", "CustomMetricQuery", "NameRead", "SelectorRead"]

_ANY_NAME = "*"
_NAMESPACES = GroupResource("namespaces")
_SELECTORS = ("labelSelector", "metricLabelSelector", "fieldSelector")


@dataclass(frozen=True, slots=True)
class CustomMetricQuery:
    """A read of a custom metric: by name, or by selector where `name` is None.

    `info.group_resource` is as written in the path.
    """

    info: CustomMetricInfo
    namespace: str
    name: str | None
    selector: Selector
    metric_selector: Selector
    # What the answer echoes; None without a metricLabelSelector.
    metric_label_selector: LabelSelector | None

    @property
    def api(self) -> API:
        """The custom metrics API."""
        return CUSTOM_METRICS_API

    @property
    def object_name(self) -> NamespacedName:
        """The object that a by-name read asks for."""
        assert self.name is not None
        return NamespacedName(self.namespace, self.name)


class NameRead(NamedTuple):
    """The metric of one object."""

    name: NamespacedName
    info: CustomMetricInfo
    metric_selector: Selector

    @property
    def by_name(self) -> bool:
        """True: one object is asked for."""
        return True

    @property
    def api(self) -> API:
        """The custom metrics API."""
        return CUSTOM_METRICS_API

    @property
    def namespace(self) -> str:
        """The namespace of the path."""
        return self.name.namespace

    @property
    def matched_namespace(self) -> str:
        """The object's namespace; a Namespace is in itself, as authorization has it too."""
        return self.name.name if self.info.group_resource == _NAMESPACES else self.name.namespace

    @property
    def resource(self) -> GroupResource:
        """Whose metric it is."""
        return self.info.group_resource

    @property
    def objects(self) -> str:
        """The object that is meant, for people."""
        return self.name.name

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The selector of series."""
        return (self.metric_selector,)

    def unknown(self) -> NotFoundError:
        """Return the error for a metric that nobody has, in upstream's words."""
        return MetricNotFoundError(self.info.group_resource, self.info.metric, self.name.name)

    def wider(self) -> NameRead:
        """Return the same read of every series."""
        return self._replace(metric_selector=EVERYTHING)

    def ask(self, provider: Provider, context: RequestContext) -> object:
        """Ask a provider; what it gives is not checked yet."""
        asked = cast(CustomMetricsProvider, provider)
        return (asked.get_metric_by_name(context, self.name, self.info, self.metric_selector),)

    def __str__(self) -> str:
        return f"{self.info.metric} of {self.info.group_resource} {self.name}{selector_part(self.metric_selector)}"


class SelectorRead(NamedTuple):
    """The metric of every object whose labels match."""

    namespace: str
    selector: Selector
    info: CustomMetricInfo
    metric_selector: Selector

    @property
    def by_name(self) -> bool:
        """False: of no objects there is an empty list."""
        return False

    @property
    def api(self) -> API:
        """The custom metrics API."""
        return CUSTOM_METRICS_API

    @property
    def matched_namespace(self) -> str:
        """The namespace of the path."""
        return self.namespace

    @property
    def resource(self) -> GroupResource:
        """Whose metric it is."""
        return self.info.group_resource

    @property
    def objects(self) -> str:
        """The objects that are meant, for people."""
        return f"*{{{shown_selector(str(self.selector))}}}" if self.selector.requirements else "*"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The selectors of series and of objects."""
        return (self.metric_selector, self.selector)

    def unknown(self) -> NotFoundError:
        """Return the error for a metric that nobody has."""
        return NotFoundError(f"no provider is asked for {self}")

    def wider(self) -> SelectorRead:
        """Return the same read of every series."""
        return self._replace(metric_selector=EVERYTHING)

    def ask(self, provider: Provider, context: RequestContext) -> object:
        """Ask a provider; what it gives is not checked yet."""
        asked = cast(CustomMetricsProvider, provider)
        return asked.get_metric_by_selector(context, self.namespace, self.selector, self.info, self.metric_selector)

    def __str__(self) -> str:
        objects = f"{self.info.group_resource}{selector_part(self.selector)}"
        return f"{self.info.metric} of {objects}{namespace_part(self.namespace)}{selector_part(self.metric_selector)}"


class _CustomMetricsAPI(API):
    name = "custom"
    group = CUSTOM_METRICS
    interface = CustomMetricsProvider
    duplicated = "objects"
    path_forms = (
        PathForm("Metric", "/{resource}/{name}/{metric}", "read a metric of objects of the cluster scope", _SELECTORS),
        PathForm(
            "NamespacedMetric",
            "/namespaces/{namespace}/{resource}/{name}/{metric}",
            "read a metric of objects of a namespace",
            _SELECTORS,
        ),
        PathForm(
            "MetricOfNamespace",
            "/namespaces/{namespace}/metrics/{metric}",
            "read a metric of a namespace itself",
            _SELECTORS,
        ),
    )

    def parse(self, segments: Sequence[str], parameters: Mapping[str, str]) -> CustomMetricQuery:
        """Read a path and its parameters."""
        match segments:
            case ("namespaces", namespace, "metrics", metric):
                info, namespace, name = CustomMetricInfo(_NAMESPACES, metric, namespaced=False), "", namespace
            case ("namespaces", namespace, resource, name, metric):
                info = CustomMetricInfo(GroupResource.parse(resource), metric, namespaced=True)
            case ("namespaces", _, _):
                # The reference reads this as a metric of a resource called "namespaces", and refuses it in these words.
                raise BadRequestError("invalid request path")
            case (resource, name, metric):
                info, namespace = CustomMetricInfo(GroupResource.parse(resource), metric, namespaced=False), ""
            case _:
                raise NotFoundError.for_path()
        check_field_selector(parameters.get("fieldSelector", ""), name)
        metric_selector = parse_selector(parameters.get("metricLabelSelector", ""))
        return CustomMetricQuery(
            info=info,
            namespace=namespace,
            name=None if name == _ANY_NAME else name,
            selector=parse_selector(parameters.get("labelSelector", "")),
            metric_selector=metric_selector,
            metric_label_selector=None if metric_selector.empty else to_label_selector(metric_selector),
        )

    def read_of(self, query: Query, mapper: Mapper, *, may_wait: bool) -> NameRead | SelectorRead:
        """Return the read; one by selector may wait for the list of objects."""
        asked = cast(CustomMetricQuery, query)
        if asked.name is None and not may_wait:
            raise WouldWaitError
        resource = mapper.mapping_for(asked.info.group_resource, may_wait=may_wait).group_resource
        info = CustomMetricInfo(resource, asked.info.metric, asked.info.namespaced)
        if asked.name is not None:
            return NameRead(NamespacedName(asked.namespace, asked.name), info, asked.metric_selector)
        return SelectorRead(asked.namespace, asked.selector, info, asked.metric_selector)

    def check(self, given: object) -> Checked[MetricValue]:
        """Check values; of two for one object the first counts."""
        return check_custom(given)

    def substitutes(
        self, read: Read, quantity: Quantity, *, now: datetime, mapper: Mapper, names: ListNames
    ) -> Sequence[MetricValue]:
        """Return a value for each object that the read is about."""
        asked = cast(NameRead | SelectorRead, read)
        metric = MetricIdentifier(asked.info.metric)
        return tuple(
            MetricValue(reference_for(mapper, name, asked.info), metric, now, quantity)
            for name in _names(asked, mapper, names)
        )

    def echoed(self, query: Query, values: Values) -> Values:
        """Say in each value which series were asked for, where the provider did not say it itself."""
        selector = cast(CustomMetricQuery, query).metric_label_selector
        if selector is None:
            return values
        return [_echoing(value, selector) for value in cast(Sequence[MetricValue], values)]

    def list_metrics(self, provider: Provider, mapper: RESTMapper, most: int) -> tuple[CustomMetricInfo, ...]:
        """Return what a provider lists, with normalised resources; what no path can name is left out."""
        return list_infos(cast(CustomMetricsProvider, provider), mapper, most)

    def example(self, info: Info) -> str:
        """Return the path of the metric of all its objects."""
        return example(cast(CustomMetricInfo, info))

    def merge(self, listings: Iterable[Sequence[Info]]) -> list[Info]:
        """Return the metrics of several providers, by resource and metric."""
        return list(merge(cast(Iterable[Sequence[CustomMetricInfo]], listings)))

    def resources(self, row: APIVersion, infos: Sequence[Info]) -> list[dict[str, object]]:
        """Return one resource for each metric, called like the resource that it describes and itself."""
        return resources(row, cast(Sequence[CustomMetricInfo], infos))

    def discovery_entries(self, row: APIVersion, infos: Sequence[Info]) -> list[dict[str, object]]:
        """Show metrics as subresources of the resource they describe, which itself cannot be read here."""
        return discovery_entries(row, cast(Sequence[CustomMetricInfo], infos))


CUSTOM_METRICS_API = _CustomMetricsAPI()


def _names(read: NameRead | SelectorRead, mapper: Mapper, names: ListNames) -> Sequence[NamespacedName]:
    """Return the objects that a read is about; a resource of the cluster scope has none under a namespace."""
    if isinstance(read, NameRead):
        return (read.name,)
    mapping = mapper.mapping_for(read.info.group_resource)
    if read.namespace and not mapping.namespaced:
        return ()
    return names(mapping, namespace=read.namespace, selector=read.selector)


def _echoing(value: MetricValue, selector: LabelSelector) -> MetricValue:
    if value.metric.selector is not None:
        return value
    return dataclasses.replace(value, metric=dataclasses.replace(value.metric, selector=selector))
