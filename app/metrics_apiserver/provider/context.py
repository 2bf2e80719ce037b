"""What a provider is given: once, when it is built (ProviderContext), and with every read (RequestContext)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry

from metrics_apiserver.model.clock import Clock
from metrics_apiserver.model.resources import GroupResource, NamespacedName, RESTMapping
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.model.users import UserInfo

__all__ = ["ObjectLister", "ProviderContext", "RESTMapper", "RequestContext"]


class RESTMapper(Protocol):
    """Knows the cluster's resources, from memory; only a name that it does not know is looked up, for a moment."""

    def mapping_for(self, resource: GroupResource) -> RESTMapping:
        """Find a resource by plural or singular name, group optional.

        Raises ResourceNotFoundError for one that the cluster does not have, ServiceUnavailableError as long as
        nothing could be read from the cluster.
        """


class ObjectLister(Protocol):
    """Knows which objects exist."""

    def list_names(
        self, mapping: RESTMapping, *, namespace: str, selector: Selector, timeout: float
    ) -> Sequence[NamespacedName]:
        """List the objects whose labels match, sorted by namespace, then name; namespace "" means every one.

        Raises ServiceUnavailableError when the cluster does not say within `timeout` seconds.
        """


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider may use as long as it lives; `name` is its name in the configuration.

    `restarting`: the server has served before, and a worker takes the place of another (it died, or SIGHUP). Then
    something that was right at an earlier start is better than nothing.
    """

    name: str
    mapper: RESTMapper
    objects: ObjectLister
    clock: Clock
    logger: logging.Logger
    metrics_registry: CollectorRegistry
    restarting: bool = False


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What belongs to one read. Authorization is over by then, and equal reads share an answer.

    `deadline` is in the time of `clock.monotonic()`. `user` is there only for a provider that declares `per_user`, and
    where somebody was authenticated.
    """

    deadline: float
    audit_id: str
    clock: Clock
    logger: logging.Logger
    user: UserInfo | None = None

    def remaining(self) -> float:
        """Seconds until the deadline, 0 once it has passed: the timeout for whatever the provider asks."""
        return max(0.0, self.deadline - self.clock.monotonic())
