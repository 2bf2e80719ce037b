"""Where events come from: queues, which are looked into, and iterables, which need a thread each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from logging import Logger

from metrics_apiserver.provider.functions import EventQueue

__all__ = ["EventThread", "took_event"]

# More are not taken at once from one queue, so that the others have their turn.
_MOST_AT_ONCE = 1000
# An iterable that never waits may not take a whole core: a short rest after so many events.
_BURST, _REST_SECONDS = 256, 0.01


def took_event(events: EventQueue) -> bool:
    """Empty the queue, and return whether there was an event. Raises whatever the queue raises but `queue.Empty`."""
    for taken in range(_MOST_AT_ONCE):
        try:
            events.get_nowait()
        except queue.Empty:
            return taken > 0
    return True


class EventThread:
    """Iterates one iterable on a thread of its own: nobody can tell beforehand whether it blocks."""

    def __init__(self, what: str, events: Iterable[object], fire: Callable[[], None], logger: Logger) -> None:
        self._what = what
        self._events = events
        # None: it was stopped. A thread that waits for ever then holds the iterable alone, and not all of the provider.
        self._fire: Callable[[], None] | None = fire
        self._logger = logger
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._iterate, name="events", daemon=True).start()

    def stop(self) -> None:
        """Be heard no more; the thread ends at its next event, and is left behind if there is none."""
        self._stopped.set()
        self._fire = None

    def _iterate(self) -> None:
        try:
            for number, _ in enumerate(self._events, start=1):
                fire = self._fire
                if fire is None:
                    return
                fire()
                del fire  # it is not kept until the next event
                if number % _BURST == 0:
                    self._stopped.wait(_REST_SECONDS)
        # Whatever a client library raises: it must be said that nobody listens any more.
        except BaseException as error:
            self._logger.warning("%s: its events failed, and it is not run any more", self._what, exc_info=error)
        else:
            self._logger.debug("%s: its events are over", self._what)
