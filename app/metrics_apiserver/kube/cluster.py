"""A real cluster: its REST mapping, kept up to date by one thread, and its objects."""

from __future__ import annotations

import logging
import time

from kubernetes.client import ApiClient

from metrics_apiserver.concurrency.budget import CLUSTER, Room
from metrics_apiserver.kube.cache import CachePolicy
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.discovery import ResourceReader
from metrics_apiserver.kube.limits import TokenBucket
from metrics_apiserver.kube.objects import ClusterObjects
from metrics_apiserver.kube.refresher import Refresher
from metrics_apiserver.kube.restmapper import ClusterMapper
from metrics_apiserver.kube.retries import Retries
from metrics_apiserver.staleness import Following

__all__ = ["Cluster"]


class Cluster:
    """Knows the resources and the objects of a cluster that need not answer yet, or always.

    Resources are read again every `interval` seconds, every `retry` seconds while that fails, and for a name that is
    unknown. `lister` is the client for objects; `bucket` bounds what all clients ask together, and `room` how many
    threads wait for first lists and unknown names together. `following` is told how all of it goes.
    """

    def __init__(
        self,
        api: ApiClient,
        *,
        logger: logging.Logger,
        lister: ApiClient | None = None,
        bucket: TokenBucket | None = None,
        interval: float = 600.0,
        retry: float = 3.0,
        spacing: float = 2.0,
        policy: CachePolicy | None = None,
        room: Room | None = None,
        following: Following | None = None,
    ) -> None:
        room = room or Room(CLUSTER)
        following = following or Following(time.monotonic, logger)
        self._bucket = bucket or TokenBucket(20, 40)
        self._client = ClusterClient(api, bucket=self._bucket)
        self._lister = ClusterClient(lister, bucket=self._bucket) if lister is not None else self._client
        self._resources = ResourceReader(self._client, logger=logger)
        self._refresher = Refresher(self._read, interval=interval, retry=retry, spacing=spacing, room=room)
        self._interval = interval
        self._followed = following.follow("discovery")
        self._retries = Retries("discovery", first=retry, most=retry, logger=logger)
        self._logger = logger
        self._known = 0
        self.mapper = ClusterMapper(self._refresher.refresh)
        # What cannot be listed any more is probably no resource any more.
        self.objects = ClusterObjects(
            self._lister,
            logger=logger,
            policy=policy,
            on_missing=self._refresher.ask,
            room=room,
            following=following,
        )

    def start(self) -> None:
        """Start reading, in the background; once."""
        self.objects.start()
        self._refresher.start()

    def stop(self) -> None:
        """Stop reading and close the connections; requests under way are not waited for longer than a moment."""
        self._bucket.close()
        self.objects.stop()
        self._refresher.stop()
        for client in {self._client, self._lister}:
            client.close()

    def check(self) -> str | None:
        """Return why the cluster cannot be used yet; None when it can."""
        return self.mapper.problem

    def _read(self) -> bool:
        """Read the resources; the old ones stay where that fails."""
        try:
            table = self._resources.read()
        except ClusterError as error:
            self.mapper.failed(str(error))
            self._retries.failed(str(error))
            self._followed.out_of_touch(str(error))
            return False
        except Exception:
            # The thread must outlive a mistake of ours: nobody would start it again.
            self._logger.exception("discovery failed")
            self.mapper.failed("an internal error, which the log has")
            self._followed.out_of_touch("an internal error, which the log has")
            return False
        self.mapper.replace(table)
        # The next answer is not due earlier.
        self._followed.in_touch(self._interval)
        self._retries.answered()
        if len(table.mappings) != self._known:
            self._logger.info("discovery: the cluster has %d resources", len(table.mappings))
        self._known = len(table.mappings)
        return True
