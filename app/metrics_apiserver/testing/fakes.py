"""What a provider is given, without a server: a clock, a cluster, and the two contexts."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from metrics_apiserver.kube.manifests import parse_objects
from metrics_apiserver.kube.standalone import StandaloneCluster
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.provider import ProviderContext, RequestContext, UserInfo

__all__ = ["FakeClock", "FakeCluster", "provider_context", "request_context"]

_LOGGER = logging.getLogger("metrics_apiserver.providers.test")


class FakeClock:
    """Stands still until it is moved: the time of day and the monotonic clock together."""

    def __init__(self, time: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._time = time
        self._seconds = 1000.0

    def now(self) -> datetime:
        """The time of day in UTC."""
        return self._time

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._seconds

    def move(self, seconds: float) -> None:
        """Go on by so many seconds; a clock never goes back."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        self._time += timedelta(seconds=seconds)
        self._seconds += seconds


class FakeCluster(StandaloneCluster):
    """The standard kinds of Kubernetes, and these objects: YAML text, or the same as Python dicts.

    `FakeCluster({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "labels": {"app": "web"}}})`; without
    a namespace an object is in `default`. Raises ObjectsError, which says what is wrong with which object.
    """

    def __init__(self, *objects: str | Mapping[str, Any]) -> None:
        documents = [each if isinstance(each, str) else json.dumps(each) for each in objects]
        super().__init__(parse_objects("\n---\n".join(documents)))


def provider_context(
    *objects: str | Mapping[str, Any],
    cluster: StandaloneCluster | None = None,
    clock: Clock | None = None,
    name: str = "test",
) -> ProviderContext:
    """Make what a provider is built with, with these objects in the cluster (see FakeCluster)."""
    there = cluster or FakeCluster(*objects)
    return ProviderContext(
        name=name,
        mapper=there.mapper,
        objects=there.objects,
        clock=clock or FakeClock(),
        logger=_LOGGER,
        metrics_registry=CollectorRegistry(),
    )


def request_context(
    *, seconds: float = 1.5, clock: Clock | None = None, user: UserInfo | None = None
) -> RequestContext:
    """Make what a provider is read with: a read that has so many seconds left."""
    clock = clock or FakeClock()
    deadline = clock.monotonic() + seconds
    return RequestContext(deadline=deadline, audit_id="test", clock=clock, logger=_LOGGER, user=user)
