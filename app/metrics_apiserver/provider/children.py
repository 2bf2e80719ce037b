"""For a provider that holds others, as the shadow does: their options, their contexts, and how they are made."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from marshmallow import Schema, ValidationError, fields, post_load
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from metrics_apiserver.provider import kinds
from metrics_apiserver.provider.context import ProviderContext
from metrics_apiserver.provider.interfaces import Provider

__all__ = ["Child", "ChildOptions"]


class Child(NamedTuple):
    """A provider that another one holds: its class, and its own options, loaded."""

    provider_class: type[Provider]
    options: Mapping[str, Any]

    def make(self, context: ProviderContext, which: str) -> Provider:
        """Make the provider, called `NAME-which`. Who holds it starts and stops it.

        It has a logger and a metrics registry of its own; what it registers is shown with its holder's metrics, under
        its own name. Raises what its constructor raises.
        """
        name, registry = f"{context.name}-{which}", CollectorRegistry()
        own = dataclasses.replace(context, name=name, logger=context.logger.getChild(which), metrics_registry=registry)
        made = self.provider_class(own, self.options)
        context.metrics_registry.register(_ChildMetrics(name, registry, own.logger))
        return made


class ChildOptions(Schema):
    """The options that name a child: `kind`, and its `options`, which are checked with those of its holder."""

    kind = fields.String(required=True, metadata={"help": "A kind of provider, as in `providers`."})
    options = fields.Dict(keys=fields.String(), load_default=dict, metadata={"help": "Its options."})

    @post_load
    def _find(self, data: Mapping[str, Any], **_: Any) -> Child:
        provider_class = _find_class(data["kind"])
        try:
            return Child(provider_class, provider_class.Options().load(data["options"]))
        except ValidationError as error:
            raise ValidationError({"options": error.messages}) from error


class _ChildMetrics(Collector):
    """A child's metrics among those of its holder."""

    def __init__(self, name: str, registry: CollectorRegistry, logger: logging.Logger) -> None:
        self._name = name
        self._registry = registry
        self._logger = logger

    def describe(self) -> list[Metric]:
        """Name none: two children may have the same."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return the metrics, with the child's name as the provider's; none where the child's own collector fails."""
        try:
            collected = list(self._registry.collect())
        except BaseException:
            # Those of its holder are shown all the same.
            self._logger.exception("%s: its metrics could not be collected", self._name)
            return
        for metric in collected:
            metric.samples = [
                sample._replace(labels={"provider": self._name, **sample.labels}) for sample in metric.samples
            ]
            yield metric


def _find_class(kind: str) -> type[Provider]:
    try:
        entry = kinds.find(kind, kinds.installed())
    except kinds.KindError as error:
        raise ValidationError(str(error), "kind") from error
    if entry is None:
        raise ValidationError(f"there is no provider of the kind {kind}", "kind")
    try:
        return kinds.load_class(entry)
    except kinds.KindError as error:
        raise ValidationError(f"the kind {kind} {error}", "kind") from error
