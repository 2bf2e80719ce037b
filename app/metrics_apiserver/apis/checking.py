"""What the APIs' checks of a provider's answer have in common: it is a list, and has each thing once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from metrics_apiserver.model.quantity import Quantity

__all__ = [
    "Checked",
    "WrongAnswerError",
    "checked_time",
    "is_text_mapping",
    "listed",
    "number_complaint",
    "with_article",
    "without_duplicates",
    "wrong",
]

_Value = TypeVar("_Value")
_Value_co = TypeVar("_Value_co", covariant=True)


class WrongAnswerError(Exception):
    """A provider gave what is not an answer; the text says what, and quotes no value."""


class Checked(NamedTuple, Generic[_Value_co]):
    """Values that can be served."""

    values: Sequence[_Value_co]
    oldest: datetime | None
    """When the oldest sample was taken; None where there is no value."""
    newest: datetime | None
    """When the newest was, which may be a time that is still to come."""
    duplicates: int
    """How many values were left out, because an earlier one is of the same object, or has the same labels."""


def listed(given: Any) -> Sequence[Any]:
    """Return what a provider gave as a sequence that it cannot change any more. Raises WrongAnswerError."""
    if type(given) is tuple:
        return given
    # Nearly always; a look at an abstract class takes longer than all the rest.
    if type(given) is list:
        return tuple(given)
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, Mapping)):
        return tuple(given)
    raise WrongAnswerError(f"the answer is {with_article(given)}, not a list")


def checked_time(position: int, time: Any) -> datetime:
    """Return a sample's time. Raises WrongAnswerError for one without a time zone, or without a time in UTC."""
    if not isinstance(time, datetime):
        raise wrong(position, f"has {with_article(time)} as its timestamp, not a datetime")
    if time.utcoffset() is None:
        raise wrong(position, "has a timestamp without a time zone")
    # In the first and the last year of all.
    if not MINYEAR < time.year < MAXYEAR:
        try:
            time.astimezone(UTC)
        except OverflowError:
            raise wrong(position, "has a timestamp that is before year 1 or after year 9999 in UTC") from None
    return time


def is_text_mapping(labels: Any) -> bool:
    """Return whether labels are a mapping of text to text."""
    if type(labels) is not dict and not isinstance(labels, Mapping):
        return False
    for key, value in labels.items():  # noqa: SIM110 - half the time of all() over a generator
        if not (isinstance(key, str) and isinstance(value, str)):
            return False
    return True


def without_duplicates(
    values: Sequence[_Value],
    oldest: datetime | None,
    newest: datetime | None,
    key_of: Callable[[_Value], Hashable],
) -> Checked[_Value]:
    """Return the values; of those with one key the first."""
    if len(values) < 2:
        return Checked(values, oldest, newest, 0)
    keys = list(map(key_of, values))
    duplicates = len(keys) - len(set(keys))
    if duplicates:
        firsts: dict[Hashable, _Value] = {}
        for key, value in zip(keys, values, strict=True):
            firsts.setdefault(key, value)
        values = tuple(firsts.values())
    return Checked(values, oldest, newest, duplicates)


def number_complaint(value: Any) -> str:
    """Return what is wrong with a value's number or window."""
    if not isinstance(value.value, Quantity):
        return f"has {with_article(value.value)} as its value, not a Quantity"
    return f"has {with_article(value.window_seconds)} as its window, not a whole number of seconds"


def wrong(position: int, complaint: str) -> WrongAnswerError:
    """Return the error for an item of the answer."""
    return WrongAnswerError(f"item {position} of the answer {complaint}")


def with_article(value: Any) -> str:
    """Return the name of a value's type, with its article."""
    name = type(value).__name__
    return name if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
