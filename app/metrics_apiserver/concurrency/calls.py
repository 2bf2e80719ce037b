"""A call of somebody's code that may hang: on a thread of its own, waited for so long, and then left behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["HangsError", "TimedCall", "within"]

_Result = TypeVar("_Result")


class HangsError(Exception):
    """A call has not come back in time."""


class TimedCall(Generic[_Result]):
    """Calls a function on a daemon thread, at once.

    ```
    under way ──► back: `wait` gives what it returned or raised
        └─► given up (`given_up`), as nobody waits any more ──► back at last: `late`
    ```
    """

    def __init__(
        self,
        function: Callable[[], _Result],
        name: str,
        *,
        given_up: Callable[[], object] = lambda: None,
        late: Callable[[list[_Result]], object] = lambda _result: None,
    ) -> None:
        """Begin the call; `name` is the thread's. Raises RuntimeError where there is no thread left.

        `given_up` is called when the wait ends without the function's end; `late`, on the call's own thread, when it
        has come back after all, with its result, of which there is none where it raised.
        """
        self._given_up = given_up
        self._late = late
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._left_behind = False
        self._result: list[_Result] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._work, args=(function,), name=name, daemon=True).start()

    def wait(self, seconds: float) -> _Result:
        """Return what the function returns, and raise what it raises; HangsError where that takes longer than this."""
        if not self._done.wait(max(0.0, seconds)) and self._leave_behind():
            raise HangsError
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._result[0]
        finally:
            # Its traceback holds this frame.
            del error

    def _work(self, function: Callable[[], _Result]) -> None:
        try:
            self._result.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error
        with self._lock:
            self._done.set()
            if not self._left_behind:
                return
        self._late(self._result)

    def _leave_behind(self) -> bool:
        """Give it up; False where it has just come back."""
        with self._lock:
            if self._done.is_set():
                return False
            self._left_behind = True
            self._given_up()
            return True


def within(seconds: float, function: Callable[[], Any], name: str, *, logger: logging.Logger, failure: str) -> bool:
    """Call a function on a thread of its own, and return whether it came back in time.

    What it raises is logged after the sentence `failure`.
    """
    try:
        TimedCall(function, name).wait(seconds)
    except HangsError:
        return False
    # SystemExit too: it is the function's, and not this thread's end.
    except BaseException:
        logger.exception("%s", failure)
    return True
