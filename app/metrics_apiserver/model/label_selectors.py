"""Label selectors as values: matched against labels, written as text, converted to the object form."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

__all__ = [
    "EVERYTHING",
    "LabelSelector",
    "LabelSelectorOperator",
    "LabelSelectorRequirement",
    "Operator",
    "Requirement",
    "Selector",
    "SelectorError",
    "int64",
]


class SelectorError(ValueError):
    """The text is not a selector, or this selector has no object form; the text says why."""


class Operator(StrEnum):
    """How a requirement compares; the values are the names that errors use."""

    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    EQUALS = "="
    DOUBLE_EQUALS = "=="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "notin"
    GREATER_THAN = "gt"
    LESS_THAN = "lt"


LabelSelectorOperator = Literal["In", "NotIn", "Exists", "DoesNotExist"]


@dataclass(frozen=True, slots=True)
class LabelSelectorRequirement:
    """One expression of the object form."""

    key: str
    operator: LabelSelectorOperator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A selector in its object form, as API objects hold it."""

    # A mapping has no hash; equal selectors still hash alike without it.
    match_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; ``values`` are sorted and without duplicates."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()
    # A list of values can be long, and is asked once for each object of the cluster.
    _wanted: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        wanted = frozenset(self.values)
        object.__setattr__(self, "_wanted", wanted)
        object.__setattr__(self, "values", tuple(sorted(wanted)))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels meet the condition; a missing label meets only the negative ones."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.EQUALS | Operator.DOUBLE_EQUALS | Operator.IN:
                return value in self._wanted
            case Operator.NOT_EQUALS | Operator.NOT_IN:
                return value not in self._wanted
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
        actual, bound = int64(value), int64(self.values[0])
        if actual is None or bound is None:
            return False
        return actual > bound if self.operator is Operator.GREATER_THAN else actual < bound

    def __str__(self) -> str:
        values = ",".join(self.values)
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator} ({values})"
            case Operator.GREATER_THAN:
                return f"{self.key}>{values}"
            case Operator.LESS_THAN:
                return f"{self.key}<{values}"
        return f"{self.key}{self.operator}{values}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that labels must meet all; ``requirements`` are in the order of their keys."""

    requirements: tuple[Requirement, ...] = ()

    def __post_init__(self) -> None:
        in_order = tuple(sorted(self.requirements, key=lambda requirement: requirement.key))
        object.__setattr__(self, "requirements", in_order)

    @property
    def empty(self) -> bool:
        """Whether it selects everything because it asks for nothing."""
        return not self.requirements

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels meet every requirement."""
        # A plain loop: this runs once for each object of a namespace, and all() over a generator costs twice as much.
        for requirement in self.requirements:  # noqa: SIM110
            if not requirement.matches(labels):
                return False
        return True

    def to_label_selector(self) -> LabelSelector:
        """Convert to the object form; ``>`` and ``<`` have none and raise SelectorError.

        Unlike upstream, which refuses ``!=``, it becomes NotIn of one value. Of two ``=`` on one key the object form
        can hold only the last: if they differ, it selects more than this selector does.
        """
        labels: dict[str, str] = {}
        expressions: list[LabelSelectorRequirement] = []
        for requirement in self.requirements:
            match requirement.operator:
                case Operator.EQUALS | Operator.DOUBLE_EQUALS:
                    labels[requirement.key] = requirement.values[0]
                case Operator.GREATER_THAN | Operator.LESS_THAN as operator:
                    raise SelectorError(f'"{operator}" isn\'t supported in label selectors')
                case operator:
                    name = _OBJECT_OPERATORS[operator]
                    expressions.append(LabelSelectorRequirement(requirement.key, name, requirement.values))
        return LabelSelector(labels, tuple(expressions))

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING: Final = Selector()

_OBJECT_OPERATORS: Final[dict[Operator, LabelSelectorOperator]] = {
    Operator.IN: "In",
    Operator.NOT_IN: "NotIn",
    Operator.NOT_EQUALS: "NotIn",
    Operator.EXISTS: "Exists",
    Operator.DOES_NOT_EXIST: "DoesNotExist",
}


_INTEGER: Final = re.compile(r"([-+]?)0*([0-9]{1,19})")


def int64(text: str | None) -> int | None:
    """Return the integer that a text is in Go (`strconv.ParseInt`, 64 bits); None where it is none."""
    if text is None or not (written := _INTEGER.fullmatch(text)):
        return None
    number = int(written[1] + written[2])
    return number if -(2**63) <= number < 2**63 else None
