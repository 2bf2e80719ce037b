"""The shadow serves its first provider, whatever the second does, and says where they differ."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from decimal import Decimal
from typing import Any

import pytest
from marshmallow import ValidationError
from prometheus_client import CollectorRegistry

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import (
    ExternalMetricInfo,
    GatewayTimeoutError,
    MetricNotFoundError,
    NamespacedName,
    ProviderContext,
    Quantity,
    ServiceUnavailableError,
)
from metrics_apiserver_providers.constant import ConstantProvider
from metrics_apiserver_providers.shadow import ShadowProvider
from metrics_apiserver_providers.shadow.comparison import compare
from metrics_apiserver_providers.shadow.report import Report
from tests.controlplane.waiting import wait_until
from tests.fakes import LOGGER, FakeClock, TableProvider, info, request_context
from tests.providers.shadow.conftest import MakeShadow, Told, counts, wait_for

EVERYTHING = selectors.EVERYTHING
PACKETS = info("pods", "packets")
ONE, TWO = Quantity.of(1), Quantity.of(2)
CART = NamespacedName("shop", "cart-0")


def queue(given: Any) -> TableProvider:
    """A provider of one external metric."""
    return TableProvider(
        external={"queue": given if isinstance(given, BaseException) else [Quantity.of(x) for x in given]}
    )


def external(shadow: ShadowProvider, metric: str = "queue") -> list[str]:
    values = shadow.get_external_metric(request_context(), "shop", EVERYTHING, ExternalMetricInfo(metric))
    return [str(value.value) for value in values]


@pytest.mark.parametrize(
    ("first", "second", "result", "line"),
    [
        pytest.param([1], [1], "same", "", id="the same"),
        pytest.param([1], [2], "value", "shadow migration: queue in shop: {}: first 1, second 2", id="another value"),
        pytest.param([1], [], "missing", "shadow migration: queue in shop: {}: first 1, second no value", id="missing"),
        pytest.param([], [1], "extra", "shadow migration: queue in shop: {}: first no value, second 1", id="extra"),
        pytest.param(
            [1],
            ServiceUnavailableError("away"),
            "second_failed",
            "shadow migration: queue in shop: the second cannot answer, and the first can: away",
            id="the second raises",
        ),
        pytest.param(
            [1],
            ZeroDivisionError(),
            "second_failed",
            "shadow migration: queue in shop: the second cannot answer, and the first can: ZeroDivisionError",
            id="the second has a mistake",
        ),
        pytest.param(
            [1],
            asyncio.CancelledError(),
            "second_failed",
            "shadow migration: queue in shop: the second cannot answer, and the first can: CancelledError",
            id="the second raises as a cancelled task does",
        ),
    ],
)
def test_first_is_served_and_difference_counted_and_logged(
    first: Any,
    second: Any,
    result: str,
    line: str,
    make_shadow: MakeShadow,
    context: ProviderContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever the second says."""
    shadow = make_shadow(queue(first), queue(second))
    assert external(shadow) == [str(value) for value in first]
    assert wait_for(context.metrics_registry, 1) == {result: 1}
    shadow.stop()
    assert [record.getMessage() for record in caplog.records] == ([line] if line else [])


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        pytest.param(1, 1, "same", id="the same"),
        pytest.param(1, None, "missing", id="the second does not have it"),
        pytest.param(None, 1, "extra", id="the first does not have it"),
        pytest.param(None, None, "same", id="neither has it"),
        pytest.param(GatewayTimeoutError("late"), 1, "first_failed", id="the first fails"),
        pytest.param(GatewayTimeoutError("late"), GatewayTimeoutError("late"), "both_failed", id="both fail"),
    ],
)
def test_custom_metrics_are_compared_by_name_and_by_selector(
    first: Any, second: Any, result: str, make_shadow: MakeShadow, context: ProviderContext
) -> None:
    """Not found is not a failure; the first's own error is the client's."""
    tables = [{("cart-0", "packets"): value} for value in (first, second)]
    shadow = make_shadow(*(TableProvider(table) for table in tables))
    if isinstance(first, Exception) or first is None:
        with pytest.raises(MetricNotFoundError if first is None else type(first)):
            shadow.get_metric_by_name(request_context(), CART, PACKETS, EVERYTHING)
    else:
        assert str(shadow.get_metric_by_name(request_context(), CART, PACKETS, EVERYTHING).value) == str(first)
    wait_for(context.metrics_registry, 1)
    if not isinstance(first, Exception):
        found = shadow.get_metric_by_selector(request_context(), "shop", EVERYTHING, PACKETS, EVERYTHING)
        assert [str(value.value) for value in found] == ([] if first is None else [str(first)])
        wait_for(context.metrics_registry, 2)
    assert set(counts(context.metrics_registry)) == {result}


def test_second_that_hangs_delays_nobody_and_is_skipped(make_shadow: MakeShadow, context: ProviderContext) -> None:
    """Its threads and what waits for them are bounded; the rest of the reads is not compared, and counted."""
    second = Told(external={"queue": [ONE]})
    shadow = make_shadow(queue([1]), second, concurrency=1)
    second.hanging.clear()
    assert [external(shadow) for _ in range(50)] == [["1"]] * 50
    skipped = counts(context.metrics_registry)["skipped"]
    assert 44 <= skipped <= 46
    second.hanging.set()
    assert wait_for(context.metrics_registry, 50) == {"same": 50 - skipped, "skipped": skipped}


def test_second_has_a_deadline_of_its_own(make_shadow: MakeShadow, context: ProviderContext, clock: FakeClock) -> None:
    """The read's may be nearly over when the first has answered."""
    second = Told(external={"queue": [ONE]})
    external(make_shadow(queue([1]), second, timeout="20s"))
    wait_for(context.metrics_registry, 1)
    assert second.deadlines == [clock.seconds + 20]


def test_one_metric_is_logged_once_within_the_interval(
    make_shadow: MakeShadow, context: ProviderContext, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """And as often as it differs, it is counted."""
    first, second = ({"a": [ONE], "b": [ONE]}, {"a": [TWO], "b": [TWO]})
    shadow = make_shadow(TableProvider(external=first), TableProvider(external=second), logInterval="30s")
    for number, metric in enumerate(["a", "a", "b", "a"]):
        external(shadow, metric)
        wait_for(context.metrics_registry, number + 1)
    clock.seconds += 31
    external(shadow, "a")
    wait_for(context.metrics_registry, 5)
    shadow.stop()
    assert [record.getMessage().split()[2] for record in caplog.records] == ["a", "b", "a"]


def test_log_is_bounded_however_many_metrics_differ(
    context: ProviderContext, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A line each would be thousands; all are counted."""
    report = Report(
        "migration", registry=context.metrics_registry, interval=60, timer=clock.monotonic, logger=context.logger
    )
    for number in range(150):
        report.add(f"m{number}", compare({"a": ("a", ONE)}, {}, tolerance=Decimal(0)))
    assert len(caplog.records) == 100
    assert counts(context.metrics_registry) == {"missing": 150}


def test_long_difference_is_cut(
    make_shadow: MakeShadow, context: ProviderContext, caplog: pytest.LogCaptureFixture
) -> None:
    """How many more there are is said."""
    shadow = make_shadow(queue([1] * 5), TableProvider())
    external(shadow)
    wait_for(context.metrics_registry, 1)
    shadow.stop()
    assert caplog.records[0].getMessage().endswith("; and 2 more")


def test_shadows_of_one_server_share_the_counter(make_shadow: MakeShadow, context: ProviderContext) -> None:
    """A registry takes a name once; a reload makes every provider again."""
    for number in range(2):
        shadow = make_shadow(queue([1]), queue([1]))
        external(shadow)
        wait_for(context.metrics_registry, number + 1)
    assert counts(context.metrics_registry) == {"same": 2}


def test_listing_and_nature_are_the_firsts(make_shadow: MakeShadow) -> None:
    """Whose answers depend on the user counts for both; that it answers from memory is believed of neither."""
    first = TableProvider(listing=[PACKETS], external_listing=["queue"])
    second = TableProvider(listing=[info("pods", "other")], external_listing=["other"])
    first.answers_from_memory, second.per_user = True, True
    shadow = make_shadow(first, second)
    assert list(shadow.list_all_metrics()) == [PACKETS]
    assert list(shadow.list_all_external_metrics()) == [ExternalMetricInfo("queue")]
    assert (shadow.answers_from_memory, shadow.per_user) == (False, True)


def test_second_that_cannot_start_harms_nobody(
    make_shadow: MakeShadow, context: ProviderContext, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not compared, and the log says why."""
    second = Told(external={"queue": [ONE]})
    second.broken = RuntimeError("no database")
    shadow = make_shadow(queue([1]), second)
    assert external(shadow) == ["1"]
    assert counts(context.metrics_registry) == {"skipped": 1}
    assert "cannot start" in caplog.text
    assert "no database" in caplog.text


def test_second_that_hangs_at_the_start_holds_up_nothing(make_shadow: MakeShadow, context: ProviderContext) -> None:
    """The server starts, serves, and compares once the second is there."""
    first, second = Told(external={"queue": [ONE]}), Told(external={"queue": [ONE]})
    second.hanging.clear()
    shadow = make_shadow(first, second)
    assert first.started
    assert external(shadow) == ["1"]
    assert counts(context.metrics_registry) == {"skipped": 1}
    second.hanging.set()
    shadow._starter.join()
    external(shadow)
    assert wait_for(context.metrics_registry, 2) == {"skipped": 1, "same": 1}


def test_stop_stops_both_and_leaves_a_second_that_hangs_behind(
    make_shadow: MakeShadow, caplog: pytest.LogCaptureFixture
) -> None:
    """The threads are gone, but the one that hangs; it holds up no end of a process."""
    first, second = Told(external={"queue": [ONE]}), Told(external={"queue": [ONE]})
    shadow = make_shadow(first, second, concurrency=2)
    second.hanging.clear()
    external(shadow)
    wait_until(lambda: second.deadlines, 10, "the second was not asked")
    shadow.stop()
    assert (first.stopped, second.stopped) == (True, True)
    assert "hangs, and is left behind" in caplog.text
    left = [thread for thread in threading.enumerate() if thread.name.startswith("shadow-migration-")]
    assert all(thread.daemon for thread in left)
    second.hanging.set()
    for thread in left:
        thread.join()


def test_failure_of_the_second_at_the_stop_is_logged(make_shadow: MakeShadow, caplog: pytest.LogCaptureFixture) -> None:
    """The first was stopped all the same."""
    first, second = Told(), Told()
    shadow = make_shadow(first, second)
    second.broken = RuntimeError("cannot")
    shadow.stop()
    assert first.stopped
    assert "failed to stop" in caplog.text
    second.broken = None


def test_counter_goes_with_its_registry() -> None:
    """A server that was replaced in the same process leaves nothing behind."""
    registry = CollectorRegistry()
    weak = weakref.ref(registry)
    Report("x", registry=registry, interval=1, timer=time.monotonic, logger=LOGGER)
    del registry
    gc.collect()
    assert weak() is None


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        pytest.param({"kind": "nonsense"}, {"kind": ["there is no provider of the kind nonsense"]}, id="no such kind"),
        pytest.param({}, {"kind": ["Missing data for required field."]}, id="no kind"),
        pytest.param(
            {"kind": "constant", "options": {"valu": 3}},
            {"options": {"valu": ["Unknown field; did you mean value?"]}},
            id="its options",
        ),
        pytest.param(
            {"kind": "proxy"},
            {"options": {"url": ["Missing data for required field."]}},
            id="an option that is missing",
        ),
    ],
)
def test_wrong_parts_are_told_before_the_start(part: dict[str, Any], problem: dict[str, Any]) -> None:
    """Under the names of the file."""
    with pytest.raises(ValidationError) as caught:
        ShadowProvider.Options().load({"first": {"kind": "constant"}, "second": part})
    assert caught.value.messages == {"second": problem}


def test_parts_may_be_of_any_kind(context: ProviderContext) -> None:
    """Each with its own options, and a name and a logger of its own."""
    options = ShadowProvider.Options().load(
        {"first": {"kind": "constant", "options": {"value": 3}}, "second": {"kind": "shadow", "options": NESTED}}
    )
    shadow = ShadowProvider(context, options)
    assert isinstance(shadow._first, ConstantProvider)
    assert shadow._first.context.name == "migration-first"
    assert shadow._first.context.logger.name.endswith("shadow.first")
    assert external(shadow) == ["3"]


NESTED = {"first": {"kind": "constant"}, "second": {"kind": "writable"}}


def test_second_that_comes_back_after_the_stop_starts_nothing(make_shadow: MakeShadow) -> None:
    """It was stopped while it hung in its start, and is stopped once more when that has come back."""
    second = Told()
    second.hanging.clear()
    shadow = make_shadow(queue([1]), second)
    shadow.stop()
    assert second.stopped
    second.stopped = False
    second.hanging.set()
    wait_until(lambda: second.started and second.stopped, 10, "it was not stopped again")
    shadow._starter.join(10)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("shadow-")]


def test_second_is_stopped_although_the_first_cannot_start(make_shadow: MakeShadow) -> None:
    first, second = Told(), Told()
    first.broken = RuntimeError("no backend")
    shadow = make_shadow(first, second, start=False)
    with pytest.raises(RuntimeError, match="no backend"):
        shadow.start()
    first.broken = None
    shadow.stop()
    assert (first.stopped, second.started, second.stopped) == (True, False, True)
