"""Numbers as Kubernetes writes them: ``1500m``, ``64Mi``, ``12e6``.

A quantity is kept as a whole number of billionths (the finest step there is) and the family of suffixes it is written
with, so that reading, comparing and printing are exact integer arithmetic and depend on no decimal context.
"""

import math
import re
from decimal import ROUND_UP, Context, Decimal
from enum import Enum
from functools import total_ordering
from typing import Final, Self

__all__ = ["Format", "NotFiniteError", "Quantity", "QuantityError"]

# Every finite float fits (they end below 1.8e308), and what we print of it can be read back: it stays below _MAX_TEXT.
_MAX_DIGITS: Final = 400
# Longer than anything we print, and below 640 digits, the lowest limit that Python can be given for reading integers.
_MAX_TEXT: Final = 512

_NANO_DIGITS: Final = 9
_NANO: Final = 10**_NANO_DIGITS
_MILLI: Final = 10**6
_MICRO: Final = 10**3
_LIMIT: Final = 10 ** (_MAX_DIGITS + _NANO_DIGITS)
_INT64_MAX: Final = 2**63 - 1

_SHAPE: Final = re.compile(r"([-+]?)([0-9]*+)(?:\.([0-9]*+))?([eEinumkKMGTP]*+[-+]?[0-9]*+)")
_EXPONENT: Final = re.compile(r"[eE]([-+]?[0-9]+)")
_DECIMAL_SUFFIXES: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIXES: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}

_WRONG_FORMAT: Final = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"  # as upstream says it
)
# As Python, Go and Prometheus write them.
_NOT_FINITE: Final = frozenset({"nan", "inf", "infinity"})
_WRONG_SUFFIX: Final = "unable to parse quantity's suffix"
_TOO_LARGE: Final = f"quantity is too large: its magnitude must be below 1e{_MAX_DIGITS}"

# All digits that a quantity can have fit, nothing traps, and whatever is cut off rounds away from zero.
_CONTEXT: Final = Context(
    prec=_MAX_DIGITS + 2 * _NANO_DIGITS,
    rounding=ROUND_UP,
    Emin=-9999,
    Emax=9999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[],
)
_ONE_NANO: Final = Decimal((0, (1,), -_NANO_DIGITS))


class QuantityError(ValueError):
    """What was given is not a quantity; the text says why."""


class NotFiniteError(QuantityError):
    """What was given is NaN or infinite: how most backends say that there is no sample."""


class Format(Enum):
    """The family of suffixes a quantity is written with."""

    DECIMAL_SI = "DecimalSI"
    """``n u m``, none, ``k M G T P E``."""
    BINARY_SI = "BinarySI"
    """``Ki Mi Gi Ti Pi Ei``; values below 1024 and fractions are written as DECIMAL_SI."""
    DECIMAL_EXPONENT = "DecimalExponent"
    """``e3``, ``e-6``: a multiple of three."""


@total_ordering
class Quantity:
    """An exact, immutable number with nine decimals; equal, ordered and hashed by value (``1k`` is ``1000``).

    ``str`` gives the canonical text: no fraction, and the largest suffix that allows it.
    """

    __slots__ = ("_format", "_nano", "_text")

    def __init__(self, nano: int, family: Format = Format.DECIMAL_SI) -> None:
        """Take a number of billionths; ``of`` and the ``from_`` methods take what people count in."""
        if not -_LIMIT < nano < _LIMIT:
            raise QuantityError(_TOO_LARGE)
        self._nano = nano
        self._format = family
        self._text: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a quantity; what is finer than a billionth rounds away from zero, as in Kubernetes.

        No digits at all mean zero (``m`` is 0), and binary suffixes saturate at the largest int64: both are upstream's.
        """
        if len(text) > _MAX_TEXT:
            raise QuantityError(f"quantity is too long: {len(text)} characters, at most {_MAX_TEXT} are read")
        # Nearly all that arrives is a plain integer or milli; both also fit the general way below.
        if text.isascii():
            if text.isdecimal():
                return cls(int(text) * _NANO)
            if text[-1:] == "m" and text[:-1].isdecimal():
                return cls(int(text[:-1]) * _MILLI)
        return cls(*_read(text))

    @classmethod
    def of(cls, value: "int | float | Decimal | str | Quantity") -> "Quantity":
        """Make a quantity of whatever a provider has at hand."""
        if isinstance(value, Quantity):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, bool):
            raise TypeError("a quantity is a number, not a bool")
        if isinstance(value, int):
            return cls.from_int(value)
        if isinstance(value, float):
            return cls.from_float(value)
        if isinstance(value, Decimal):
            return cls.from_decimal(value)
        raise TypeError(f"a quantity is made of int, float, Decimal, str or Quantity, not {type(value).__name__}")

    @classmethod
    def from_int(cls, value: int) -> Self:
        """Count in ones."""
        return cls(value * _NANO)

    @classmethod
    def from_milli(cls, value: int) -> Self:
        """Count in thousandths."""
        return cls(value * _MILLI)

    @classmethod
    def from_float(cls, value: float) -> Self:
        """Take the float by its shortest text, so that 0.1 is ``100m`` and not the 55 digits of its binary value."""
        if isinstance(value, int):
            return cls.from_int(value)
        if not math.isfinite(value):
            raise NotFiniteError(f"{float(value)} is not a quantity: it must be a finite number")
        # Integers this small are exact and print as themselves.
        if -(2**53) < value < 2**53 and value == (whole := int(value)):
            return cls(whole * _NANO)
        # Not repr(): a subclass (numpy's) may print its type's name.
        return cls.from_decimal(Decimal(float.__repr__(value)))

    @classmethod
    def from_decimal(cls, value: Decimal) -> Self:
        """Take the exact value, rounded away from zero at a billionth."""
        if not value.is_finite():
            raise NotFiniteError(f"{value} is not a quantity: it must be a finite number")
        if not value:
            return cls(0)
        # Before any arithmetic: 1E+999999999 is short, its digits are not.
        if value.adjusted() >= _MAX_DIGITS:
            raise QuantityError(_TOO_LARGE)
        return cls(int(_CONTEXT.scaleb(_CONTEXT.quantize(value, _ONE_NANO), _NANO_DIGITS)))

    @property
    def format(self) -> Format:
        """The family of suffixes this one is written with."""
        return self._format

    @property
    def value(self) -> Decimal:
        """The exact number, without trailing zeros after the point."""
        whole, rest = divmod(self._nano, _NANO)
        if not rest:
            return Decimal(whole)
        return _CONTEXT.normalize(_CONTEXT.scaleb(Decimal(self._nano), -_NANO_DIGITS))

    def as_plain_decimal(self) -> str:
        """Return the exact number as text without suffix or exponent: ``1.5``, ``0.000000001``."""
        return f"{self.value:f}"

    def milli_value(self) -> int:
        """Return the number of thousandths, rounded away from zero."""
        return _divide_up(self._nano, _MILLI)

    def __str__(self) -> str:
        if self._text is None:
            self._text = _write(self._nano, self._format)
        return self._text

    def __repr__(self) -> str:
        return f"Quantity.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quantity):
            return NotImplemented
        return self._nano == other._nano

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Quantity):
            return NotImplemented
        return self._nano < other._nano

    def __hash__(self) -> int:
        return hash(self._nano)


def _read(text: str) -> tuple[int, Format]:
    shape = _SHAPE.fullmatch(text)
    if shape is None or not text:
        raise (NotFiniteError if text.lstrip("+-").lower() in _NOT_FINITE else QuantityError)(_WRONG_FORMAT)
    sign, whole, fraction, suffix = shape.groups("")
    family, exponent = _interpret(suffix)
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0, family
    if family is Format.BINARY_SI:
        shifted = (int(digits) << exponent) * _NANO
        nano = min(_divide_up(shifted, 10 ** len(fraction)), _INT64_MAX * _NANO)
    else:
        nano = _scale(digits, exponent - len(fraction))
    return (-nano if sign == "-" else nano), family


def _interpret(suffix: str) -> tuple[Format, int]:
    """Return the family of a suffix and its exponent, of two in the binary family and of ten in the others."""
    if (exponent := _DECIMAL_SUFFIXES.get(suffix)) is not None:
        return Format.DECIMAL_SI, exponent
    if (exponent := _BINARY_SUFFIXES.get(suffix)) is not None:
        return Format.BINARY_SI, exponent
    if written := _EXPONENT.fullmatch(suffix):
        return Format.DECIMAL_EXPONENT, int(written[1])
    raise QuantityError(_WRONG_SUFFIX)


def _scale(digits: str, exponent: int) -> int:
    """Return digits times ten to the exponent in billionths; sizes are judged before a power is computed."""
    if len(digits) + exponent > _MAX_DIGITS:
        raise QuantityError(_TOO_LARGE)
    exponent += _NANO_DIGITS
    if exponent >= 0:
        return int(digits + "0" * exponent)
    if len(digits) + exponent <= 0:
        return 1
    return _divide_up(int(digits), int("1" + "0" * -exponent))


def _divide_up(number: int, divisor: int) -> int:
    """Divide, rounding away from zero."""
    return -(-number // divisor) if number >= 0 else number // divisor


def _write(nano: int, family: Format) -> str:
    if family is Format.DECIMAL_EXPONENT:
        return _write_exponent(nano)
    whole, rest = divmod(nano, _NANO)
    if rest:
        return _write_fraction(nano)
    # Above int64 a binary text would be capped when it is read back.
    if family is Format.BINARY_SI and 1024 <= abs(whole) <= _INT64_MAX:
        return _write_whole(whole, 1024, _BINARY_SUFFIXES)
    return _write_whole(whole, 1000, "kMGTPE")


def _write_whole(whole: int, step: int, suffixes: str | dict[str, int]) -> str:
    chosen = ""
    if whole:
        for suffix in suffixes:
            quotient, rest = divmod(whole, step)
            if rest:
                break
            whole, chosen = quotient, suffix
    return f"{whole}{chosen}"


def _write_fraction(nano: int) -> str:
    if not nano % _MILLI:
        return f"{nano // _MILLI}m"
    if not nano % _MICRO:
        return f"{nano // _MICRO}u"
    return f"{nano}n"


def _write_exponent(nano: int) -> str:
    if not nano:
        return "0"
    exponent = -_NANO_DIGITS
    while not nano % 1000:
        nano //= 1000
        exponent += 3
    return f"{nano}e{exponent}" if exponent else str(nano)
