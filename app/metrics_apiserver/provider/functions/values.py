"""What a function may give: a number, or a Value, which is a base value and values told apart by labels."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

from metrics_apiserver.model.labels import validate_label_key, validate_label_value
from metrics_apiserver.model.quantity import NotFiniteError, Quantity, QuantityError

__all__ = ["Number", "Value", "parse_label_set", "quantity_of"]

Number: TypeAlias = int | float | Decimal | str | Quantity


# Far more than Kubernetes allows, and nothing that would fill an answer.
_MOST_LABEL_BYTES = 4096


class _Unset:
    """Tells `Value()`, which has no base, from `Value(None)`, whose base has no data."""


_UNSET: Final = _Unset()


def quantity_of(number: Any) -> Quantity | None:
    """Read a number; None, NaN and infinity mean that there is no data, and give None.

    Raises TypeError for what is not a number, QuantityError (a ValueError) for a text that is none.
    """
    if number is None:
        return None
    if isinstance(number, Decimal):
        return Quantity.of(number) if number.is_finite() else None
    if isinstance(number, bool):
        raise TypeError(f"{number} is not a number, but a truth: write 1 or 0")
    # Not int and float: numpy's numbers are neither.
    if isinstance(number, numbers.Integral):
        return Quantity.from_int(int(number))
    if isinstance(number, numbers.Real):
        return Quantity.from_float(float(number)) if math.isfinite(number) else None
    if isinstance(number, Quantity):
        return number
    if isinstance(number, str):
        return _quantity_of_text(number)
    raise TypeError(f"{_shown(number)} is not a number: give an int, a float, a Decimal, a Quantity or the text of one")


def _quantity_of_text(text: str) -> Quantity | None:
    try:
        return Quantity.parse(text)
    except NotFiniteError:
        return None
    except QuantityError as error:
        shown = f"the text {_shown(text)} is not a quantity such as 12, 1.5 or 250m"
        if text.strip() and text.strip() != text:
            raise QuantityError(f"{shown}: it has white space around it (strip() takes it away)") from error
        raise QuantityError(shown) from error


class Value:
    """A value of a metric: the base, which reads without a selector get, and values that selectors find by labels.

    `Value(42).add_selector("queue", "orders", 30)`. `Value()` has no base: a read without a selector then gets all
    label sets, and the autoscaler adds them up. A number is an int, a float, a Decimal, a Quantity or the text of one;
    None, NaN and infinity are no data. `timestamp`, with a time zone, is when the sample was taken; without it, it was
    when the function returned. Raises TypeError and ValueError for what is none of that.
    """

    __slots__ = ("_base", "_has_base", "_series", "_timestamp", "unselectable")

    def __init__(self, base: Number | _Unset | None = _UNSET, *, timestamp: datetime | None = None) -> None:
        if timestamp is not None and timestamp.utcoffset() is None:
            raise ValueError(f"the timestamp {timestamp} must be a datetime with its time zone")
        self._has_base = not isinstance(base, _Unset)
        self._base = None if isinstance(base, _Unset) else quantity_of(base)
        self._timestamp = timestamp
        self._series: dict[frozenset[tuple[str, str]], Quantity | None] = {}
        # What is wrong with the first label that no selector can name; "" where each can be named.
        self.unselectable = ""

    def add_selector(self, label: str, equals: str, number: Number | None) -> Value:
        """Add the value of the label set that has just this label; return this Value again, for the next one."""
        return self.add_labels({label: equals}, number)

    def add_labels(self, labels: Mapping[str, str], number: Number | None) -> Value:
        """Add the value of a set of several labels; return this Value again.

        Raises ValueError for no label at all, and for a set that is there already. A set with a label that Kubernetes
        does not allow (`path=/api/v1`) counts in the sum, but no selector can name it: `unselectable` says so.
        """
        if not labels:
            raise ValueError("a label set needs a label: the value without labels is the base value")
        for key, value in labels.items():
            self.unselectable = self.unselectable or _complaint(key, value)
        key_of_set = frozenset(labels.items())
        if key_of_set in self._series:
            raise ValueError(f"the label set {_written(labels)} is given twice")
        self._series[key_of_set] = quantity_of(number)
        return self

    @property
    def has_base(self) -> bool:
        """Whether there is a base value, with or without data."""
        return self._has_base

    @property
    def base(self) -> Quantity | None:
        """The base value; None where there is no data, or no base at all."""
        return self._base

    @property
    def series(self) -> Sequence[tuple[Mapping[str, str], Quantity]]:
        """The label sets that have data, in the order they were added."""
        return [(dict(sorted(labels)), number) for labels, number in self._series.items() if number is not None]

    @property
    def timestamp(self) -> datetime | None:
        """When the sample was taken; None for when the function returned."""
        return self._timestamp


def parse_label_set(text: str) -> dict[str, str]:
    """Read `key=value,key2=value2`. Raises ValueError with a sentence."""
    labels: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key:
            raise ValueError(f'{text!r} is not a label set: write "key=value,key2=value2", or "" for the base value')
        if key in labels:
            raise ValueError(f"the label set {text!r} has the label {key} twice")
        labels[key] = value
    return labels


def _complaint(key: object, value: object) -> str:
    """Return why no selector can name a label. Raises TypeError and ValueError for what cannot be served at all."""
    if not isinstance(key, str) or not isinstance(value, str):
        raise TypeError(f"the label {_shown(key)}={_shown(value)} must be two texts")
    try:
        size = len(key.encode()) + len(value.encode())
    except UnicodeEncodeError:
        raise ValueError(f"the label {_shown(key)}={_shown(value)} is not text that UTF-8 can write") from None
    if not key or size > _MOST_LABEL_BYTES:
        raise ValueError(f"the label {_shown(key)}={_shown(value)} has no key, or more than {_MOST_LABEL_BYTES} bytes")
    if problems := validate_label_key(key):
        return f"the label {_shown(key)} cannot be a label of Kubernetes: {'; '.join(problems)}"
    if problems := validate_label_value(value):
        return f"the value {_shown(value)} of the label {key} cannot be one of Kubernetes: {'; '.join(problems)}"
    return ""


def _written(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _shown(thing: object) -> str:
    """Show what an author gave, cut to what a sentence can hold."""
    text = repr(thing)
    return text if len(text) <= 60 else f"{text[:60]}…"
