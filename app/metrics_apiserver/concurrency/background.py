"""A thread in the background, which outlives what goes wrong on it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Background"]

_PAUSE_SECONDS = 1.0


def _pause(_error: BaseException) -> float:
    return _PAUSE_SECONDS


class Background:
    """Takes one turn after the other on a daemon thread, until it is stopped or a turn was the last one.

    ```
    start ──► turn ──► pause ──► turn ──► pause ──► …   until `stop`, or a turn gives None
               │         ▲
               └ raises: logged, `mistaken`
    ```

    `turn` gives the seconds to pause before the next one, None where there is none; `wake` ends the pause. Whatever a
    turn raises is logged with its traceback after the sentence `failure`, once as long as it stays the same, and
    `mistaken`, which must not raise, gives the pause: nobody would start the thread again.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], float | None],
        *,
        logger: logging.Logger,
        failure: str = "",
        mistaken: Callable[[BaseException], float] = _pause,
        spacing: float = 0.0,
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        """Start nothing yet.

        `name` is the thread's; `spacing` is the least pause, which `wake` does not end; `ended` is called on the thread
        when there is no further turn.
        """
        self.stopping = threading.Event()
        self._turn = turn
        self._logger = logger
        self._failure = failure or f"{name} failed"
        self._mistaken = mistaken
        self._spacing = spacing
        self._ended = ended
        self._mistake = ""
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin the first turn; once."""
        self._thread.start()

    def wake(self) -> None:
        """Begin the next turn soon; a turn that is under way is followed by another one."""
        self._woken.set()

    def stop(self, seconds: float = 0.0) -> None:
        """Begin no turn any more, and wait for the one under way no longer than this; what hangs is left behind."""
        self.stopping.set()
        self._woken.set()
        if seconds > 0:
            self.join(seconds)

    def join(self, seconds: float) -> None:
        """Wait for the end of a stopped one; from a turn itself that is no wait."""
        if self.alive and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._take_turns()
        finally:
            self._ended()

    def _take_turns(self) -> None:
        while not self.stopping.is_set():
            self._woken.clear()
            pause = self._take_turn()
            # Looked at after the clearing: a stop before it would have been cleared away.
            if pause is None or self.stopping.wait(self._spacing):
                return
            self._woken.wait(max(0.0, pause - self._spacing))

    def _take_turn(self) -> float | None:
        try:
            pause = self._turn()
        # SystemExit too: a provider's own code may raise it, and the thread would end without a word.
        except BaseException as error:
            if self._mistake != repr(error):
                self._mistake = repr(error)
                self._logger.exception("%s", self._failure)
            return self._mistaken(error)
        self._mistake = ""
        return pause
