"""The public contract: what a provider implements, what it is given, what it answers with.

This module is the only one of the server that a provider imports, and names are all it holds. Entry point group:
`metrics_apiserver.providers`; an entry point names a provider class.
"""

from metrics_apiserver.concurrency import Background, Backoff
from metrics_apiserver.errors import (
    BackendUnavailableError,
    BadGatewayError,
    BadRequestError,
    GatewayTimeoutError,
    MetricFailedError,
    MetricNotFoundError,
    MetricUnavailableError,
    NotFoundError,
    RequestTooLargeError,
    ServiceUnavailableError,
    StatusError,
)
from metrics_apiserver.logs.seldom import Seldom
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.model.metrics import (
    CustomMetricInfo,
    ExternalMetricInfo,
    ExternalMetricValue,
    MetricIdentifier,
    MetricValue,
)
from metrics_apiserver.model.quantity import NotFiniteError, Quantity, QuantityError
from metrics_apiserver.model.resources import GroupResource, NamespacedName, ObjectReference, RESTMapping
from metrics_apiserver.model.selectors import Selector, SelectorError
from metrics_apiserver.model.users import UserInfo
from metrics_apiserver.provider.children import Child, ChildOptions
from metrics_apiserver.provider.context import ObjectLister, ProviderContext, RequestContext, RESTMapper
from metrics_apiserver.provider.fields import DurationField, QuantityField
from metrics_apiserver.provider.helpers import list_object_names, metric_value, reference_for, resource_for
from metrics_apiserver.provider.interfaces import (
    CustomMetricsProvider,
    ExternalMetricsProvider,
    Options,
    Provider,
    WritableMetrics,
)

__all__ = [
    "BackendUnavailableError",
    "Background",
    "Backoff",
    "BadGatewayError",
    "BadRequestError",
    "Child",
    "ChildOptions",
    "Clock",
    "CustomMetricInfo",
    "CustomMetricsProvider",
    "DurationField",
    "ExternalMetricInfo",
    "ExternalMetricValue",
    "ExternalMetricsProvider",
    "GatewayTimeoutError",
    "GroupResource",
    "MetricFailedError",
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
    "Seldom",
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
