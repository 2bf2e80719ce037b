"""custom.metrics.k8s.io/v1beta2 (k8s.io/metrics `custom_metrics/v1beta2`): name and selector in `metric`."""

from __future__ import annotations

from marshmallow import Schema, fields

from app.schemas.fields import OptionalInteger, QuantityField, Time
from app.schemas.meta_v1 import LabelSelectorSchema, ObjectReferenceSchema

__all__ = ["MetricValueListSchema", "MetricValueSchema"]


class _MetricIdentifierSchema(Schema):
    name = fields.String()
    # null, never left out: clients look for the key.
    selector = fields.Nested(LabelSelectorSchema, allow_none=True)


class MetricValueSchema(Schema):
    """One value."""

    described_object = fields.Nested(ObjectReferenceSchema, data_key="describedObject")
    metric = fields.Nested(_MetricIdentifierSchema)
    timestamp = Time()
    window_seconds = OptionalInteger(data_key="windowSeconds")
    value = QuantityField()


class MetricValueListSchema(Schema):
    """The answer to every read."""

    kind = fields.Constant("MetricValueList")
    api_version = fields.Constant("custom.metrics.k8s.io/v1beta2", data_key="apiVersion")
    metadata: fields.Constant[dict[str, str]] = fields.Constant({})
    items = fields.List(fields.Nested(MetricValueSchema))
