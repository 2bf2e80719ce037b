"""The documents of the metric APIs, as another server writes them → our values; strictly, or WireError."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

from metrics_apiserver.provider import (
    CustomMetricInfo,
    ExternalMetricInfo,
    ExternalMetricValue,
    GroupResource,
    MetricIdentifier,
    MetricValue,
    NotFiniteError,
    ObjectReference,
    Quantity,
    QuantityError,
)

__all__ = [
    "CUSTOM_GROUP",
    "EXTERNAL_GROUP",
    "Asked",
    "WireError",
    "read_custom_names",
    "read_custom_values",
    "read_external_names",
    "read_external_values",
]

CUSTOM_GROUP, EXTERNAL_GROUP = "custom.metrics.k8s.io", "external.metrics.k8s.io"
# Stands for the metrics of a server that does not list them (custom-metrics-apiserver `lister.go`). Its like of the
# custom API, `custommetrics`, has no resource before a slash, which every custom metric has.
_PLACEHOLDER = "externalmetrics"

_Value = TypeVar("_Value")


class WireError(ValueError):
    """The document is not what was asked for; the text says where, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a read of a custom metric asked for: what an item does not say is that.

    A name or a namespace of "" is not known before, since many were asked for. `kinds` are the words, in lower case,
    that name the kind: itself, and the resource in the singular and the plural.
    """

    metric: str
    described: ObjectReference
    kinds: Collection[str]


def read_custom_values(content: bytes, *, version: str, now: datetime, asked: Asked) -> list[MetricValue]:
    """Read a MetricValueList. A time of null, which Go writes for none, is taken for `now`."""
    document = _document(content, "MetricValueList", f"{CUSTOM_GROUP}/{version}")
    newest = version == "v1beta2"

    def read(item: _Fields) -> MetricValue:
        named = item.inner("metric") if newest else item
        return MetricValue(
            described_object=_reference(item.inner("describedObject"), asked),
            metric=MetricIdentifier(named.text("name" if newest else "metricName", asked.metric)),
            timestamp=item.time("timestamp", now),
            value=item.quantity("value"),
            window_seconds=item.seconds("windowSeconds" if newest else "window"),
        )

    return list(_each(document, "items", read))


def read_external_values(content: bytes, *, now: datetime, metric: str) -> list[ExternalMetricValue]:
    """Read an ExternalMetricValueList; times as in `read_custom_values`, and an item without a name is of `metric`."""

    def read(item: _Fields) -> ExternalMetricValue:
        return ExternalMetricValue(
            metric_name=item.text("metricName", metric),
            timestamp=item.time("timestamp", now),
            value=item.quantity("value"),
            metric_labels=item.labels("metricLabels"),
            window_seconds=item.seconds("window"),
        )

    document = _document(content, "ExternalMetricValueList", f"{EXTERNAL_GROUP}/v1beta1")
    return list(_each(document, "items", read))


def read_custom_names(content: bytes, *, version: str) -> tuple[CustomMetricInfo, ...]:
    """Read the metrics of an APIResourceList, such as `pods/packets-per-second`."""
    infos = []
    for name, namespaced in _resources(content, f"{CUSTOM_GROUP}/{version}"):
        resource, _, metric = name.partition("/")
        if resource and metric and "/" not in metric:
            infos.append(CustomMetricInfo(GroupResource.parse(resource), metric, namespaced))
    return tuple(infos)


def read_external_names(content: bytes) -> tuple[ExternalMetricInfo, ...]:
    """Read the metrics of an APIResourceList."""
    names = [name for name, _ in _resources(content, f"{EXTERNAL_GROUP}/v1beta1")]
    return tuple(ExternalMetricInfo(name) for name in names if name and "/" not in name and name != _PLACEHOLDER)


def _resources(content: bytes, group_version: str) -> list[tuple[str, bool]]:
    document = _document(content, "APIResourceList", None)
    if document.value("groupVersion") != group_version:
        raise WireError(f"it lists another group or version than {group_version}")
    return list(_each(document, "resources", lambda item: (item.text("name"), item.value("namespaced") is True)))


@dataclass(frozen=True, slots=True)
class _Fields:
    """A JSON object and its place in the document."""

    fields: Mapping[str, Any]
    place: str

    def value(self, name: str) -> Any:
        return self.fields.get(name)

    def wrong(self, name: str, expected: str) -> WireError:
        return WireError(f"{self.place}{name} is not {expected}")

    def inner(self, name: str) -> _Fields:
        """Return an object; one that is left out says nothing."""
        value = self.value(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return _Fields(value, f"{self.place}{name}.")

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string, and the default for one that is left out or empty."""
        value = self.value(name)
        if default is not None and (value is None or value == ""):
            return default
        if not isinstance(value, str):
            raise self.wrong(name, "a string")
        return value

    def labels(self, name: str) -> dict[str, str] | None:
        """Return a map of strings; null stays what it is."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise self.wrong(name, "a map of strings")
        return value

    def time(self, name: str, default: datetime) -> datetime:
        value = self.value(name)
        if value is None:
            return default
        try:
            time = datetime.fromisoformat(value)
            # Of year 1 or 9999 not every zone has a time in UTC.
            in_utc = time.astimezone(UTC)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.wrong(name, "a time") from error
        if time.tzinfo is None:
            raise self.wrong(name, "a time with its zone")
        return in_utc

    def quantity(self, name: str) -> Quantity:
        value = self.value(name)
        try:
            # Go reads numbers as well, and so do those who write by hand.
            return Quantity.of(value)
        except NotFiniteError:
            raise
        except (TypeError, QuantityError) as error:
            raise self.wrong(name, "a quantity") from error

    def seconds(self, name: str) -> int | None:
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise self.wrong(name, "a number of seconds")
        return value


def _reference(fields: _Fields, asked: Asked) -> ObjectReference:
    described = asked.described
    kind = fields.text("kind", described.kind)
    return ObjectReference(
        kind=described.kind if kind.lower() in asked.kinds else kind,
        # Of many objects each has to say its own.
        name=fields.text("name", described.name or None),
        api_version=fields.text("apiVersion", described.api_version),
        namespace=fields.text("namespace", described.namespace),
    )


def _document(content: bytes, kind: str, api_version: str | None) -> _Fields:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise WireError("it is not JSON") from error
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise WireError(f"its kind is not {kind}")
    if api_version is not None and document.get("apiVersion") != api_version:
        raise WireError(f"its apiVersion is not {api_version}")
    return _Fields(document, "")


def _each(document: _Fields, name: str, read: Callable[[_Fields], _Value]) -> Iterator[_Value]:
    """Read each object of a list, of which null is Go's empty one; a value of NaN or infinity is no data."""
    items = document.value(name)
    if not isinstance(items, list | None):
        raise document.wrong(name, "a list")
    for number, item in enumerate(items or ()):
        place = f"{name}[{number}]"
        if not isinstance(item, dict):
            raise WireError(f"{place} is not an object")
        try:
            value = read(_Fields(item, f"{place}."))
        except NotFiniteError:
            continue
        yield value
