"""What a function returned, checked and frozen: samples, from which reads select."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from metrics_apiserver.provider import NamespacedName, Quantity, Selector
from metrics_apiserver.provider.functions import Value
from metrics_apiserver.provider.functions.values import parse_label_set, quantity_of

__all__ = ["Content", "ResultError", "Sample", "custom_samples", "external_sample"]

_NO_LABELS: Mapping[str, str] = {}


class ResultError(Exception):
    """A function returned what is not a value; the sentence is fit for whoever reads the metric."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A value at one time: the base, and the label sets. Base None: there is none, or it has no data."""

    timestamp: datetime
    has_base: bool
    base: Quantity | None
    series: tuple[tuple[Mapping[str, str], Quantity], ...] = ()
    # Why no selector can name one of them; "" where each can be named.
    unselectable: str = ""

    def select(self, selector: Selector) -> Sequence[tuple[Mapping[str, str], Quantity]]:
        """Return what a read with this selector gets.

        Without one it is the base alone, since the autoscaler adds up all it gets; without a base, all label sets.
        With any selector the base is never meant, even if the grammar lets an empty label set match.
        """
        if not selector.empty:
            return [(labels, number) for labels, number in self.series if selector.matches(labels)]
        if not self.has_base:
            return self.series
        return [(_NO_LABELS, self.base)] if self.base is not None else []


# An external metric has one sample, a custom metric one for each object.
Content: TypeAlias = Sample | Mapping[NamespacedName, Sample]


def external_sample(result: object, now: datetime) -> Sample:
    """Read what an external metric's function returned. Raises ResultError."""
    try:
        if isinstance(result, Mapping):
            return _of_value(_value_of(result), now)
        return _of_value(result, now) if isinstance(result, Value) else _of_number(result, now)
    except (TypeError, ValueError) as error:
        raise ResultError(f"its function returned no value: {error}") from None


def custom_samples(
    result: object, now: datetime, *, namespace: str | None, objects: Iterable[NamespacedName]
) -> Mapping[NamespacedName, Sample]:
    """Read what a custom metric's function returned: object → number or Value, or one of them for all `objects`.

    A bare name means the object in `namespace`; with None there is more than one, and a bare name means none of them.
    Raises ResultError.
    """
    try:
        if result is None:
            return {}
        if not isinstance(result, Mapping):
            sample = _sample(result, now)
            return dict.fromkeys(objects, sample)
        return _by_object(result, now, namespace)
    except (TypeError, ValueError) as error:
        raise ResultError(f"its function returned no values of objects: {error}") from None


def _by_object(
    result: Mapping[object, object], now: datetime, namespace: str | None
) -> Mapping[NamespacedName, Sample]:
    samples: dict[NamespacedName, Sample] = {}
    for key, given in result.items():
        name = _object_name(key, namespace)
        if name in samples:
            raise ValueError(f"the object {name} is named twice")
        try:
            samples[name] = _sample(given, now)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None
    return samples


def _object_name(key: object, namespace: str | None) -> NamespacedName:
    if isinstance(key, NamespacedName):
        return key
    if not isinstance(key, str) or not key:
        raise TypeError(f"{key!r} is not an object: the key is its name, or the object itself")
    if namespace is None:
        raise ValueError(f"the name {key} does not say in which namespace: use the object itself as the key")
    return NamespacedName(namespace, key)


def _sample(given: object, now: datetime) -> Sample:
    if isinstance(given, Mapping):
        raise TypeError("an object has a number or a Value, not a mapping")
    return _of_value(given, now) if isinstance(given, Value) else _of_number(given, now)


def _value_of(result: Mapping[object, object]) -> Value:
    """Read a mapping of label sets; "" is the base."""
    value = Value(quantity_of(result[""])) if "" in result else Value()
    for text, number in result.items():
        if not isinstance(text, str):
            raise TypeError(f'the key {text!r} must be a label set such as "queue=orders", or "" for the base value')
        if text:
            value.add_labels(parse_label_set(text), quantity_of(number))
    return value


def _of_value(value: Value, now: datetime) -> Sample:
    return Sample(value.timestamp or now, value.has_base, value.base, tuple(value.series), value.unselectable)


def _of_number(number: object, now: datetime) -> Sample:
    return Sample(now, has_base=True, base=quantity_of(number))
