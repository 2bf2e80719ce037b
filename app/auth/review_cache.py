"""What the cluster decided, kept for a moment; equal questions under way share one answer, and few are under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from cachetools import TTLCache

from app.errors import ServiceUnavailableError

__all__ = ["ReviewCache", "Waiting"]

# Upstream's default for a yes and for a no.
_SECONDS = 10.0
# The most different questions of one kind that are put to the cluster at a time.
_MOST_UNDER_WAY = 16
# The threads that may wait for the cluster together; the server has 64, and most of the others may wait for providers.
_MOST_WAITING = 24
# So long after a question was put, those who find no room wait for its answer too: longer, and the cluster is silent.
_MOMENT = 0.25

# So many of a key count as one more answer.
_CHARACTERS = 1000

_Key = TypeVar("_Key", bound=Hashable)
_Answer = TypeVar("_Answer")


class Waiting:
    """The room for threads that wait for the cluster; all caches of a server share it."""

    def __init__(self, most: int = _MOST_WAITING) -> None:
        self._room = threading.Semaphore(most)

    def enter(self) -> bool:
        """Take a place, at once or not at all."""
        return self._room.acquire(blocking=False)

    def leave(self) -> None:
        """Give the place back."""
        self._room.release()


class ReviewCache(Generic[_Key, _Answer]):
    """Answers to one kind of question, each for ten seconds; a failure is kept for nobody but those who wait for it."""

    def __init__(
        self,
        what: str,
        *,
        size: int,
        monotonic: Callable[[], float],
        waiting: Waiting,
        characters: Callable[[_Key], int] = lambda _: 0,
    ) -> None:
        """Make it; `what` names the question in a refusal.

        It keeps `size` answers at the most, and fewer where their keys have more than a thousand characters each.
        """
        self._what = what
        self._waiting = waiting
        self._characters = characters
        # With what each of them counts: a key may be as long as a request's head.
        self._answers: TTLCache[_Key, tuple[_Answer, int]] = TTLCache(
            size, _SECONDS, timer=monotonic, getsizeof=lambda kept: kept[1]
        )
        self._monotonic = monotonic
        # With the time since when.
        self._under_way: dict[_Key, tuple[Future[_Answer], float]] = {}
        self._lock = threading.Lock()

    def cached(self, key: _Key) -> _Answer | None:
        """Give the answer if it is here."""
        with self._lock:
            kept = self._answers.get(key)
        return None if kept is None else kept[0]

    def get(self, key: _Key, review: Callable[[], _Answer]) -> _Answer:
        """Give the answer from here, or from the cluster; None is no answer that `review` may give.

        Raises what `review` raises, and ServiceUnavailableError when too much is asked already.
        """
        with self._lock:
            kept = self._answers.get(key)
            if kept is not None:
                return kept[0]
            shared = self._under_way.get(key)
            if shared is None:
                mine = self._begin(key)
        if shared is not None:
            return self._wait(*shared)
        try:
            answer = review()
        except BaseException as error:
            self._end(key)
            mine.set_exception(error)
            raise
        self._end(key, answer)
        mine.set_result(answer)
        return answer

    def _begin(self, key: _Key) -> Future[_Answer]:
        if len(self._under_way) >= _MOST_UNDER_WAY or not self._waiting.enter():
            raise self._refusal()
        future: Future[_Answer] = Future()
        self._under_way[key] = future, self._monotonic()
        return future

    def _end(self, key: _Key, answer: _Answer | None = None) -> None:
        with self._lock:
            del self._under_way[key]
            if answer is not None:
                counts = 1 + self._characters(key) // _CHARACTERS
                if counts <= self._answers.maxsize:
                    self._answers[key] = answer, counts
        self._waiting.leave()

    def _wait(self, shared: Future[_Answer], begun: float) -> _Answer:
        if self._waiting.enter():
            try:
                return shared.result()
            finally:
                self._waiting.leave()
        try:
            return shared.result(max(0.0, begun + _MOMENT - self._monotonic()))
        except TimeoutError as error:
            # Also what a review could have raised itself.
            if shared.done():
                raise
            raise self._refusal() from error

    def _refusal(self) -> ServiceUnavailableError:
        return ServiceUnavailableError(f"too many {self._what} are waiting for the cluster's answer: try again")
