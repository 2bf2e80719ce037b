"""The conformance kit on functions that are polled, and on functions that are called when asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from metrics_apiserver.provider import NamespacedName, ProviderContext, RequestContext
from metrics_apiserver.provider.functions import Metrics, Trigger, Value, every
from metrics_apiserver.testing import CustomMetric, CustomMetricsConformance, ExternalMetric, ExternalMetricsConformance
from metrics_apiserver.testing.conformance.base import MakeProvider
from metrics_apiserver_providers.functions import FunctionsProvider
from tests.controlplane.waiting import wait_until

SERIES = {"queue=orders": 30, "queue=mail": 12}
KNOWN = ("conformance-0", "conformance-1")


def open_sessions(ctx: RequestContext, objects: Sequence[NamespacedName]) -> dict[NamespacedName, Value]:
    assert ctx.remaining() >= 0
    return {each: Value(7).add_selector("path", "cart", 4) for each in objects if each.name in KNOWN}


def declared(trigger: Trigger) -> Metrics:
    metrics = Metrics()
    metrics.external("queue-depth", trigger=trigger)(lambda: SERIES)
    metrics.custom("pods", "open-sessions", trigger=trigger)(open_sessions)
    return metrics


class Functions(CustomMetricsConformance, ExternalMetricsConformance):
    """What both have."""

    __test__ = False
    custom_metric = CustomMetric("open-sessions", objects=KNOWN, labels={"path": "cart"})
    external_metric = ExternalMetric("queue-depth", ({"queue": "orders"}, {"queue": "mail"}))


class TestPolled(Functions):
    __test__ = True

    @pytest.fixture
    def make_provider(self) -> MakeProvider:
        return lambda context: FunctionsProvider(context, {"metrics": declared(every(minutes=1))})


class TestWhenAsked(Functions):
    __test__ = True

    @pytest.fixture
    def make_provider(self) -> MakeProvider:
        return lambda context: FunctionsProvider(context, {"metrics": declared(None)})

    @pytest.fixture
    def make_hanging_provider(self) -> MakeProvider:
        """Functions that ask a backend which never answers, for as long as the read has."""

        def hang(ctx: RequestContext) -> Any:
            wait_until(lambda: ctx.remaining() == 0, 10, lambda: "the deadline never came")
            raise TimeoutError

        def make(context: ProviderContext) -> FunctionsProvider:
            metrics = Metrics()
            metrics.external("queue-depth")(hang)
            metrics.custom("pods", "open-sessions")(hang)
            return FunctionsProvider(context, {"metrics": metrics})

        return make
