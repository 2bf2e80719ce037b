"""custom.metrics.k8s.io/v1beta1 (k8s.io/metrics `custom_metrics/v1beta1`): name and selector on the item."""

from __future__ import annotations

from marshmallow import Schema, fields

from metrics_apiserver.schemas.fields import OptionalInteger, QuantityField, Time, described
from metrics_apiserver.schemas.meta_v1 import LabelSelectorSchema, ObjectReferenceSchema

__all__ = ["MetricValueListSchema", "MetricValueSchema"]


class MetricValueSchema(Schema):
    """One value."""

    described_object = fields.Nested(
        ObjectReferenceSchema, data_key="describedObject", metadata=described("The object that the value describes.")
    )
    metric_name = fields.String(
        attribute="metric.name", data_key="metricName", metadata=described("The name of the metric.")
    )
    timestamp = Time(metadata=described("When the sample was taken."))
    # This version calls it `window`; v1beta2 renamed it.
    window_seconds = OptionalInteger(
        data_key="window",
        metadata=described("The time that the sample spans, in seconds up to the timestamp; left out when unknown."),
    )
    value = QuantityField(metadata=described("The value of the metric."))
    # null, never left out: clients look for the key.
    selector = fields.Nested(
        LabelSelectorSchema,
        attribute="metric.selector",
        allow_none=True,
        metadata=described("The selector of the series that were asked for; null without one."),
    )


class MetricValueListSchema(Schema):
    """The answer to every read."""

    kind = fields.Constant("MetricValueList")
    api_version = fields.Constant("custom.metrics.k8s.io/v1beta1", data_key="apiVersion")
    metadata: fields.Constant[dict[str, str]] = fields.Constant({})
    items = fields.List(fields.Nested(MetricValueSchema), metadata=described("The values."))
