"""The same value for every metric of every object: to try an autoscaler with, and to see what it makes of a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates, validates_schema

from metrics_apiserver.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    GroupResource,
    MetricValue,
    NamespacedName,
    Options,
    ProviderContext,
    Quantity,
    QuantityField,
    RequestContext,
    Selector,
    metric_value,
)
from metrics_apiserver_providers.external_names import refuse_alike

__all__ = ["ConstantOptions", "ConstantProvider"]

_NAME = validate.Length(min=1)
_NO_TIME = "Not an RFC 3339 time with its zone."


class _ListedSchema(Schema):
    """A metric of the listing; without a resource it is an external one."""

    metric = fields.String(required=True, validate=_NAME, metadata={"help": "The metric's name."})
    resource = fields.String(
        validate=_NAME, metadata={"help": "The plural with its group; without it the metric is external."}
    )
    namespaced = fields.Boolean(metadata={"help": "The scope; a resource's metric is namespaced unless this is false."})

    @validates_schema
    def _has_a_scope(self, data: Mapping[str, Any], **_: Any) -> None:
        if "namespaced" in data and "resource" not in data:
            raise ValidationError("namespaced is the scope of a resource's metric, and no resource is given")


class ConstantOptions(Options):
    """What it answers with, and what it lists; it answers for every metric, listed or not."""

    value = QuantityField(load_default=Quantity.of(10), metadata={"help": "The value of everything: a quantity."})
    timestamp = fields.AwareDateTime(
        load_default=None,
        error_messages={"invalid": _NO_TIME, "invalid_awareness": _NO_TIME},
        metadata={"help": "When the samples were taken (RFC 3339); without it, at the read."},
    )
    listing = fields.List(
        fields.Nested(_ListedSchema),
        data_key="list",
        load_default=list,
        metadata={"help": "What discovery shows."},
    )

    @validates("listing")
    def _has_no_name_twice(self, listing: Sequence[Mapping[str, Any]], **_: Any) -> None:
        # A row that is wrong itself may have none.
        refuse_alike(row["metric"] for row in listing if "metric" in row and "resource" not in row)


class ConstantProvider(CustomMetricsProvider, ExternalMetricsProvider):
    """Answers for any object by name, for each that matches a selector, and with one external series without labels."""

    Options = ConstantOptions
    answers_from_memory = True

    def __init__(self, context: ProviderContext, options: Mapping[str, Any]) -> None:
        super().__init__(context, options)
        self._value: Quantity = options["value"]
        self._timestamp = options["timestamp"]

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        """Name the custom metrics of the option `list`."""
        return [
            CustomMetricInfo(GroupResource.parse(row["resource"]), row["metric"], row.get("namespaced", True))
            for row in self.options["listing"]
            if "resource" in row
        ]

    def list_all_external_metrics(self) -> Iterable[ExternalMetricInfo]:
        """Name the external metrics of the option `list`."""
        return [ExternalMetricInfo(row["metric"]) for row in self.options["listing"] if "resource" not in row]

    def series_count(self, info: CustomMetricInfo | ExternalMetricInfo, namespace: str) -> int:
        """Return one: it knows no series."""
        return 1

    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        """Return the value, whether the object exists or not, and whichever series is meant."""
        return metric_value(self.context, name, info, self._value, timestamp=self._timestamp)

    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        """Return the value once, whichever series are meant."""
        return [ExternalMetricValue(info.metric, self._timestamp or self.context.clock.now(), self._value)]
