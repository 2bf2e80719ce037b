"""custom.metrics.k8s.io/v1beta2 (k8s.io/metrics `custom_metrics/v1beta2`): name and selector in `metric`."""

from __future__ import annotations

from marshmallow import Schema, fields

from metrics_apiserver.schemas.fields import OptionalInteger, QuantityField, Time, described
from metrics_apiserver.schemas.meta_v1 import LabelSelectorSchema, ObjectReferenceSchema

__all__ = ["MetricValueListSchema", "MetricValueSchema"]


class _MetricIdentifierSchema(Schema):
    name = fields.String(metadata=described("The name of the metric."))
    # null, never left out: clients look for the key.
    selector = fields.Nested(
        LabelSelectorSchema,
        allow_none=True,
        metadata=described("The selector of the series that were asked for; null without one."),
    )


class MetricValueSchema(Schema):
    """One value."""

    described_object = fields.Nested(
        ObjectReferenceSchema, data_key="describedObject", metadata=described("The object that the value describes.")
    )
    metric = fields.Nested(
        _MetricIdentifierSchema, metadata=described("The metric, and the selector of the series that were asked for.")
    )
    timestamp = Time(metadata=described("When the sample was taken."))
    window_seconds = OptionalInteger(
        data_key="windowSeconds",
        metadata=described("The time that the sample spans, in seconds up to the timestamp; left out when unknown."),
    )
    value = QuantityField(metadata=described("The value of the metric."))


class MetricValueListSchema(Schema):
    """The answer to every read."""

    kind = fields.Constant("MetricValueList")
    api_version = fields.Constant("custom.metrics.k8s.io/v1beta2", data_key="apiVersion")
    metadata: fields.Constant[dict[str, str]] = fields.Constant({})
    items = fields.List(fields.Nested(MetricValueSchema), metadata=described("The values."))
