"""The watch cache of one resource: its objects in the whole cluster, listed once and then followed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from metrics_apiserver.concurrency import Background
from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.kept import NoRoomError, Share
from metrics_apiserver.kube.listing import FullError, list_objects, resource_path
from metrics_apiserver.kube.reflector import Reflector, WatchPolicy
from metrics_apiserver.kube.shapes import ShapeError
from metrics_apiserver.kube.store import ObjectStore
from metrics_apiserver.model.resources import NamespacedName, RESTMapping
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.staleness import Followed

__all__ = ["CachePolicy", "CacheStoppedError", "ObjectCache"]

# No such resource (any more), or one that cannot be listed, as TokenReview.
_NOTHING_TO_LIST = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
# So many watches in a row may fail before everything is listed again, which heals whatever it was.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class CachePolicy(WatchPolicy):
    """How watch caches behave: how many there may be, and after how many seconds one that nobody reads is stopped."""

    most_caches: int = 64
    idle: float = 600.0


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
        self._may_end = may_end
        self._on_missing = on_missing
        self._logger = logger
        self._changed = threading.Condition()
        self._store: ObjectStore | None = None
        # Whether the last answer to a LIST was a no that waiting does not change.
        self._refused = False
        what = f"the cache of {mapping.group_resource}"
        self._reflector = Reflector(client, self._path, what=what, policy=policy, followed=followed, logger=logger)
        # Of the last list or event; None: list, do not watch.
        self._version: str | None = None
        self._background = Background(
            f"watch-{mapping.group_resource}",
            self._turn,
            logger=logger,
            failure=f"{what} failed",
            mistaken=self._mistaken,
            ended=self._end,
        )

    def start(self) -> None:
        """Start to list and to follow; once."""
        self._background.start()

    def stop(self) -> None:
        """Have the thread end, without waiting for it."""
        self._background.stop()
        self._reflector.stop()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait for the end of a stopped one."""
        self._background.join(timeout)

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
                self._changed.wait_for(lambda: self.settled or self._reflector.stopping, timeout)
            finally:
                self.waiting -= 1
            store = self._store
        if store is None:
            reason = self._reflector.retries.problem or "the first list is under way"
            stopped = self._reflector.stopping and not self._refused
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

    def _turn(self) -> float | None:
        """List, or watch from where the last list or watch ended; None where nobody needs it any more."""
        if self._may_end(self):
            return None
        try:
            if self._version is None:
                self._list()
            else:
                self._reflector.follow(self._version, self._take)
        except ClusterError as error:
            return self._failed(error)
        return 0.0

    def _end(self) -> None:
        # For whoever waits.
        self.stop()
        if self._store is not None:
            self._store.release()

    def _mistaken(self, _error: BaseException) -> float:
        """Begin again with a list: readers go on waiting for it."""
        self._version = None
        return self._failed(ClusterError("an internal error, which the log has"))

    def _list(self) -> None:
        store, self._version = list_objects(self._client, self._path, None, self._share)
        self._show(store)
        self.followed.in_touch()
        self._logger.debug("the cache of %s has %d objects", self.mapping.group_resource, len(store))

    def _take(self, kind: str, metadata: Mapping[str, Any]) -> bool:
        """Take over a change as it comes; False where nobody needs the next one any more."""
        store = self._store
        assert store is not None
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
        # The cluster sends a bookmark about once a minute: often enough to notice.
        return not self._may_end(self)

    def _failed(self, error: ClusterError) -> float:
        """Decide how to go on, and return the pause. A broken watch is taken up where it broke, which loses nothing."""
        if self._reflector.stopping:
            return 0.0
        pause = self._reflector.failed(error)
        if isinstance(error, FullError):
            # Whoever reads is told at once, and the next list has the room of this one.
            self._version = None
            self._show(None, refused=True)
        elif self._version is None:
            self._not_listed(error.status)
        elif not _may_pass(error.status) or self._reflector.retries.count >= _ATTEMPTS:
            self._version = None
        return pause

    def _not_listed(self, status: int | None) -> None:
        if status in _NOTHING_TO_LIST:
            self._show(ObjectStore())
            self.followed.in_touch()
            # Only at first: it may stay so for long, and the resources are read again anyway.
            if self._reflector.retries.count <= _ATTEMPTS:
                self._on_missing()
            return
        with self._changed:
            # A list can get too old between two pages; the next one need not.
            self._refused = not _may_pass(status) and status != HTTPStatus.GONE
            self._changed.notify_all()


def _may_pass(status: int | None) -> bool:
    """Return whether the same request may succeed a moment later: anything but a no to what was asked."""
    return status is None or status == HTTPStatus.TOO_MANY_REQUESTS or not 400 <= status < 500
