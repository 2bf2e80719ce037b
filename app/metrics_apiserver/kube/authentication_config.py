"""The ConfigMap in which a cluster publishes whose certificates count: read once, and again when it changes."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType

from metrics_apiserver.kube.cache import CachePolicy
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.retries import Pace, Retries
from metrics_apiserver.kube.shapes import ShapeError, items_of, mapping_of, object_of, text_of
from metrics_apiserver.kube.watch import Bookmarks, Watch
from metrics_apiserver.staleness import Followed, Following

__all__ = ["CONFIG_MAP", "AuthenticationConfigMap"]

# kube-apiserver writes it; the Role extension-apiserver-authentication-reader in that namespace allows to read it.
CONFIG_MAP = "kube-system/extension-apiserver-authentication"
_PATH = "/api/v1/namespaces/kube-system/configmaps"
# By name, although it is a list: that Role allows no other one.
_FIELD_SELECTOR = "metadata.name=extension-apiserver-authentication"
# A watch that ended earlier than this, without a word, is not a success.
_SHORT_SECONDS = 1.0
_JOIN_SECONDS = 1.0


class AuthenticationConfigMap:
    """Follows the ConfigMap, on a thread of its own, until it is stopped.

    `on_change` is told the data whenever they differ from the last; it must not wait, and a text that it gives says
    why they cannot be used. While the cluster is away, and when somebody deletes the ConfigMap, the last data stay, as
    in Kubernetes' own servers. Changes are read at once, but two watches in a row begin a second apart: one that
    changes all the time is read no more often.
    """

    def __init__(
        self,
        client: ClusterClient,
        *,
        on_change: Callable[[Mapping[str, str]], str | None],
        logger: logging.Logger,
        policy: CachePolicy | None = None,
        followed: Followed | None = None,
    ) -> None:
        self._followed = followed or Following(time.monotonic, logger).follow(f"the ConfigMap {CONFIG_MAP}")
        self._client = client
        self._on_change = on_change
        self._logger = logger
        self._policy = policy or CachePolicy()
        self._retries = Retries(
            f"the ConfigMap {CONFIG_MAP}",
            first=self._policy.first_retry,
            most=self._policy.last_retry,
            logger=logger,
        )
        self._pace = Pace(self._policy.spacing)
        self._data: Mapping[str, str] | None = None
        self._missing = False
        self._stopping = threading.Event()
        self._watch: Watch | None = None
        self._bookmarks = Bookmarks()
        self._thread = threading.Thread(target=self._run, name="authentication-config", daemon=True)

    @property
    def data(self) -> Mapping[str, str] | None:
        """What it says, empty where there is no such ConfigMap; None as long as it was never read."""
        return self._data

    @property
    def problem(self) -> str | None:
        """Return why `data` may not be what the cluster says now; None when it is."""
        if self._retries.problem:
            return self._retries.problem
        if self._data is None:
            return f"the ConfigMap {CONFIG_MAP} has not been read yet"
        return f"there is no ConfigMap {CONFIG_MAP} in the cluster" if self._missing else None

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start to read and to follow; once."""
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end, and wait for it no longer than a moment."""
        self._stopping.set()
        watch = self._watch
        if watch is not None:
            watch.shutdown()
        if self.alive:
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._wait_for_change(self._read())
            except ClusterError as error:
                self._failed(error)
            except Exception:
                # The thread must outlive a mistake of ours: nobody would start it again.
                self._logger.exception("the ConfigMap %s could not be taken over", CONFIG_MAP)
                self._failed(ClusterError("an internal error, which the log has"))

    def _read(self) -> str:
        """Take over what it says now, and give the version that a watch goes on from."""
        _, page = self._client.get_json(_PATH, query={"fieldSelector": _FIELD_SELECTOR})
        try:
            version = text_of(object_of(page.get("metadata")), "resourceVersion")
            found = [mapping_of(item, "data") for item in items_of(page, "items")]
        except ShapeError as error:
            raise ClusterError(f"GET {_PATH}: the answer is not a list of objects") from error
        self._followed.in_touch()
        if found:
            self._missing = False
            self._take({key: value for key, value in found[0].items() if isinstance(value, str)})
        else:
            self._gone()
        return version

    def _take(self, data: dict[str, str]) -> None:
        if data != self._data:
            # First: whoever sees the data may rely on them being in use.
            problem = self._on_change(MappingProxyType(data))
            self._followed.refused(problem if isinstance(problem, str) else None)
            self._data = MappingProxyType(data)

    def _gone(self) -> None:
        if not self._missing:
            self._missing = True
            self._logger.warning("there is no ConfigMap %s: what it said last stays in use", CONFIG_MAP)
        if self._data is None:
            self._take({})

    def _wait_for_change(self, version: str) -> None:
        """Watch until something happens to it or the cluster ends the watch: in both cases it is read again."""
        if not self._pace.wait(self._stopping):
            return
        seconds = random.uniform(self._policy.watch_least, self._policy.watch_most)  # noqa: S311 - no secret
        opened = time.monotonic()
        with Watch(
            self._client,
            _PATH,
            version=version,
            seconds=seconds,
            field_selector=_FIELD_SELECTOR,
            bookmarks=self._bookmarks,
        ) as watch:
            self._watch = watch
            self._pace.begun()
            self._retries.answered()
            self._followed.in_touch(watch.lasts)
            try:
                # `stop` may have come before there was something to shut down.
                changed = not self._stopping.is_set() and any(kind != "BOOKMARK" for kind, _ in watch)
            finally:
                self._watch = None
        self._followed.in_touch()
        if not changed and time.monotonic() - opened < _SHORT_SECONDS:
            raise ClusterError(f"WATCH {_PATH}: it ended at once")
        self._retries.lasted()

    def _failed(self, error: ClusterError) -> None:
        if self._stopping.is_set():
            return
        pause = self._retries.failed(str(error))
        self._followed.out_of_touch(str(error))
        # Too old a version is nobody's failure, unless it happens again.
        if error.status != HTTPStatus.GONE or self._retries.count > 1:
            self._stopping.wait(pause)
