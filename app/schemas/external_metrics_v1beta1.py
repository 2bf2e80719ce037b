"""external.metrics.k8s.io/v1beta1 (k8s.io/metrics `external_metrics/v1beta1`)."""

from __future__ import annotations

from marshmallow import Schema, fields

from app.schemas.fields import OptionalInteger, QuantityField, Time

__all__ = ["ExternalMetricValueListSchema", "ExternalMetricValueSchema"]


class ExternalMetricValueSchema(Schema):
    """One series' value."""

    metric_name = fields.String(data_key="metricName")
    metric_labels = fields.Dict(keys=fields.String(), values=fields.String(), data_key="metricLabels")
    timestamp = Time()
    window_seconds = OptionalInteger(data_key="window")
    value = QuantityField()


class ExternalMetricValueListSchema(Schema):
    """The answer to every read."""

    kind = fields.Constant("ExternalMetricValueList")
    api_version = fields.Constant("external.metrics.k8s.io/v1beta1", data_key="apiVersion")
    metadata: fields.Constant[dict[str, str]] = fields.Constant({})
    items = fields.List(fields.Nested(ExternalMetricValueSchema))
