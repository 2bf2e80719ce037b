"""One provider as it is asked: from memory, from the cache, together with equal reads, until the deadline."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from metrics_apiserver.apis.api import Read
from metrics_apiserver.apis.custom import NameRead
from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.dispatch.outcomes import Answer, Failed, Missing
from metrics_apiserver.errors import (
    ForbiddenError,
    MetricFailedError,
    MetricNotFoundError,
    MetricUnavailableError,
    ServiceUnavailableError,
)
from metrics_apiserver.model import selectors
from metrics_apiserver.model.clock import SystemClock
from metrics_apiserver.provider import ExternalMetricInfo, NamespacedName, UserInfo
from metrics_apiserver.settings import BreakerSettings, MatchSettings, MetricPolicySettings, PolicySettings
from tests.controlplane.waiting import wait_until
from tests.dispatch.making import (
    BY_NAME,
    BY_SELECTOR,
    OF_QUEUE,
    Gate,
    Scripted,
    ask,
    instance,
    request,
    series,
    value_of,
)
from tests.fakes import FakeClock, info

QUICK = PolicySettings(timeout=0.05)
OTHER_METRIC = OF_QUEUE._replace(info=ExternalMetricInfo("other"))
NARROWED = OF_QUEUE._replace(metric_selector=selectors.parse("a=b"))
IN_SYSTEM = OF_QUEUE._replace(namespace="system")
ANN, BOB = UserInfo("ann"), UserInfo("bob")


def values(asked: Instance, read: Read = OF_QUEUE, **keywords: Any) -> list[str]:
    clock = keywords.pop("clock", None) or FakeClock()
    outcome = ask(asked, read, request(clock, **keywords))
    assert isinstance(outcome, Answer), outcome
    return [str(value.value) for value in outcome.values]


def failure(asked: Instance, read: Read = OF_QUEUE, **keywords: Any) -> tuple[str, int, str]:
    """Give reason, code and sentence of a read that fails."""
    clock = keywords.pop("clock", None) or FakeClock()
    outcome = ask(asked, read, request(clock, **keywords))
    assert isinstance(outcome, Failed), outcome
    return outcome.reason, outcome.fault.code, outcome.fault.message


class TestWhereItRuns:
    def test_provider_that_answers_from_memory_is_called_on_the_readers_thread(self) -> None:
        threads = []
        provider = Scripted(lambda _: threads.append(threading.current_thread()) or series(1), from_memory=True)
        asked = instance(provider)
        assert values(asked) == ["1"]
        assert threads == [threading.current_thread()]

    def test_any_other_is_called_on_a_thread_of_its_own(self) -> None:
        threads = []
        asked = instance(Scripted(lambda _: threads.append(threading.current_thread().name) or series(1)))
        assert values(asked) == ["1"]
        assert threads == ["provider-slow-1"]
        asked.close()

    @pytest.mark.parametrize("from_memory", [True, False], ids=["from memory", "on its own thread"])
    @pytest.mark.parametrize(
        ("timeout", "left", "deadline"),
        [
            pytest.param(1.5, 10, 1.5, id="the metric's own"),
            pytest.param(1.5, 0.5, 0.5, id="the read has less left: an instance before it took the rest"),
        ],
    )
    def test_deadline_reaches_the_provider(
        self, from_memory: bool, timeout: float, left: float, deadline: float
    ) -> None:
        clock, deadlines = FakeClock(), []
        provider = Scripted(lambda ctx: deadlines.append(ctx.remaining()) or series(1), from_memory=from_memory)
        asked = instance(provider, policy=PolicySettings(timeout=timeout), clock=clock)
        values(asked, clock=clock, seconds=left)
        assert deadlines == [pytest.approx(deadline)]
        asked.close()

    def test_policy_of_the_metric_counts(self) -> None:
        clock, deadlines = FakeClock(), []
        provider = Scripted(lambda ctx: deadlines.append(ctx.remaining()) or series(1), from_memory=True)
        rows = (MetricPolicySettings(("q*",), PolicySettings(timeout=5)),)
        asked = instance(provider, metrics=rows, clock=clock)
        values(asked, clock=clock)
        values(asked, OTHER_METRIC, clock=clock)
        assert deadlines == [pytest.approx(5), pytest.approx(1.5)]


class TestDeadline:
    def test_late_call_is_left_to_itself_and_keeps_its_slot(self) -> None:
        gate = Gate()
        asked = instance(Scripted(gate.hang), policy=QUICK, concurrency=1)
        assert failure(asked) == ("timeout", 504, f"provider slow has not answered within 0.05 s for {OF_QUEUE}")
        assert asked.load()[:3] == (1, 1, 0)
        assert failure(asked) == ("busy", 503, "provider slow is busy: 1 calls of it are under way")
        gate.open()
        wait_until(lambda: asked.load().slots_in_use == 0, 10, lambda: "the slot is still in use")
        assert values(asked) == ["42"]
        asked.close()

    def test_late_answer_is_good_for_the_next_read(self) -> None:
        gate = Gate()
        provider = Scripted(gate.hang)
        asked = instance(provider, policy=PolicySettings(timeout=0.05, cache=60))
        assert failure(asked)[1] == 504
        gate.open()
        wait_until(lambda: asked.load().slots_in_use == 0, 10, lambda: "the slot is still in use")
        wait_until(lambda: values(asked) == ["42"], 10, lambda: "no answer")
        assert provider.calls == 1
        asked.close()

    def test_provider_that_gives_up_by_itself_is_a_timeout_too(self) -> None:
        def give_up(_: Any) -> Any:
            raise TimeoutError("the socket")

        asked = instance(Scripted(give_up))
        assert failure(asked) == ("timeout", 504, f"provider slow did not get its answer in time for {OF_QUEUE}")
        asked.close()


class TestSharing:
    def test_equal_reads_under_way_share_one_call(self) -> None:
        gate, clock = Gate(), SystemClock()
        provider = Scripted(gate.hang)
        asked = instance(provider, clock=clock, policy=PolicySettings(timeout=30))
        with ThreadPoolExecutor(5) as pool:
            reads = [pool.submit(values, asked, clock=clock) for _ in range(5)]
            wait_until(lambda: asked.load().waiting == 5, 10, lambda: "not all are waiting")
            gate.open()
            assert [read.result(timeout=10) for read in reads] == [["42"]] * 5
        assert provider.calls == 1
        asked.close()

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(OTHER_METRIC, id="another metric"),
            pytest.param(NARROWED, id="another selector"),
            pytest.param(IN_SYSTEM, id="another namespace"),
        ],
    )
    def test_different_reads_share_nothing(self, other: Read) -> None:
        gate = Gate()
        provider = Scripted(gate.hang)
        asked = instance(provider, policy=QUICK)
        for read in (OF_QUEUE, other):
            assert failure(asked, read)[0] == "timeout"
        gate.wait_for(2)
        assert provider.calls == 2
        gate.open()
        asked.close()

    def test_failure_is_shared_by_those_who_wait_for_it(self) -> None:
        event, clock = threading.Event(), SystemClock()

        def fail(_: Any) -> Any:
            assert event.wait(30)
            raise ServiceUnavailableError("the backend says no")

        provider = Scripted(fail)
        asked = instance(provider, clock=clock, policy=PolicySettings(timeout=30))
        with ThreadPoolExecutor(3) as pool:
            reads = [pool.submit(failure, asked, clock=clock) for _ in range(3)]
            wait_until(lambda: asked.load().waiting == 3, 10, lambda: "not all are waiting")
            event.set()
            assert [read.result(10) for read in reads] == [("unavailable", 503, "the backend says no")] * 3
        assert provider.calls == 1
        asked.close()

    def test_each_leaves_at_its_own_deadline(self) -> None:
        gate, clock = Gate(), SystemClock()
        asked = instance(Scripted(gate.hang), clock=clock, policy=PolicySettings(timeout=30))
        with ThreadPoolExecutor(1) as pool:
            patient: Future[list[str]] = pool.submit(values, asked, clock=clock, seconds=30)
            gate.wait_for(1)
            assert failure(asked, clock=clock, seconds=0.05)[0] == "timeout"
            gate.open()
            assert patient.result(10) == ["42"]
        asked.close()

    def test_call_past_its_deadline_is_no_longer_joined(self) -> None:
        clock, gates = FakeClock(), [Gate(), Gate()]
        calls = iter(gates)
        provider = Scripted(lambda ctx: next(calls).hang(ctx))
        asked = instance(provider, clock=clock, policy=PolicySettings(timeout=30))
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(values, asked, clock=clock, seconds=30)
            gates[0].wait_for(1)
            clock.seconds += 31
            second = pool.submit(values, asked, clock=clock, seconds=30)
            gates[1].wait_for(1)
            assert asked.load().slots_in_use == 2
            for gate in gates:
                gate.open()
            assert [first.result(10), second.result(10)] == [["42"], ["42"]]
        asked.close()

    def test_so_many_reads_wait_and_the_next_is_refused_at_once(self) -> None:
        gate, clock = Gate(), SystemClock()
        asked = instance(Scripted(gate.hang), clock=clock, policy=PolicySettings(timeout=30), most_waiting=3)
        with ThreadPoolExecutor(3) as pool:
            reads = [pool.submit(values, asked, clock=clock, seconds=30) for _ in range(3)]
            wait_until(lambda: asked.load().waiting == 3, 10, lambda: "not all are waiting")
            assert failure(asked, OTHER_METRIC, clock=clock) == (
                "busy",
                503,
                "provider slow is busy: 3 reads are waiting for it already",
            )
            gate.open()
            assert [read.result(10) for read in reads] == [["42"]] * 3
        assert asked.load().waiting == 0
        asked.close()


class TestCache:
    @pytest.mark.parametrize("from_memory", [True, False], ids=["from memory", "on its own thread"])
    def test_answer_is_used_again_for_so_long(self, from_memory: bool) -> None:
        clock = FakeClock()
        provider = Scripted(lambda _: series(provider.calls), from_memory=from_memory)
        asked = instance(provider, policy=PolicySettings(cache=5), clock=clock)
        given = []
        for _ in range(4):
            given += values(asked, clock=clock)
            clock.seconds += 2.5
        assert given == ["1", "1", "2", "2"]
        asked.close()

    def test_without_it_every_read_asks(self) -> None:
        provider = Scripted(lambda _: series(provider.calls), from_memory=True)
        asked = instance(provider)
        assert [values(asked), values(asked)] == [["1"], ["2"]]

    def test_nothing_is_an_answer_and_a_failure_is_none(self) -> None:
        def answer(_: Any) -> Any:
            if provider.calls == 1:
                raise ServiceUnavailableError("the backend says no")
            raise MetricNotFoundError("pods", "rps", "cart-0")

        provider = Scripted(answer, from_memory=True)
        asked = instance(provider, policy=PolicySettings(cache=5))
        assert failure(asked, BY_NAME)[1] == 503
        for _ in range(3):
            outcome = ask(asked, BY_NAME, request(FakeClock()))
            assert isinstance(outcome, Missing)
            assert "could not find the metric rps for pods cart-0" in outcome.message
        assert provider.calls == 2

    @pytest.mark.parametrize(
        ("per_user", "calls"),
        [pytest.param(True, 3, id="each user has an own"), pytest.param(False, 1, id="all users share it")],
    )
    def test_users(self, per_user: bool, calls: int) -> None:
        """Two users of a provider that declares `per_user` share nothing; any other provider is not told who asks."""
        seen = []
        provider = Scripted(lambda ctx: seen.append(ctx.user) or series(1), from_memory=True, per_user=per_user)
        asked = instance(provider, policy=PolicySettings(cache=60))
        for user in (ANN, BOB, ANN, None):
            values(asked, user=user)
        assert provider.calls == calls
        assert seen == ([ANN, BOB, None] if per_user else [None])

    def test_groups_of_a_user_count_too(self) -> None:
        provider = Scripted(lambda _: series(1), from_memory=True, per_user=True)
        asked = instance(provider, policy=PolicySettings(cache=60))
        for extra in ({}, {"scopes": ("a",)}, {"scopes": ("a",)}):
            for groups in ((), ("admins",)):
                values(asked, user=UserInfo("ann", groups=groups, extra=extra))
        assert provider.calls == 4


class TestBreaker:
    def test_down_is_said_at_once_and_a_trial_brings_it_back(self) -> None:
        clock, answers = FakeClock(), iter([ServiceUnavailableError("the backend says no")] * 2)

        def answer(_: Any) -> Any:
            if (error := next(answers, None)) is not None:
                raise error
            return series(7)

        provider = Scripted(answer)
        asked = instance(provider, breaker=BreakerSettings(failures=2, reset=10), clock=clock)
        assert [failure(asked, clock=clock)[0] for _ in range(3)] == ["unavailable", "unavailable", "down"]
        assert failure(asked, clock=clock)[1:] == (
            503,
            "provider slow is not asked for queue in the namespace shop, which fails since 2026-11-21T12:00:00Z:"
            " queue in the namespace shop: the backend says no",
        )
        assert provider.calls == 2
        assert asked.load().refused_metrics == 1
        clock.seconds += 10
        assert values(asked, clock=clock) == ["7"]
        assert asked.load().refused_metrics == 0
        asked.close()

    def test_hanging_counts_and_the_late_answer_does_not_count_again(self) -> None:
        gate, clock = Gate(), FakeClock()
        asked = instance(Scripted(gate.hang), policy=QUICK, breaker=BreakerSettings(failures=2, reset=10), clock=clock)
        assert [failure(asked, clock=clock)[0] for _ in range(3)] == ["timeout", "timeout", "down"]
        gate.open()
        wait_until(lambda: asked.load().slots_in_use == 0, 10, lambda: "the slots are still in use")
        assert asked.load().refused_metrics == 1
        asked.close()

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(MetricNotFoundError("pods", "rps"), id="not found"),
            pytest.param(ForbiddenError("not yours"), id="forbidden"),
            pytest.param(MetricUnavailableError("not polled yet"), id="one metric has no value"),
            pytest.param(MetricFailedError("its query is wrong"), id="the backend fails for one metric"),
        ],
    )
    def test_what_is_no_failure_of_the_provider_leaves_the_breaker_closed(self, error: Exception) -> None:
        def refuse(_: Any) -> Any:
            raise error

        asked = instance(Scripted(refuse), breaker=BreakerSettings(failures=1, reset=10))
        for _ in range(3):
            assert isinstance(ask(asked, OF_QUEUE, request(FakeClock())), Failed | Missing)
        assert (asked.load().breaker, asked.load().refused_metrics) == ("closed", 0)
        asked.close()

    def test_provider_that_answers_from_memory_is_always_asked(self) -> None:
        """One metric without a value says nothing about the others."""

        def fail(_: Any) -> Any:
            raise ServiceUnavailableError("not polled yet")

        provider = Scripted(fail, from_memory=True)
        asked = instance(provider, breaker=BreakerSettings(failures=1, reset=10))
        assert [failure(asked)[0] for _ in range(3)] == ["unavailable"] * 3
        assert provider.calls == 3


@pytest.mark.parametrize(
    ("match", "reads"),
    [
        pytest.param((), [BY_NAME, BY_SELECTOR, OF_QUEUE], id="no rule: every read"),
        pytest.param((MatchSettings(api="external"),), [OF_QUEUE], id="one API"),
        pytest.param((MatchSettings(resources=("pods",)),), [BY_NAME, BY_SELECTOR], id="one resource"),
        pytest.param((MatchSettings(label="a=b"),), [NARROWED], id="a label of the series"),
    ],
)
def test_reads_that_an_instance_is_asked_for(match: tuple[MatchSettings, ...], reads: list[Read]) -> None:
    """The rules themselves are tested with the matcher."""
    asked = instance(Scripted(lambda _: value_of()), match=match)
    every = [BY_NAME, BY_SELECTOR, OF_QUEUE] + ([NARROWED] if match and match[0].label else [])
    assert [read for read in every if asked.is_asked(read)] == reads


def test_metric_of_a_namespace_is_in_that_namespace() -> None:
    """Its path has none but the object's own name."""
    read = NameRead(NamespacedName("", "shop"), info("namespaces", "work", namespaced=False), selectors.parse(""))
    for namespaces, fits in ((("shop",), True), (("team-*",), False)):
        asked = instance(Scripted(lambda _: value_of()), match=(MatchSettings(namespaces=namespaces),))
        assert asked.is_asked(read) is fits
