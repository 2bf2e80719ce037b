"""custom.metrics.k8s.io/v1beta1 (k8s.io/metrics `custom_metrics/v1beta1`): name and selector on the item."""

from __future__ import annotations

from marshmallow import Schema, fields

from app.schemas.fields import OptionalInteger, QuantityField, Time
from app.schemas.meta_v1 import LabelSelectorSchema, ObjectReferenceSchema

__all__ = ["MetricValueListSchema", "MetricValueSchema"]


class MetricValueSchema(Schema):
    """One value."""

    described_object = fields.Nested(ObjectReferenceSchema, data_key="describedObject")
    metric_name = fields.String(attribute="metric.name", data_key="metricName")
    timestamp = Time()
    # This version calls it `window`; v1beta2 renamed it.
    window_seconds = OptionalInteger(data_key="window")
    value = QuantityField()
    # null, never left out: clients look for the key.
    selector = fields.Nested(LabelSelectorSchema, attribute="metric.selector", allow_none=True)


class MetricValueListSchema(Schema):
    """The answer to every read."""

    kind = fields.Constant("MetricValueList")
    api_version = fields.Constant("custom.metrics.k8s.io/v1beta1", data_key="apiVersion")
    metadata: fields.Constant[dict[str, str]] = fields.Constant({})
    items = fields.List(fields.Nested(MetricValueSchema))
