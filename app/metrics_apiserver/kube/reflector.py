"""The watches that follow a list, as in client-go's Reflector: one after the other, at a pace, failures counted."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.retries import Pace, Retries
from metrics_apiserver.kube.watch import Bookmarks, Watch
from metrics_apiserver.staleness import Followed

__all__ = ["Reflector", "WatchPolicy"]

# A watch that ended earlier than this, without a word, is not a success.
_SHORT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """How watches follow each other; all in seconds.

    The cluster ends a watch after a time between `watch_least` and `watch_most`: not all at once. Two watches in a row
    begin `spacing` apart, however many changes there are: what happens meanwhile comes with the second one.
    """

    first_retry: float = 0.5
    last_retry: float = 10.0
    watch_least: float = 300.0
    watch_most: float = 600.0
    spacing: float = 1.0


class Reflector:
    """The watches of one path, for whoever lists it, on their thread; `stop` comes from another one."""

    def __init__(
        self,
        client: ClusterClient,
        path: str,
        *,
        what: str,
        policy: WatchPolicy,
        followed: Followed,
        logger: logging.Logger,
        field_selector: str = "",
    ) -> None:
        """Open nothing yet. `what` is followed, and named in the log; `followed` is told how that goes."""
        self.followed = followed
        self.retries = Retries(what, first=policy.first_retry, most=policy.last_retry, logger=logger)
        self._client = client
        self._path = path
        self._policy = policy
        self._field_selector = field_selector
        self._pace = Pace(policy.spacing)
        self._bookmarks = Bookmarks()
        self._watch: Watch | None = None
        self._stopping = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether it was stopped."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Break the watch that is open, and open none any more."""
        self._stopping.set()
        watch = self._watch
        if watch is not None:
            watch.shutdown()

    def follow(self, version: str, take: Callable[[str, Mapping[str, Any]], bool]) -> None:
        """Watch from a version on until the cluster ends the watch, or `take` gives False, or it is stopped.

        `take` gets each event's type and the object's metadata. Raises ClusterError as `Watch` does, where a watch ends
        at once without an event, and what `take` raises.
        """
        if not self._pace.wait(self._stopping):
            return
        seconds = random.uniform(self._policy.watch_least, self._policy.watch_most)  # noqa: S311 - no secret
        with Watch(
            self._client,
            self._path,
            version=version,
            seconds=seconds,
            field_selector=self._field_selector,
            bookmarks=self._bookmarks,
        ) as watch:
            self._watch, opened = watch, time.monotonic()
            self._pace.begun()
            self.retries.answered()
            self.followed.in_touch(watch.lasts)
            try:
                # `stop` may have come before there was something to shut down.
                events = 0 if self.stopping else self._take_all(watch, take)
            finally:
                self._watch = None
                if time.monotonic() - opened > _SHORT_SECONDS:
                    self.retries.lasted()
        self.followed.in_touch()
        if not events and time.monotonic() - opened < _SHORT_SECONDS:
            raise ClusterError(f"WATCH {self._path}: it ended at once")

    def _take_all(self, watch: Watch, take: Callable[[str, Mapping[str, Any]], bool]) -> int:
        events = 0
        for kind, metadata in watch:
            goes_on = take(kind, metadata)
            self.retries.lasted()
            events += 1
            if not goes_on or self.stopping:
                break
        return events

    def failed(self, error: ClusterError) -> float:
        """Count a failure of the list or the watch, and return the seconds to pause."""
        pause = self.retries.failed(str(error))
        self.followed.out_of_touch(str(error))
        # Too old a version is nobody's failure, unless it happens again.
        return 0.0 if error.status == HTTPStatus.GONE and self.retries.count <= 1 else pause
