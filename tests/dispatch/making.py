"""What the tests of this folder share: providers that fail in every way, and instances and routers around them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from metrics_apiserver.apis.api import Query, Read
from metrics_apiserver.apis.custom import CUSTOM_METRICS_API, NameRead, SelectorRead
from metrics_apiserver.apis.external import EXTERNAL_METRICS_API, ExternalRead
from metrics_apiserver.concurrency.budget import SharedRoom
from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.dispatch.outcomes import Outcome
from metrics_apiserver.dispatch.router import Router
from metrics_apiserver.dispatch.trace import Request, Trace
from metrics_apiserver.errors import StatusError, WouldWaitError
from metrics_apiserver.model import selectors
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    MetricValue,
    NamespacedName,
    Quantity,
    RequestContext,
    Selector,
    metric_value,
)
from metrics_apiserver.settings import PolicySettings, ProviderSettings, Substitute, SubstituteSettings
from metrics_apiserver.telemetry import ProviderMetrics
from tests.fakes import LOGGER, NOON, FakeClock, cluster, info, provider_context

CART = NamespacedName("shop", "cart-0")
RPS = info("pods", "rps")
QUEUE = ExternalMetricInfo("queue")

BY_NAME = NameRead(CART, RPS, selectors.parse(""))
BY_SELECTOR = SelectorRead("shop", selectors.parse("app=cart"), RPS, selectors.parse(""))
OF_QUEUE = ExternalRead("shop", QUEUE, selectors.parse(""))

ZERO = SubstituteSettings(Substitute.ZERO)
EMPTY = SubstituteSettings(Substitute.EMPTY)
ERROR = SubstituteSettings(Substitute.ERROR)
SEVEN = SubstituteSettings(Substitute.VALUE, value=Quantity.of(7))


def last(seconds: float) -> SubstituteSettings:
    return SubstituteSettings(Substitute.LAST, seconds=seconds)


class Scripted(CustomMetricsProvider, ExternalMetricsProvider):
    """Does what it is told at each call: the answer is what `does` gives, for whatever is asked."""

    def __init__(self, does: Callable[[RequestContext], Any], *, from_memory: bool = False, per_user: bool = False):
        super().__init__(provider_context(), {})
        self.does = does
        self.answers_from_memory = from_memory
        self.per_user = per_user
        self.calls = 0
        self.series: int | None = 1
        self._lock = threading.Lock()

    def series_count(self, info: Any, namespace: str) -> int | None:
        return self.series

    def _do(self, ctx: RequestContext) -> Any:
        with self._lock:
            self.calls += 1
        return self.does(ctx)

    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        given: Any = self._do(ctx)
        return given

    def get_metric_by_selector(
        self,
        ctx: RequestContext,
        namespace: str,
        selector: Selector,
        info: CustomMetricInfo,
        metric_selector: Selector,
    ) -> Sequence[MetricValue]:
        given: Any = self._do(ctx)
        return given

    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        given: Any = self._do(ctx)
        return given


class Gate:
    """Something that providers hang at until it is opened."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.arrived = threading.Semaphore(0)

    def hang(self, ctx: RequestContext) -> list[ExternalMetricValue]:
        self.arrived.release()
        assert self.event.wait(30)
        return series(42)

    def wait_for(self, arrivals: int) -> None:
        for _ in range(arrivals):
            assert self.arrived.acquire(timeout=10)

    def open(self) -> None:
        self.event.set()


def series(*values: int, **labels: str) -> list[ExternalMetricValue]:
    """One series for each value, told apart by a label."""
    return [
        ExternalMetricValue("queue", NOON, Quantity.of(value), {"number": str(number), **labels})
        for number, value in enumerate(values)
    ]


def value_of(name: str = "cart-0", value: int = 1, **keywords: Any) -> MetricValue:
    return metric_value(provider_context(), NamespacedName("shop", name), RPS, value, **keywords)


def instance(
    provider: Any,
    *,
    policy: PolicySettings | None = None,
    clock: Clock | None = None,
    telemetry: ProviderMetrics | None = None,
    most_waiting: int | None = None,
    trusted: bool = False,
    **settings: Any,
) -> Instance:
    """An instance named `slow` unless told otherwise, with a clock that stands still."""
    settings = {"name": "slow", "kind": "test", **settings}
    return Instance(
        ProviderSettings(policy=policy or PolicySettings(), **settings),
        provider,
        telemetry=telemetry or ProviderMetrics(),
        clock=clock or FakeClock(),
        logger=LOGGER,
        waiting=None if most_waiting is None else SharedRoom(most_waiting, each=most_waiting),
        trusted=trusted,
    )


def router(*instances: Instance, clock: Clock | None = None, seconds: float = 10) -> Router:
    here = cluster()
    return Router(
        instances,
        mapper=here.mapper,
        objects=here.objects,
        clock=clock or FakeClock(),
        logger=LOGGER,
        seconds=seconds,
    )


def ask(asked: Instance, read: Read, request: Request) -> Outcome:
    """Read at one instance, and book what happened, as the router does."""
    trace = Trace(read, request)
    outcome = asked.read(trace)
    for step in trace.steps:
        step.book()
    return outcome


def would_wait(asked: Router, query: Query) -> bool:
    """Read where nothing may be waited for; return whether it would have to."""
    try:
        asked.read(query, audit_id="test", may_wait=False)
    except WouldWaitError:
        return True
    except StatusError:
        pass
    return False


def request(clock: Clock, *, seconds: float = 10, user: Any = None) -> Request:
    return Request(clock.monotonic() + seconds, "test", user)


def read_external(asked: Router, selector: str = "", **keywords: Any) -> list[str]:
    """Read the queue through a router: the values as text."""
    query = EXTERNAL_METRICS_API.parse(("namespaces", "shop", "queue"), {"labelSelector": selector})
    return [str(value.value) for value in asked.read(query, audit_id="test", **keywords)]


def read_custom(asked: Router, path: str, **parameters: str) -> list[tuple[str, str]]:
    """Read a custom metric through a router: the objects' names and their values as text."""
    values = asked.read(CUSTOM_METRICS_API.parse(path.split("/"), parameters), audit_id="test")
    return [(value.described_object.name, str(value.value)) for value in values]
