"""A started provider of some Metrics, and short ways of reading it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import (
    CustomMetricInfo,
    ExternalMetricInfo,
    NamespacedName,
    RequestContext,
    ServiceUnavailableError,
)
from metrics_apiserver.provider.functions import Metrics
from metrics_apiserver.testing import provider_context, request_context
from metrics_apiserver_providers.functions import FunctionsProvider
from tests.controlplane.waiting import wait_until
from tests.fakes import cluster, info

__all__ = ["SECONDS", "Served"]

SECONDS = 10.0
PODS = info("pods", "open-sessions")


class Served:
    """A started provider of some Metrics on the recorded cluster's objects, and short ways of reading it."""

    def __init__(self, clock: Any) -> None:
        self.metrics = Metrics()
        self.clock = clock
        self.context = provider_context(cluster=cluster(), clock=clock)
        self.provider = FunctionsProvider(self.context, {"metrics": self.metrics})

    def ctx(self) -> RequestContext:
        return request_context(clock=self.clock)

    def external(self, selector: str = "", *, namespace: str = "shop", metric: str = "depth") -> list[str]:
        values = self.provider.get_external_metric(
            self.ctx(), namespace, selectors.parse(selector), ExternalMetricInfo(metric)
        )
        return [str(value.value) for value in values]

    def by_name(self, name: str, series: str = "", *, namespace: str = "shop", of: CustomMetricInfo = PODS) -> str:
        value = self.provider.get_metric_by_name(
            self.ctx(), NamespacedName(namespace, name), of, selectors.parse(series)
        )
        return str(value.value)

    def by_selector(
        self, selector: str = "", series: str = "", *, namespace: str = "shop", of: CustomMetricInfo = PODS
    ) -> dict[str, str]:
        values = self.provider.get_metric_by_selector(
            self.ctx(), namespace, selectors.parse(selector), of, selectors.parse(series)
        )
        return {value.described_object.name: str(value.value) for value in values}

    def when_polled(self, read: Callable[[], Any]) -> Any:
        """Give the first read that does not say that nothing was polled yet."""

        def answered() -> Any:
            try:
                return (read(),)
            except ServiceUnavailableError as error:
                if "has not been polled" not in str(error) and "no event" not in str(error):
                    raise
                return None

        return wait_until(answered, SECONDS, lambda: "nothing was polled")[0]
