"""Label selectors: read from text, matched against labels, converted to the object form.

The grammar and every sentence of an error are upstream's, since clients and logs know them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal, NoReturn

from metrics_apiserver.model.labels import invalid, validate_label_key, validate_label_value

__all__ = [
    "EVERYTHING",
    "LabelSelector",
    "LabelSelectorOperator",
    "LabelSelectorRequirement",
    "Operator",
    "Requirement",
    "Selector",
    "SelectorError",
    "parse",
    "parse_labels",
]

# More than a request line can hold, so only a caller inside the process can meet it.
_MAX_TEXT: Final = 64 * 1024
# What the cache can hold at most: 256 selectors of a kilobyte each.
_CACHED_TEXTS: Final = 256
_CACHED_LENGTH: Final = 1024

_MUST_BE_INTEGER: Final = "for 'Gt', 'Lt' operators, the value must be an integer"


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
        actual, bound = _int64(value), _int64(self.values[0])
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


def parse(text: str) -> Selector:
    """Read a selector such as ``app=web,tier in (front,back),!canary``; an empty text selects everything."""
    if len(text) <= _CACHED_LENGTH:
        return _parse_cached(text)
    _check_length(text)
    return _Parser(text).selector()


def parse_labels(text: str) -> dict[str, str]:
    """Read ``a=b,c=d`` as labels; of a repeated key the last value counts."""
    _check_length(text)
    labels: dict[str, str] = {}
    for part in text.split(",") if text else ():
        pair = part.split("=")
        if len(pair) != 2:
            raise SelectorError(f"invalid selector: [{' '.join(pair)}]")
        key, value = pair[0].strip(), pair[1].strip()
        if errors := validate_label_key(key):
            raise SelectorError(invalid("<nil>", key, "; ".join(errors)))
        if errors := validate_label_value(value):
            raise SelectorError(invalid(f"[{key}]", value, "; ".join(errors)))
        labels[key] = value
    return labels


def _check_length(text: str) -> None:
    if len(text) > _MAX_TEXT:
        raise SelectorError(f"selector is too long: {len(text)} characters, at most {_MAX_TEXT} are read")


# Symbols, else a word up to the next symbol or white space; what no token holds is white space.
_TOKEN: Final = re.compile(r"==|!=|[=!(),<>]|[^ \t\r\n=!(),<>]+")
_SYMBOLS: Final = frozenset(("==", "!=", "=", "!", "(", ")", ",", "<", ">"))
# No token is empty, so this one can mean that there are no more.
_END: Final = ""

_BINARY_OPERATORS: Final = {
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    "=": Operator.EQUALS,
    "==": Operator.DOUBLE_EQUALS,
    "!=": Operator.NOT_EQUALS,
    ">": Operator.GREATER_THAN,
    "<": Operator.LESS_THAN,
}
_OPERATOR_NAMES: Final = ", ".join(_BINARY_OPERATORS.values())


class _RequirementError(SelectorError):
    """A fault inside one requirement, which the sentence says first."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"unable to parse requirement: {sentence}")


class _Parser:
    """Reads the tokens of one text in order; ``in`` and ``notin`` are words except where an operator is due."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = _TOKEN.findall(text)
        self._tokens.append(_END)
        self._position = 0

    def selector(self) -> Selector:
        requirements: list[Requirement] = []
        if self._peek() == _END:
            return EVERYTHING
        if self._peek() != "!" and not _is_word(self._peek()):
            raise SelectorError(f"found '{self._peek()}', expected: !, identifier, or 'end of string'")
        while True:
            requirements.append(self._requirement())
            found = self._take()
            if found == _END:
                return Selector(tuple(requirements))
            if found != ",":
                raise SelectorError(f"found '{found}', expected: ',' or 'end of string'")
            if self._peek() != "!" and not _is_word(self._peek()):
                raise SelectorError(f"found '{self._peek()}', expected: identifier after ','")

    def _peek(self) -> str:
        return self._tokens[self._position]

    def _take(self) -> str:
        found = self._tokens[self._position]
        self._position += 1
        return found

    def _requirement(self) -> Requirement:
        negated = self._peek() == "!"
        if negated:
            self._take()
        key = self._take()
        if not _is_word(key):
            _expected(key, ", expected: identifier")
        if errors := validate_label_key(key):
            raise _RequirementError(invalid("<nil>", key, "; ".join(errors)))
        if negated:
            return Requirement(key, Operator.DOES_NOT_EXIST)
        if self._peek() in (_END, ","):
            return Requirement(key, Operator.EXISTS)
        found = self._take()
        operator = _BINARY_OPERATORS.get(found)
        if operator is None:
            _expected(found, f", expected: {_OPERATOR_NAMES}")
        values = self._values() if operator in (Operator.IN, Operator.NOT_IN) else (self._value(),)
        _validate(key, operator, values)
        return Requirement(key, operator, values)

    def _value(self) -> str:
        if self._peek() in (_END, ","):
            return ""
        found = self._take()
        if not _is_word(found):
            _expected(found, ", expected: identifier")
        return found

    def _values(self) -> tuple[str, ...]:
        """Read a list in parentheses, sorted; nothing between two of its marks is the empty value."""
        found = self._take()
        if found != "(":
            _expected(found, " expected: '('")
        if self._peek() not in (",", ")") and not _is_word(self._peek()):
            _expected(self._peek(), ", expected: ',', ')' or identifier")
        values: set[str] = set()
        after = "("
        while after != ")":
            if self._peek() in (",", ")"):
                values.add("")
            elif _is_word(self._peek()):
                values.add(self._take())
                if self._peek() not in (",", ")"):
                    _expected(self._peek(), ", expected: ',' or ')'")
            else:
                _expected(self._peek(), ", expected: ',', or identifier")
            after = self._take()
        return tuple(sorted(values))


@lru_cache(maxsize=_CACHED_TEXTS)
def _parse_cached(text: str) -> Selector:
    return _Parser(text).selector()


def _is_word(token: str) -> bool:
    return token != _END and token not in _SYMBOLS


def _expected(found: str, expected: str) -> NoReturn:
    raise _RequirementError(f"found '{found}'{expected}")


def _validate(key: str, operator: Operator, values: Iterable[str]) -> None:
    """Refuse values that no label can have; faults are told up to a number of them, several in brackets."""
    faults: list[str] = []
    for index, value in enumerate(values):
        if len(faults) >= _MOST_FAULTS:
            # Each is a sentence: a line of eight kilobytes has room for thousands.
            faults.append("and so on")
            break
        if operator in (Operator.GREATER_THAN, Operator.LESS_THAN) and _int64(value) is None:
            faults.append(invalid(f"values[{index}]", value, _MUST_BE_INTEGER))
        if errors := validate_label_value(value):
            faults.append(invalid(f"values[{index}][{key}]", value, "; ".join(errors)))
    if faults:
        raise _RequirementError(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


# Upstream tells all of them.
_MOST_FAULTS: Final = 16
_INTEGER: Final = re.compile(r"([-+]?)0*([0-9]{1,19})")


def _int64(text: str | None) -> int | None:
    if text is None or not (written := _INTEGER.fullmatch(text)):
        return None
    number = int(written[1] + written[2])
    return number if -(2**63) <= number < 2**63 else None
