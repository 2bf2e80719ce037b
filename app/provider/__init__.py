"""The public contract: what a provider implements, what it is given, what it answers with.

This module is the only one of `app` that a provider imports, and names are all it holds. Entry point group:
`metrics_apiserver.providers`; an entry point names a provider class.
"""

from app.errors import (
    BadGatewayError,
    BadRequestError,
    GatewayTimeoutError,
    MetricNotFoundError,
    MetricUnavailableError,
    NotFoundError,
    RequestTooLargeError,
    ServiceUnavailableError,
    StatusError,
)
from app.model.clock import Clock
from app.model.metrics import CustomMetricInfo, ExternalMetricInfo, ExternalMetricValue, MetricIdentifier, MetricValue
from app.model.quantity import NotFiniteError, Quantity, QuantityError
from app.model.resources import GroupResource, NamespacedName, ObjectReference, RESTMapping
from app.model.selectors import Selector, SelectorError
from app.provider.context import ObjectLister, ProviderContext, RequestContext, RESTMapper, UserInfo
from app.provider.fields import DurationField, QuantityField
from app.provider.helpers import list_object_names, metric_value, reference_for, resource_for
from app.provider.interfaces import CustomMetricsProvider, ExternalMetricsProvider, Options, Provider, WritableMetrics

__all__ = [
    "BadGatewayError",
    "BadRequestError",
    "Clock",
    "CustomMetricInfo",
    "CustomMetricsProvider",
    "DurationField",
    "ExternalMetricInfo",
    "ExternalMetricValue",
    "ExternalMetricsProvider",
    "GatewayTimeoutError",
    "GroupResource",
    "MetricIdentifier",
    "MetricNotFoundError",
    "MetricUnavailableError",
    "MetricValue",
    "NamespacedName",
    "NotFiniteError",
    "NotFoundError",
    "ObjectLister",
    "ObjectReference",
    "Options",
    "Provider",
    "ProviderContext",
    "Quantity",
    "QuantityError",
    "QuantityField",
    "RESTMapper",
    "RESTMapping",
    "RequestContext",
    "RequestTooLargeError",
    "Selector",
    "SelectorError",
    "ServiceUnavailableError",
    "StatusError",
    "UserInfo",
    "WritableMetrics",
    "list_object_names",
    "metric_value",
    "reference_for",
    "resource_for",
]
