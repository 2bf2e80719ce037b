"""What a provider is asked for no more, and when again."""

from __future__ import annotations

import logging

import pytest

from metrics_apiserver.dispatch.breaker import Breaker, Failure, Permit
from metrics_apiserver.dispatch.subject import Subject
from metrics_apiserver.settings import BreakerSettings
from tests.fakes import LOGGER, FakeClock

QUEUE = Subject("shop", "queue")
RPS = Subject("shop", "rps", "pods")
CARTS = Subject("shop", "carts")
SPARE = Subject("shop", "spare")
OTHER_TENANT = Subject("bank", "queue")
NO_ANSWER = Failure("no answer")
REFUSED = Failure("connection refused", backend=True)


def breaker(clock: FakeClock | None = None, *, failures: int = 3) -> Breaker:
    return Breaker("slow", BreakerSettings(failures=failures, reset=10), clock=clock or FakeClock(), logger=LOGGER)


def permitted(tried: Breaker, subject: Subject) -> Permit:
    permit = tried.admit(subject)
    assert isinstance(permit, Permit), permit
    return permit


def call(tried: Breaker, subject: Subject, failure: Failure | None = NO_ANSWER) -> None:
    tried.account(permitted(tried, subject), failure)


def asked(tried: Breaker, subject: Subject) -> bool:
    """Whether a call may be made; none is."""
    permit = tried.admit(subject)
    if isinstance(permit, str):
        return False
    tried.give_back(permit)
    return True


@pytest.mark.parametrize(
    ("outcomes", "refused"),
    [
        pytest.param("FF", 0, id="too few failures"),
        pytest.param("FFF", 1, id="enough"),
        pytest.param("FF.FF", 0, id="an answer in between counts from the beginning"),
        pytest.param("FF.FFF", 1, id="enough in a row, later"),
    ],
)
def test_failures_of_one_metric_in_a_row_are_its_own(outcomes: str, refused: int) -> None:
    tried = breaker()
    for outcome in outcomes:
        call(tried, QUEUE, NO_ANSWER if outcome == "F" else None)
    assert (tried.refused_metrics, tried.state) == (refused, "closed")
    assert asked(tried, QUEUE) == (not refused)
    for other in (RPS, OTHER_TENANT, Subject("shop", "queue", "pods")):
        assert asked(tried, other)


class TestWhole:
    def test_three_different_metrics_close_the_way_for_all_of_their_namespace(self) -> None:
        tried = breaker()
        for subject in (QUEUE, RPS, CARTS):
            assert tried.state == "closed"
            call(tried, subject)
        assert tried.state == "open"
        assert not asked(tried, SPARE)

    @pytest.mark.parametrize(
        "subjects",
        [
            pytest.param([QUEUE] * 9, id="one"),
            pytest.param([QUEUE, RPS] * 4, id="two"),
            pytest.param([Subject(f"team-{number}", "queue") for number in range(9)], id="one, for many tenants"),
        ],
    )
    def test_fewer_metrics_do_not(self, subjects: list[Subject]) -> None:
        tried = breaker()
        for subject in subjects:
            if asked(tried, subject):
                call(tried, subject)
        assert tried.state == "closed"
        assert asked(tried, SPARE)

    def test_three_metrics_need_as_many_failures_as_one_does(self) -> None:
        tried = breaker(failures=5)
        for subject in (QUEUE, RPS, CARTS, QUEUE):
            call(tried, subject)
        assert tried.state == "closed"
        call(tried, RPS)
        assert tried.state == "open"

    def test_another_tenant_goes_on_and_shows_that_the_provider_is_there(self) -> None:
        tried = breaker()
        for subject in (QUEUE, RPS, CARTS):
            call(tried, subject)
        call(tried, OTHER_TENANT, None)
        assert tried.state == "closed"
        assert asked(tried, SPARE)

    def test_another_tenant_for_whom_it_fails_too_is_refused_like_the_first(self) -> None:
        tried = breaker()
        for subject in (QUEUE, RPS, CARTS, OTHER_TENANT):
            call(tried, subject)
        assert not asked(tried, Subject("bank", "rps"))

    @pytest.mark.parametrize("failures", [1, 5])
    def test_error_of_the_backend_is_enough_once_and_everywhere(self, failures: int) -> None:
        tried = breaker(failures=failures)
        call(tried, QUEUE, REFUSED)
        assert tried.state == "open"
        assert not any(asked(tried, subject) for subject in (QUEUE, RPS, OTHER_TENANT))

    @pytest.mark.parametrize("subject", [QUEUE, SPARE], ids=["of the same metric", "of another"])
    def test_answer_that_was_under_way_closes_it(self, subject: Subject) -> None:
        tried = breaker()
        early = permitted(tried, subject)
        call(tried, RPS, REFUSED)
        tried.account(early, None)
        assert tried.state == "closed"
        assert asked(tried, OTHER_TENANT)

    def test_failure_that_was_under_way_prolongs_nothing(self) -> None:
        clock = FakeClock()
        tried = breaker(clock)
        early = permitted(tried, SPARE)
        call(tried, QUEUE, REFUSED)
        clock.seconds += 9
        tried.account(early, REFUSED)
        clock.seconds += 1
        assert asked(tried, RPS)


WAYS_TO_OPEN = [
    pytest.param([(QUEUE, NO_ANSWER)] * 3, QUEUE, id="one metric"),
    pytest.param([(QUEUE, NO_ANSWER), (RPS, NO_ANSWER), (CARTS, NO_ANSWER)], SPARE, id="three metrics"),
    pytest.param([(QUEUE, REFUSED)], OTHER_TENANT, id="its backend"),
]


@pytest.mark.parametrize(("calls", "subject"), WAYS_TO_OPEN)
class TestTrial:
    def test_one_call_tries_when_the_time_is_up(self, calls: list[tuple[Subject, Failure]], subject: Subject) -> None:
        clock = FakeClock()
        tried = breaker(clock)
        for each, failure in calls:
            call(tried, each, failure)
        clock.seconds += 9.9
        assert not asked(tried, subject)
        clock.seconds += 0.1
        assert isinstance(tried.admit(subject), Permit)
        assert isinstance(tried.admit(subject), str)

    @pytest.mark.parametrize("failure", [None, NO_ANSWER, REFUSED], ids=["it works", "it fails", "its backend fails"])
    def test_it_decides(self, calls: list[tuple[Subject, Failure]], subject: Subject, failure: Failure | None) -> None:
        clock = FakeClock()
        tried = breaker(clock)
        for each, before in calls:
            call(tried, each, before)
        clock.seconds += 10
        call(tried, subject, failure)
        assert asked(tried, subject) == (failure is None)
        if failure is not None:
            clock.seconds += 10
            assert asked(tried, subject)

    def test_one_that_was_given_back_leaves_room_for_another(
        self, calls: list[tuple[Subject, Failure]], subject: Subject
    ) -> None:
        clock = FakeClock()
        tried = breaker(clock)
        for each, failure in calls:
            call(tried, each, failure)
        clock.seconds += 10
        tried.give_back(permitted(tried, subject))
        assert asked(tried, subject)


def test_sentences_name_the_metric_and_the_last_word_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """The time is that of the failure that opened it, also after a trial that failed."""
    clock = FakeClock()
    tried = breaker(clock)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            call(tried, RPS)
        clock.seconds += 10
        call(tried, RPS, Failure("401 for Bearer abc.def"))
        assert tried.admit(RPS) == (
            "provider slow is not asked for rps of pods in the namespace shop, which fails since 2026-11-21T12:00:00Z:"
            " rps of pods in the namespace shop: 401 for Bearer <hidden>"
        )
        clock.seconds += 10
        call(tried, RPS, None)
        call(tried, QUEUE, REFUSED)
        assert tried.admit(RPS) == (
            "provider slow is down since 2026-11-21T12:00:00Z: queue in the namespace shop: connection refused"
        )
        clock.seconds += 10
        call(tried, RPS, None)
    assert [record.getMessage() for record in caplog.records] == [
        "provider slow is not asked for rps of pods in the namespace shop for a while:"
        " rps of pods in the namespace shop: no answer",
        "provider slow answers for rps of pods in the namespace shop again",
        "provider slow is down, and not asked for a while: queue in the namespace shop: connection refused",
        "provider slow is back",
    ]


def test_of_names_that_clients_think_up_so_many_are_kept() -> None:
    """Those that failed last."""
    tried = breaker(failures=1)
    for number in range(3000):
        subject = Subject(f"team-{number % 2}", f"metric-{number}")
        tried.account(Permit(subject), NO_ANSWER)
    assert tried.refused_metrics == 1024
