"""external.metrics.k8s.io/v1beta1 (k8s.io/metrics `external_metrics/v1beta1`)."""

from __future__ import annotations

from marshmallow import Schema, fields

from metrics_apiserver.schemas.fields import OptionalInteger, QuantityField, Time, described

__all__ = ["ExternalMetricValueListSchema", "ExternalMetricValueSchema"]


class ExternalMetricValueSchema(Schema):
    """One series' value."""

    metric_name = fields.String(data_key="metricName", metadata=described("The name of the metric."))
    metric_labels = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        data_key="metricLabels",
        metadata=described("The labels of the series."),
    )
    timestamp = Time(metadata=described("When the sample was taken."))
    window_seconds = OptionalInteger(
        data_key="window",
        metadata=described("The time that the sample spans, in seconds up to the timestamp; left out when unknown."),
    )
    value = QuantityField(metadata=described("The value of the metric."))


class ExternalMetricValueListSchema(Schema):
    """The answer to every read."""

    kind = fields.Constant("ExternalMetricValueList")
    api_version = fields.Constant("external.metrics.k8s.io/v1beta1", data_key="apiVersion")
    metadata: fields.Constant[dict[str, str]] = fields.Constant({})
    items = fields.List(fields.Nested(ExternalMetricValueSchema), metadata=described("The values."))
