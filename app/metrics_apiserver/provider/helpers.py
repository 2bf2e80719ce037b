"""What most providers need: a resource by its name, the described object, the matching objects, a value for one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from metrics_apiserver.model.metrics import CustomMetricInfo, MetricIdentifier, MetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import GroupVersionResource, NamespacedName, ObjectReference
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.provider.context import ProviderContext, RequestContext, RESTMapper

__all__ = ["list_object_names", "metric_value", "reference_for", "resource_for"]


def resource_for(mapper: RESTMapper, info: CustomMetricInfo) -> GroupVersionResource:
    """Return the resource of a metric in its preferred version (upstream `helpers.ResourceFor`).

    Raises ResourceNotFoundError.
    """
    return mapper.mapping_for(info.group_resource).resource


def reference_for(mapper: RESTMapper, name: NamespacedName, info: CustomMetricInfo) -> ObjectReference:
    """Name the described object of a value (upstream `helpers.ReferenceFor`). Raises ResourceNotFoundError."""
    mapping = mapper.mapping_for(info.group_resource)
    return ObjectReference(
        kind=mapping.kind,
        name=name.name,
        namespace=name.namespace,
        # With the slash for the core group too: the reference answers "/v1", and clients know it.
        api_version=f"{mapping.resource.group}/{mapping.resource.version}",
    )


def list_object_names(
    context: ProviderContext, ctx: RequestContext, namespace: str, selector: Selector, info: CustomMetricInfo
) -> Sequence[NamespacedName]:
    """List the objects whose labels match, sorted (upstream `helpers.ListObjectNames`).

    A root-scoped resource has no objects under a namespace. Raises ServiceUnavailableError when the cluster does not
    say by the read's deadline.
    """
    mapping = context.mapper.mapping_for(info.group_resource)
    if namespace and not mapping.namespaced:
        return ()
    return context.objects.list_names(mapping, namespace=namespace, selector=selector, timeout=ctx.remaining())


def metric_value(
    context: ProviderContext,
    name: NamespacedName,
    info: CustomMetricInfo,
    value: Quantity | int | float | Decimal | str,
    *,
    timestamp: datetime | None = None,
    window_seconds: int | None = None,
) -> MetricValue:
    """Make the value of one object's metric; without a timestamp the sample was taken now."""
    return MetricValue(
        described_object=reference_for(context.mapper, name, info),
        metric=MetricIdentifier(info.metric),
        timestamp=timestamp or context.clock.now(),
        value=Quantity.of(value),
        window_seconds=window_seconds,
    )
