"""Serves a first provider, and compares with it a second one that is asked the same afterwards."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from metrics_apiserver.provider import (
    Child,
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    MetricNotFoundError,
    MetricValue,
    NamespacedName,
    NotFoundError,
    Provider,
    ProviderContext,
    RequestContext,
    Selector,
)
from metrics_apiserver_providers.shadow.comparison import Outcome, by_key, compare
from metrics_apiserver_providers.shadow.options import ShadowOptions
from metrics_apiserver_providers.shadow.report import Report
from metrics_apiserver_providers.shadow.workers import Workers

__all__ = ["ShadowProvider"]

_Answer = TypeVar("_Answer")
_START_SECONDS = 2.0


class ShadowProvider(CustomMetricsProvider, ExternalMetricsProvider):
    """Serves its first provider, asks the second the same, and counts and logs where they differ.

    The second is asked on threads of its own, after the first has answered: it can neither delay nor fail a read.
    It does not say `answers_from_memory`, whatever the first says of itself: that one may be anybody's, and the word of
    a shipped provider is believed.
    """

    Options = ShadowOptions

    def __init__(self, context: ProviderContext, options: Mapping[str, Any]) -> None:
        super().__init__(context, options)
        first: Child = options["first"]
        second: Child = options["second"]
        self._first = first.make(context, "first")
        try:
            self._second = second.make(context, "second")
        except BaseException:
            # Nobody else knows of it.
            self._stop_part(self._first, "first")
            raise
        self.per_user = self._first.per_user or self._second.per_user
        self._tolerance = Decimal(str(options["tolerance"]))
        self._workers = Workers(context.name, options["concurrency"], logger=context.logger)
        self._starter = threading.Thread(target=self._start_second, name=f"shadow-{context.name}-start", daemon=True)
        self._report = Report(
            context.name,
            registry=context.metrics_registry,
            interval=options["log_interval"],
            timer=context.clock.monotonic,
            logger=context.logger,
        )

    def start(self) -> None:
        """Start the first, and in the background the second: until that is done, nothing is compared."""
        self._first.start()
        self._starter.start()

    def stop(self) -> None:
        """Stop both; a second that hangs is left behind."""
        try:
            self._first.stop()
        finally:
            self._stop_second()

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        """Name what the first lists."""
        return self._first.list_all_metrics() if isinstance(self._first, CustomMetricsProvider) else ()

    def list_all_external_metrics(self) -> Iterable[ExternalMetricInfo]:
        """Name what the first lists."""
        return self._first.list_all_external_metrics() if isinstance(self._first, ExternalMetricsProvider) else ()

    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        """Return the first's value."""

        def ask(provider: Provider, ctx: RequestContext) -> MetricValue:
            if not isinstance(provider, CustomMetricsProvider):
                raise MetricNotFoundError(info.group_resource, info.metric, name.name, metric_selector)
            return provider.get_metric_by_name(ctx, name, info, metric_selector)

        return self._shadowed(f"{info} of {name}", ask, ctx)

    def get_metric_by_selector(
        self,
        ctx: RequestContext,
        namespace: str,
        selector: Selector,
        info: CustomMetricInfo,
        metric_selector: Selector,
    ) -> Sequence[MetricValue]:
        """Return the first's values."""

        def ask(provider: Provider, ctx: RequestContext) -> Sequence[MetricValue]:
            if not isinstance(provider, CustomMetricsProvider):
                return ()
            return provider.get_metric_by_selector(ctx, namespace, selector, info, metric_selector)

        return self._shadowed(f"{info} in {namespace or 'the cluster'}", ask, ctx)

    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        """Return the first's series."""

        def ask(provider: Provider, ctx: RequestContext) -> Sequence[ExternalMetricValue]:
            if not isinstance(provider, ExternalMetricsProvider):
                return ()
            return provider.get_external_metric(ctx, namespace, metric_selector, info)

        return self._shadowed(f"{info.metric} in {namespace}", ask, ctx)

    def _shadowed(self, what: str, ask: Callable[[Provider, RequestContext], _Answer], ctx: RequestContext) -> _Answer:
        """Ask the first, and have the second asked and compared by somebody else."""
        try:
            answer = ask(self._first, ctx)
        except BaseException as error:
            self._compare_soon(what, ask, ctx, _raising(error))
            raise
        # Read once by the comparison and once by the server.
        kept: Any = tuple(answer) if isinstance(answer, Iterator) else answer
        self._compare_soon(what, ask, ctx, lambda: kept)
        return kept  # type: ignore[no-any-return]

    def _compare_soon(
        self, what: str, ask: Callable[[Provider, RequestContext], Any], ctx: RequestContext, first: Callable[[], Any]
    ) -> None:
        def job() -> None:
            deadline = ctx.clock.monotonic() + self.options["timeout"]
            second = _outcome(lambda: ask(self._second, dataclasses.replace(ctx, deadline=deadline)))
            self._report.add(what, compare(_outcome(first), second, tolerance=self._tolerance))

        if not self._workers.submit(job):
            self._report.skipped()

    def _start_second(self) -> None:
        try:
            self._second.start()
        except BaseException:
            self.context.logger.exception("the second provider cannot start, and nothing is compared")
            return
        if not self._workers.start():
            # It came back after the stop, and may have gone on to start something.
            self._stop_part(self._second, "second")

    def _stop_second(self) -> None:
        """Stop the second, whether it has started, is still about to, or never was to."""
        ended = self._workers.stop()
        if self._starter.ident is not None:
            self._starter.join(_START_SECONDS)
        if self._starter.is_alive() or not ended:
            self.context.logger.warning("the second provider hangs, and is left behind")
        self._stop_part(self._second, "second")

    def _stop_part(self, part: Provider, which: str) -> None:
        try:
            part.stop()
        except BaseException:
            self.context.logger.exception("the %s provider failed to stop", which)


def _outcome(ask: Callable[[], Any]) -> Outcome:
    """Take what is answered, one value or several, or raised; what is not found is not a value."""
    try:
        answer = ask()
        return by_key((answer,) if isinstance(answer, MetricValue) else answer)
    except NotFoundError:
        return {}
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what it is compared by
        return error


def _raising(error: BaseException) -> Callable[[], Any]:
    def ask() -> Any:
        raise error

    return ask
