"""The interfaces: implement CustomMetricsProvider, ExternalMetricsProvider or both in one class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError

from metrics_apiserver.errors import NotFoundError
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo, ExternalMetricValue, MetricValue
from metrics_apiserver.model.quantity import NotFiniteError, Quantity
from metrics_apiserver.model.resources import NamespacedName
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.provider.context import ProviderContext, RequestContext
from metrics_apiserver.provider.helpers import list_object_names
from metrics_apiserver.settings.problems import suggest_keys

__all__ = ["CustomMetricsProvider", "ExternalMetricsProvider", "Options", "Provider", "WritableMetrics"]


class Options(Schema):
    """The options of a provider: a marshmallow schema; the default one has no option at all."""

    # As `ProviderContext.restarting` says it; what the options name was right at an earlier start.
    restarting: bool = False

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **_: Any) -> None:
        """Say of a misspelt option which one is probably meant."""
        known = [each.data_key or name for name, each in self.fields.items()]
        suggest_keys(error.messages, known, self.error_messages["unknown"])


class Provider:
    """What both kinds of provider share. Methods are called from several threads at once."""

    Options: ClassVar[type[Schema]] = Options
    # Whether every read is answered from memory, in microseconds: it is then called on the request's own thread, and
    # without a deadline. An instance may say it of itself.
    answers_from_memory: bool = False
    # Whether an answer depends on who asks: `ctx.user` is then set, and reads of two users share nothing.
    per_user: bool = False

    def __init__(self, context: ProviderContext, options: Mapping[str, Any]) -> None:
        """Take what the server offers and the options that `Options` loaded; start nothing yet."""
        self.context = context
        self.options = options

    def series_count(self, info: CustomMetricInfo | ExternalMetricInfo, namespace: str) -> int | None:
        """Return how many series a read of this metric in a namespace looks at, at the most; None where nobody counts.

        For a custom metric it is those of one object. Counting must cost nothing: a shipped provider that answers from
        memory is asked on the server's loop where they are few.
        """
        return None

    def start(self) -> None:
        """Start threads and connections, if there are any: runs in the worker process, before the first read."""

    def stop(self) -> None:
        """Stop what `start` started. It may come twice, and without a start: another provider could not be built."""


class CustomMetricsProvider(Provider, ABC):
    """Source of custom metrics (upstream `provider.CustomMetricsProvider`). One method is enough."""

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        """Name the metrics for discovery: from memory, never slowly. What is not named is served all the same."""
        return ()

    @abstractmethod
    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        """Return the metric of one object. Raises MetricNotFoundError where there is none."""

    def get_metric_by_selector(
        self,
        ctx: RequestContext,
        namespace: str,
        selector: Selector,
        info: CustomMetricInfo,
        metric_selector: Selector,
    ) -> Sequence[MetricValue]:
        """Return the metric of every object whose labels match; objects without a value are left out.

        The default lists the objects and asks by name for each. `namespace` is "" for the root scope.
        """
        values = []
        for name in list_object_names(self.context, ctx, namespace, selector, info):
            try:
                values.append(self.get_metric_by_name(ctx, name, info, metric_selector))
            except (NotFoundError, NotFiniteError):
                continue  # an object without a value is not a failure of the list
        return values


class ExternalMetricsProvider(Provider, ABC):
    """Source of external metrics (upstream `provider.ExternalMetricsProvider`)."""

    def list_all_external_metrics(self) -> Iterable[ExternalMetricInfo]:
        """Name the metrics for discovery: from memory, never slowly. What is not named is served all the same."""
        return ()

    @abstractmethod
    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        """Return every series of the metric whose labels match; an unknown metric has none. Namespace "*": all."""


class WritableMetrics(ABC):
    """A provider whose values can be written through `/write-metrics` implements this as well.

    Every method raises BadRequestError or RequestTooLargeError for what it cannot take.
    """

    @abstractmethod
    def set_metric(
        self,
        ctx: RequestContext,
        name: NamespacedName,
        info: CustomMetricInfo,
        labels: Mapping[str, str],
        value: Quantity,
    ) -> None:
        """Replace the value of this object's metric, whatever labels the old one had."""

    @abstractmethod
    def delete_metric(self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo) -> None:
        """Forget the value. Raises MetricNotFoundError where there is none."""

    @abstractmethod
    def set_external_metric(
        self, ctx: RequestContext, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str], value: Quantity
    ) -> None:
        """Replace the value of this label set; namespace "*" is every namespace."""

    @abstractmethod
    def delete_external_metric(
        self, ctx: RequestContext, namespace: str, info: ExternalMetricInfo, labels: Mapping[str, str]
    ) -> None:
        """Forget the value of this label set. Raises MetricNotFoundError where there is none."""
