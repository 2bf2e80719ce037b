"""The watch cache of one resource: its objects in the whole cluster, listed once and then followed."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.kept import NoRoomError, Share
from metrics_apiserver.kube.listing import FullError, list_objects, resource_path
from metrics_apiserver.kube.retries import Pace, Retries
from metrics_apiserver.kube.shapes import ShapeError
from metrics_apiserver.kube.store import ObjectStore
from metrics_apiserver.kube.watch import Bookmarks, Watch
from metrics_apiserver.model.resources import NamespacedName, RESTMapping
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.staleness import Followed

__all__ = ["CachePolicy", "CacheStoppedError", "ObjectCache"]

# No such resource (any more), or one that cannot be listed, as TokenReview.
_NOTHING_TO_LIST = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
# A watch that ended earlier than this, without a word, is not a success.
_SHORT_SECONDS = 1.0
# So many watches in a row may fail before everything is listed again, which heals whatever it was.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How watch caches behave; all in seconds, but for the number of caches.

    The cluster ends a watch after a time between `watch_least` and `watch_most`: not all at once. Two watches in a row
    begin `spacing` apart, however many changes there are: what happens meanwhile comes with the second one.
    """

    most_caches: int = 64
    idle: float = 600.0
    first_retry: float = 0.5
    last_retry: float = 10.0
    watch_least: float = 300.0
    watch_most: float = 600.0
    spacing: float = 1.0


class CacheStoppedError(ServiceUnavailableError):
    """The cache was stopped before it had a list: another one may have taken its place."""


class ObjectCache:
    """Lists a resource's objects and follows their changes, on a thread of its own, until it is stopped.

    While the cluster is away the last state stays. Where the objects do not fit into `share` there is none: a part of
    them would select wrongly, and so would a state that is never renewed. `may_end` is asked now and then whether
    nobody needs it any more; `on_missing` is told when the cluster has no such resource.
    """

    def __init__(
        self,
        client: ClusterClient,
        mapping: RESTMapping,
        *,
        policy: CachePolicy,
        may_end: Callable[[ObjectCache], bool],
        on_missing: Callable[[], object],
        followed: Followed,
        share: Share,
        logger: logging.Logger,
    ) -> None:
        self.mapping = mapping
        self.followed = followed
        self._share = share
        # How many threads wait for the first list.
        self.waiting = 0
        self._client = client
        self._path = resource_path(mapping.resource)
        self._policy = policy
        self._may_end = may_end
        self._on_missing = on_missing
        self._logger = logger
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._store: ObjectStore | None = None
        # Whether the last answer to a LIST was a no that waiting does not change.
        self._refused = False
        name = f"the cache of {mapping.group_resource}"
        self._retries = Retries(name, first=policy.first_retry, most=policy.last_retry, logger=logger)
        self._pace = Pace(policy.spacing)
        # Of the last list or event; None: list, do not watch.
        self._version: str | None = None
        self._watch: Watch | None = None
        self._bookmarks = Bookmarks()
        self._thread = threading.Thread(target=self._run, name=f"watch-{mapping.group_resource}", daemon=True)

    def start(self) -> None:
        """Start to list and to follow; once."""
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end, without waiting for it."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        watch = self._watch
        if watch is not None:
            watch.shutdown()

    def join(self, timeout: float) -> None:
        """Wait for the end of a stopped one."""
        self._thread.join(timeout)

    @property
    def settled(self) -> bool:
        """Whether a read waits for nothing: the first list is here, or was refused."""
        return self._store is not None or self._refused

    def select(self, namespace: str, selector: Selector, *, timeout: float) -> Sequence[NamespacedName]:
        """List the objects whose labels match, sorted; the first time it waits for the cluster.

        Raises ServiceUnavailableError when nothing was listed within `timeout` seconds, or the cluster refuses, and
        CacheStoppedError when it stops before.
        """
        store = self._store
        if store is None:
            store = self._wait(timeout)
        return store.select(namespace, selector)

    def _wait(self, timeout: float) -> ObjectStore:
        with self._changed:
            self.waiting += 1
            try:
                self._changed.wait_for(lambda: self.settled or self._stopping.is_set(), timeout)
            finally:
                self.waiting -= 1
            store = self._store
        if store is None:
            reason = self._retries.problem or "the first list is under way"
            stopped = self._stopping.is_set() and not self._refused
            raise (CacheStoppedError if stopped else ServiceUnavailableError)(
                f"the {self.mapping.group_resource} of the cluster have not been listed yet", cause=reason
            )
        return store

    def _show(self, store: ObjectStore | None, *, refused: bool = False) -> None:
        """Have readers see a store, or none, and count the one before it no longer."""
        with self._changed:
            before, self._store, self._refused = self._store, store, refused
            self._changed.notify_all()
        if before is not None:
            before.release()

    def _run(self) -> None:
        try:
            self._until_stopped()
        finally:
            # For whoever waits.
            self.stop()
            if self._store is not None:
                self._store.release()

    def _until_stopped(self) -> None:
        while not self._stopping.is_set() and not self._may_end(self):
            try:
                if self._version is None:
                    self._list()
                else:
                    self._follow(self._version)
            except ClusterError as error:
                self._failed(error)
            except Exception:
                # The thread must outlive a mistake of ours: readers go on waiting for it.
                self._logger.exception("the cache of %s failed", self.mapping.group_resource)
                self._version = None
                self._failed(ClusterError("an internal error, which the log has"))

    def _list(self) -> None:
        store, self._version = list_objects(self._client, self._path, None, self._share)
        self._show(store)
        self.followed.in_touch()
        self._logger.debug("the cache of %s has %d objects", self.mapping.group_resource, len(store))

    def _follow(self, version: str) -> None:
        """Watch from a version on until the cluster ends the watch."""
        if not self._pace.wait(self._stopping):
            return
        seconds = random.uniform(self._policy.watch_least, self._policy.watch_most)  # noqa: S311 - no secret
        with Watch(self._client, self._path, version=version, seconds=seconds, bookmarks=self._bookmarks) as watch:
            self._watch, opened = watch, time.monotonic()
            self._pace.begun()
            self._retries.answered()
            self.followed.in_touch(watch.lasts)
            try:
                # `stop` may have come before there was something to shut down.
                changes = 0 if self._stopping.is_set() else self._take(watch)
            finally:
                self._watch = None
                if time.monotonic() - opened > _SHORT_SECONDS:
                    self._retries.lasted()
        self.followed.in_touch()
        if not changes and time.monotonic() - opened < _SHORT_SECONDS:
            raise ClusterError(f"WATCH {self._path}: it ended at once")

    def _take(self, watch: Watch) -> int:
        """Take over each change as it comes; give their number."""
        store, changes = self._store, 0
        assert store is not None
        for kind, metadata in watch:
            try:
                if kind == "DELETED":
                    store.remove(metadata)
                elif kind != "BOOKMARK":
                    store.put(metadata)
            except ShapeError as error:
                raise ClusterError(f"WATCH {self._path}: an object without a name") from error
            except NoRoomError as error:
                raise FullError(f"WATCH {self._path}: {error}") from error
            self._version = metadata["resourceVersion"]
            self._retries.lasted()
            changes += 1
            # The cluster sends a bookmark about once a minute: often enough to notice.
            if self._may_end(self):
                self._stopping.set()
            if self._stopping.is_set():
                break
        return changes

    def _failed(self, error: ClusterError) -> None:
        """Decide how to go on, and pause. A broken watch is taken up where it broke, which loses nothing."""
        if self._stopping.is_set():
            return
        pause = self._retries.failed(str(error))
        self.followed.out_of_touch(str(error))
        if isinstance(error, FullError):
            # Whoever reads is told at once, and the next list has the room of this one.
            self._version = None
            self._show(None, refused=True)
        elif self._version is None:
            self._not_listed(error.status)
        elif not _may_pass(error.status) or self._retries.count >= _ATTEMPTS:
            self._version = None
        # Too old a version is nobody's failure, unless it happens again.
        if error.status != HTTPStatus.GONE or self._retries.count > 1:
            self._stopping.wait(pause)

    def _not_listed(self, status: int | None) -> None:
        if status in _NOTHING_TO_LIST:
            self._show(ObjectStore())
            self.followed.in_touch()
            # Only at first: it may stay so for long, and the resources are read again anyway.
            if self._retries.count <= _ATTEMPTS:
                self._on_missing()
            return
        with self._changed:
            # A list can get too old between two pages; the next one need not.
            self._refused = not _may_pass(status) and status != HTTPStatus.GONE
            self._changed.notify_all()


def _may_pass(status: int | None) -> bool:
    """Return whether the same request may succeed a moment later: anything but a no to what was asked."""
    return status is None or status == HTTPStatus.TOO_MANY_REQUESTS or not 400 <= status < 500
