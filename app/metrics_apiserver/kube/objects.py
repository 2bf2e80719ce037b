"""Which objects exist in a cluster: from watch caches, one for each resource that is asked for."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from metrics_apiserver.concurrency.budget import CLUSTER, Room
from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.kube.cache import CachePolicy, CacheStoppedError, ObjectCache
from metrics_apiserver.kube.client import ClusterClient
from metrics_apiserver.kube.kept import Share
from metrics_apiserver.model.resources import GroupVersionResource, NamespacedName, RESTMapping
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.staleness import Following

__all__ = ["ClusterObjects"]

_STOP_SECONDS = 2.0
# How many caches of a resource one read may wait for, of which each but the last was stopped in favour of others.
_ATTEMPTS = 3


class ClusterObjects:
    """Answers from memory; only the first read of a resource waits for the cluster.

    A cache starts with the first read of its resource and stops when nobody has read it for a while. There are only
    so many: for one more, the one that was read longest ago stops. Together they keep only so many bytes (`share`).
    Only so many threads (`room`) wait for first lists.
    Nothing starts before `start`.
    """

    def __init__(
        self,
        client: ClusterClient,
        *,
        logger: logging.Logger,
        policy: CachePolicy | None = None,
        on_missing: Callable[[], object] = lambda: None,
        room: Room | None = None,
        following: Following | None = None,
        share: Share | None = None,
    ) -> None:
        self._client = client
        self._room = room or Room(CLUSTER)
        self._share = share or Share()
        self._following = following or Following(time.monotonic, logger)
        self._logger = logger
        self._policy = policy or CachePolicy()
        self._on_missing = on_missing
        self._lock = threading.Lock()
        self._running = False
        # In the order in which they were read last, with that time.
        self._caches: OrderedDict[GroupVersionResource, ObjectCache] = OrderedDict()
        self._last_reads: dict[ObjectCache, float] = {}

    def start(self) -> None:
        """Allow caches to start."""
        self._running = True

    def stop(self) -> None:
        """Stop all caches; a request under way is not waited for longer than a moment."""
        with self._lock:
            self._running = False
            caches = list(self._caches.values())
            self._caches.clear()
            self._last_reads.clear()
        for cache in caches:
            cache.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for cache in caches:
            cache.join(max(0.0, deadline - time.monotonic()))

    def list_names(
        self, mapping: RESTMapping, *, namespace: str, selector: Selector, timeout: float
    ) -> Sequence[NamespacedName]:
        """List the objects whose labels match, sorted by namespace, then name; namespace "" means every one.

        Raises ServiceUnavailableError when the cluster does not say within `timeout` seconds, and at once when too many
        wait for it already.
        """
        deadline = time.monotonic() + timeout
        cache = self._cache(mapping)
        if cache.settled:
            return cache.select(namespace, selector, timeout=0.0)
        if not self._room.enter():
            raise ServiceUnavailableError(
                f"the {mapping.group_resource} of the cluster have not been listed yet, and too many requests wait for"
                " first lists: try again"
            )
        try:
            for _ in range(_ATTEMPTS - 1):
                try:
                    return cache.select(namespace, selector, timeout=deadline - time.monotonic())
                except CacheStoppedError:
                    # Others needed its place in the moment before this read waited: a new one begins.
                    cache = self._cache(mapping)
            return cache.select(namespace, selector, timeout=deadline - time.monotonic())
        finally:
            self._room.leave()

    def _cache(self, mapping: RESTMapping) -> ObjectCache:
        """Return the cache of a resource, and start it if there is none."""
        with self._lock:
            if not self._running:
                raise ServiceUnavailableError("the objects of the cluster are not read: the server is not running")
            cache = self._caches.get(mapping.resource)
            too_many = self._make_room() if cache is None else []
            if cache is None:
                cache = self._caches[mapping.resource] = self._make(mapping)
                cache.start()
            self._caches.move_to_end(mapping.resource)
            self._last_reads[cache] = time.monotonic()
        for each in too_many:
            each.stop()
        return cache

    def _make(self, mapping: RESTMapping) -> ObjectCache:
        self._logger.info("the objects of %s are listed and watched from now on", mapping.group_resource)
        return ObjectCache(
            self._client,
            mapping,
            policy=self._policy,
            may_end=self._retire,
            on_missing=self._on_missing,
            followed=self._following.follow(f"the cache of {mapping.group_resource}"),
            share=self._share.beside(),
            logger=self._logger,
        )

    def _make_room(self) -> list[ObjectCache]:
        """Return the caches that have to stop for one more; none for which somebody waits, of whom there are few."""
        idle = [cache for cache in self._caches.values() if not cache.waiting]
        chosen = idle[: max(0, len(self._caches) - self._policy.most_caches + 1)]
        for cache in chosen:
            self._forget(cache)
            self._logger.warning(
                "more than %d resources are read by selector: the cache of %s, which was read longest ago, stops",
                self._policy.most_caches,
                cache.mapping.group_resource,
            )
        return chosen

    def _forget(self, cache: ObjectCache) -> None:
        del self._caches[cache.mapping.resource], self._last_reads[cache]
        self._following.forget(cache.followed)

    def _retire(self, cache: ObjectCache) -> bool:
        """Let a cache go that nobody has read for a while: from then on a read starts a new one."""
        # Without the lock, since every event asks: what is wrong here is only late.
        if time.monotonic() - self._last_reads.get(cache, float("-inf")) < self._policy.idle:
            return False
        with self._lock:
            last_read = self._last_reads.get(cache)
            if last_read is None:
                return True
            if time.monotonic() - last_read < self._policy.idle:
                return False
            self._forget(cache)
        self._logger.info("nobody reads the objects of %s: they are not watched any more", cache.mapping.group_resource)
        return True
