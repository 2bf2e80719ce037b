"""What the cluster decided, kept for a moment; equal questions under way share one answer, and few wait for theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from cachetools import TTLCache

from metrics_apiserver.auth.waiting import Waiting
from metrics_apiserver.concurrency import Flights
from metrics_apiserver.errors import ServiceUnavailableError, WouldWaitError
from metrics_apiserver.kube.reviews import REVIEW_SECONDS

__all__ = ["ReviewCache"]

# Upstream's default for a yes and for a no.
_SECONDS = 10.0
# A review ends by itself in time; so much later whoever waits for it goes without, and nobody joins it any more.
_QUESTION_SECONDS = REVIEW_SECONDS + 1.0
# So long after a question was put, those who find no place of their own may wait for its answer too: longer, and the
# cluster is slow or silent.
_MOMENT_SECONDS = 0.25
# What is kept of strangers is a quarter of what is kept of users who were verified.
_STRANGERS_SHARE = 4
# So many characters of a key weigh as much as one more answer.
_CHARACTERS = 1000

_Key = TypeVar("_Key", bound=Hashable)
_Answer = TypeVar("_Answer")


class _Question(NamedTuple, Generic[_Answer]):
    """A question under way, since when, and who waits for its answer."""

    answer: Future[_Answer]
    begun: float

    def open(self, seconds: float, now: float) -> bool:
        """Return whether it is younger than this."""
        return now < self.begun + seconds


class ReviewCache(Generic[_Key, _Answer]):
    """Answers to one kind of question, each for ten seconds; a failure is kept for nobody but those who wait for it."""

    def __init__(
        self,
        what: str,
        *,
        size: int,
        verified: Callable[[_Key, _Answer], bool],
        monotonic: Callable[[], float],
        waiting: Waiting,
        characters: Callable[[_Key], int] = lambda _: 0,
    ) -> None:
        """Keep answers to one kind of question; `what` names it in a refusal.

        It keeps at most `size` answers about users who are `verified` by them, and a quarter as many about others, who
        never take the room of the former; and fewer where their keys have more than a thousand characters each.
        """
        self._what = what
        self._verified = verified
        self._waiting = waiting
        self._characters = characters
        self._monotonic = monotonic
        self._of_verified = self._store(size)
        self._of_strangers = self._store(max(1, size // _STRANGERS_SHARE))
        self._under_way = Flights[_Key, _Question[_Answer]]()
        # Held for a moment only: who waits does so without it.
        self._lock = threading.Lock()

    def get(self, key: _Key, review: Callable[[], _Answer], *, asker: str | None, may_wait: bool = True) -> _Answer:
        """Return the answer that is kept, or the cluster's; `review` must not return None.

        `asker` is the name of a verified user, None for a stranger. Raises what `review` raises,
        ServiceUnavailableError where no thread may wait for the cluster any more, and WouldWaitError where this one may
        not wait.
        """
        with self._lock:
            kept = self._kept(key)
            if kept is not None:
                return kept
            if not may_wait:
                raise WouldWaitError
            now = self._monotonic()
            entered = self._waiting.enter(asker)

            def begin() -> _Question[_Answer]:
                if not entered:
                    raise self._refusal()
                return _Question(Future(), now)

            question, mine = self._under_way.join(key, begin, open_=lambda it: it.open(_QUESTION_SECONDS, now))
        if not entered:
            return self._visit(question, asker)
        try:
            return self._ask(key, question, review) if mine else self._wait(question)
        finally:
            self._waiting.leave(asker)

    def _ask(self, key: _Key, mine: _Question[_Answer], review: Callable[[], _Answer]) -> _Answer:
        try:
            answer = review()
        except BaseException as error:
            self._end(key, mine)
            mine.answer.set_exception(error)
            raise
        self._end(key, mine, answer)
        mine.answer.set_result(answer)
        return answer

    def _end(self, key: _Key, mine: _Question[_Answer], answer: _Answer | None = None) -> None:
        with self._lock:
            # Another has been begun in its place if it came too late.
            if self._under_way.end(key, mine) and answer is not None:
                self._keep(key, answer)

    def _wait(self, shared: _Question[_Answer]) -> _Answer:
        try:
            return shared.answer.result(self._left(shared, _QUESTION_SECONDS))
        except TimeoutError as error:
            # It came in this moment, or the review raised that itself.
            if shared.answer.done():
                return shared.answer.result()
            sentence = f"the cluster has not answered within {_QUESTION_SECONDS:g} s: try again"
            raise ServiceUnavailableError(sentence) from error

    def _visit(self, shared: _Question[_Answer], asker: str | None) -> _Answer:
        """Wait for a moment in a place that nobody needs."""
        guest: Future[_Answer] = Future()
        if not shared.open(_MOMENT_SECONDS, self._monotonic()) or not self._waiting.visit(guest, asker):
            raise self._refusal()
        try:
            shared.answer.add_done_callback(partial(_tell, guest))
            return guest.result(self._left(shared, _MOMENT_SECONDS))
        except (CancelledError, TimeoutError) as error:
            if guest.done() and not guest.cancelled():
                return guest.result()
            raise self._refusal() from error
        finally:
            self._waiting.depart(guest)

    def _left(self, question: _Question[_Answer], seconds: float) -> float:
        return max(0.0, question.begun + seconds - self._monotonic())

    def _refusal(self) -> ServiceUnavailableError:
        return ServiceUnavailableError(f"too many {self._what} are waiting for the cluster's answer: try again")

    def _store(self, size: int) -> TTLCache[_Key, tuple[_Answer, int]]:
        # With what each of them weighs: a key may be as long as a request's head.
        return TTLCache(size, _SECONDS, timer=self._monotonic, getsizeof=lambda kept: kept[1])

    def _kept(self, key: _Key) -> _Answer | None:
        # At most one has it: while an answer counts nobody asks for another.
        kept = self._of_verified.get(key) or self._of_strangers.get(key)
        return None if kept is None else kept[0]

    def _keep(self, key: _Key, answer: _Answer) -> None:
        answers = self._of_verified if self._verified(key, answer) else self._of_strangers
        weight = 1 + self._characters(key) // _CHARACTERS
        if weight <= answers.maxsize:
            answers[key] = answer, weight


def _tell(guest: Future[_Answer], answer: Future[_Answer]) -> None:
    """Pass an answer on to a guest that still waits."""
    if not guest.set_running_or_notify_cancel():
        return
    error = answer.exception()
    if error is None:
        guest.set_result(answer.result())
    else:
        guest.set_exception(error)
