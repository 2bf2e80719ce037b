"""The ConfigMap in which a cluster publishes whose certificates count: read once, and again when it changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from metrics_apiserver.concurrency import Background
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.reflector import Reflector, WatchPolicy
from metrics_apiserver.kube.shapes import ShapeError, items_of, mapping_of, object_of, text_of
from metrics_apiserver.staleness import Followed, Following

__all__ = ["CONFIG_MAP", "AuthenticationConfigMap"]

# kube-apiserver writes it; the Role extension-apiserver-authentication-reader in that namespace allows to read it.
CONFIG_MAP = "kube-system/extension-apiserver-authentication"
_PATH = "/api/v1/namespaces/kube-system/configmaps"
# By name, although it is a list: that Role allows no other one.
_FIELD_SELECTOR = "metadata.name=extension-apiserver-authentication"
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
        policy: WatchPolicy | None = None,
        followed: Followed | None = None,
    ) -> None:
        what = f"the ConfigMap {CONFIG_MAP}"
        self._client = client
        self._on_change = on_change
        self._logger = logger
        self._reflector = Reflector(
            client,
            _PATH,
            what=what,
            policy=policy or WatchPolicy(),
            followed=followed or Following(time.monotonic, logger).follow(what),
            logger=logger,
            field_selector=_FIELD_SELECTOR,
        )
        self._data: Mapping[str, str] | None = None
        self._missing = False
        self._background = Background(
            "authentication-config",
            self._turn,
            logger=logger,
            failure=f"{what} could not be taken over",
            mistaken=lambda _error: self._failed(ClusterError("an internal error, which the log has")),
        )

    @property
    def data(self) -> Mapping[str, str] | None:
        """What it says, empty where there is no such ConfigMap; None as long as it was never read."""
        return self._data

    @property
    def problem(self) -> str | None:
        """Return why `data` may not be what the cluster says now; None when it is."""
        if self._reflector.retries.problem:
            return self._reflector.retries.problem
        if self._data is None:
            return f"the ConfigMap {CONFIG_MAP} has not been read yet"
        return f"there is no ConfigMap {CONFIG_MAP} in the cluster" if self._missing else None

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._background.alive

    def start(self) -> None:
        """Start to read and to follow; once."""
        self._background.start()

    def stop(self) -> None:
        """Have the thread end, and wait for it no longer than a moment."""
        self._background.stop()
        self._reflector.stop()
        self._background.join(_JOIN_SECONDS)

    def _turn(self) -> float:
        """Read it, and wait until something happens to it or the cluster ends the watch; both begin the next turn."""
        try:
            version = self._read()
            self._reflector.follow(version, lambda kind, _metadata: kind == "BOOKMARK")
        except ClusterError as error:
            return self._failed(error)
        self._reflector.retries.lasted()
        return 0.0

    def _failed(self, error: ClusterError) -> float:
        return 0.0 if self._reflector.stopping else self._reflector.failed(error)

    def _read(self) -> str:
        """Take over what it says now, and return the version that a watch goes on from."""
        _, page = self._client.get_json(_PATH, query={"fieldSelector": _FIELD_SELECTOR})
        try:
            version = text_of(object_of(page.get("metadata")), "resourceVersion")
            found = [mapping_of(item, "data") for item in items_of(page, "items")]
        except ShapeError as error:
            raise ClusterError(f"GET {_PATH}: the answer is not a list of objects") from error
        self._reflector.followed.in_touch()
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
            self._reflector.followed.refused(problem if isinstance(problem, str) else None)
            self._data = MappingProxyType(data)

    def _gone(self) -> None:
        if not self._missing:
            self._missing = True
            self._logger.warning("there is no ConfigMap %s: what it said last stays in use", CONFIG_MAP)
        if self._data is None:
            self._take({})
