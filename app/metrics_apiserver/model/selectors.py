"""Label selectors read from text.

The grammar and every sentence of an error are upstream's, since clients and logs know them.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NoReturn

from metrics_apiserver.model.label_selectors import (
    EVERYTHING,
    LabelSelector,
    LabelSelectorOperator,
    LabelSelectorRequirement,
    Operator,
    Requirement,
    Selector,
    SelectorError,
    int64,
)
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
        if operator in (Operator.GREATER_THAN, Operator.LESS_THAN) and int64(value) is None:
            faults.append(invalid(f"values[{index}]", value, _MUST_BE_INTEGER))
        if errors := validate_label_value(value):
            faults.append(invalid(f"values[{index}][{key}]", value, "; ".join(errors)))
    if faults:
        raise _RequirementError(faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")


# Upstream tells all of them.
_MOST_FAULTS: Final = 16
