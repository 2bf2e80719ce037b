"""The instances that a router asks, made of the providers that are configured."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from metrics_apiserver.concurrency import SharedRoom
from metrics_apiserver.concurrency.budget import share_of_threads
from metrics_apiserver.dispatch.instance import Instance
from metrics_apiserver.model.clock import Clock
from metrics_apiserver.registry import ConfiguredProvider
from metrics_apiserver.telemetry import Telemetry

__all__ = ["make_instances"]

logger = logging.getLogger("metrics_apiserver")


def make_instances(
    providers: Sequence[ConfiguredProvider],
    before: Sequence[Instance] = (),
    *,
    waiting: SharedRoom,
    telemetry: Telemetry,
    clock: Clock,
) -> list[Instance]:
    """Make the instances that a router asks, in the same order; nothing is started.

    One of those before that has the same settings and the same provider goes on, with its cache and its state. All
    share the room `waiting`, also with those before that do not go on.
    """
    known = {id(instance.provider): instance for instance in before}
    instances = []
    for configured in providers:
        instance = known.get(id(configured.provider))
        if instance is None or instance.settings != configured.settings:
            instance = Instance(
                configured.settings,
                configured.provider,
                telemetry=telemetry.providers,
                clock=clock,
                logger=logger,
                waiting=waiting,
                # What anybody else's provider says of itself must not be able to stop the worker's loop.
                trusted=configured.shipped,
            )
        instances.append(instance)
    waited_for = [instance for instance in instances if instance.takes_threads]
    waiting.divide(waited_for, each=share_of_threads(len(waited_for)))
    return instances
