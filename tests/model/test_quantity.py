"""Quantities against upstream's recorded vectors, and the laws that hold for all of them."""

import copy
import json
import math
import pickle
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.model.quantity import Format, NotFiniteError, Quantity, QuantityError

VECTORS = json.loads((Path(__file__).parents[1] / "conformance" / "vectors.json").read_text("utf-8"))["quantities"]
GOOD = [vector for vector in VECTORS if "error" not in vector]
BAD = [vector for vector in VECTORS if "error" in vector]

TOO_LARGE = "quantity is too large: its magnitude must be below 1e400"
LARGEST = 10**409 - 1  # in billionths


def made_from(text: str) -> Quantity:
    """Make what a vector's `in` describes."""
    kind, colon, number = text.partition(":")
    if not colon:
        return Quantity.parse(text)
    return {"milli": Quantity.from_milli, "whole": Quantity.from_int}[kind](int(number))


def exact(text: str) -> Fraction:
    """Compute the value by other means than the code under test."""
    powers = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
    if text.endswith("i"):
        return Fraction(text[:-2]) * 1024 ** ("KMGTPE".index(text[-2]) + 1)
    if text[-1] in powers:
        return Fraction(text[:-1]) * Fraction(10) ** powers[text[-1]]
    return Fraction(text)


def away_from_zero(number: Fraction) -> int:
    return math.ceil(number) if number >= 0 else math.floor(number)


suffixes = st.sampled_from(["", *"numkMGTPE", "Ki", "Mi", "Gi", "Ti", "e3", "E-4", "e+12", "e-20"])
numbers = st.decimals(-(10**9), 10**9, allow_nan=False, places=4)
texts = st.builds("{:f}{}".format, numbers, suffixes)
any_quantity = st.builds(
    Quantity,
    st.one_of(
        st.integers(-LARGEST, LARGEST),
        st.builds(lambda mantissa, power: mantissa * 10**power, st.integers(-(10**6), 10**6), st.integers(0, 60)),
        st.builds(lambda mantissa, power: mantissa * 2**power * 10**9, st.integers(-2000, 2000), st.integers(0, 70)),
    ),
    st.sampled_from(Format),
)


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: repr(vector["in"]))
def test_prints_the_canonical_text_of_the_vector(vector):
    assert str(made_from(vector["in"])) == vector["canonical"]


@pytest.mark.parametrize("vector", [v for v in GOOD if "milli" in v], ids=lambda vector: repr(vector["in"]))
def test_counts_the_thousandths_of_the_vector(vector):
    assert made_from(vector["in"]).milli_value() == vector["milli"]


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: repr(vector["in"]))
def test_refuses_with_the_sentence_of_the_vector(vector):
    with pytest.raises(QuantityError) as refused:
        Quantity.parse(vector["in"])
    assert str(refused.value) == vector["error"]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("-8Ei", "-9223372036854775807"),
        ("99999999999999999999Ki", "9223372036854775807"),
        ("-0", "0"),
        ("0e999999999", "0"),
        ("0.0001Ki", "102400u"),
        ("-512Ki", "-512Ki"),
        ("1e-999999999", "1e-9"),
        ("-1e-999999999", "-1e-9"),
        ("1000000E", "1000000E"),
        ("1e399", "1e399"),
        ("9" * 400, "9" * 400),
        ("0." + "0" * 500 + "1", "1n"),
        ("000" + "1".rjust(400, "0"), "1"),
        ("+", "0"),
        (".", "0"),
        ("Ei", "0"),
    ],
    ids=lambda value: value[:24],
)
def test_reads_what_no_vector_shows(text, canonical):
    assert str(Quantity.parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ["1e400", "1e999999999", "-1E999999999999999999999", "9" * 401, "9" * 400 + ".9999999999", "1e" + "9" * 500],
    ids=lambda text: text[:24],
)
def test_refuses_a_magnitude_that_would_cost_memory(text):
    with pytest.raises(QuantityError, match="quantity is too large"):
        Quantity.parse(text)


def test_refuses_a_text_longer_than_any_number():
    with pytest.raises(QuantityError, match="quantity is too long: 10000000 characters, at most 512 are read"):
        Quantity.parse("1" * 10_000_000)


@pytest.mark.parametrize(
    "text", ["1e", "1e+", "1E-", "1ee3", "1k5", "1ki", "1-5", "1.5kk", "1iK"], ids=lambda text: text
)
def test_refuses_a_suffix_of_no_family(text):
    with pytest.raises(QuantityError) as refused:
        Quantity.parse(text)
    assert str(refused.value) == "unable to parse quantity's suffix"


@pytest.mark.parametrize("text", ["١", "1\n", "m\n", "²", "１", "1\x00", "0x10", "1_000"], ids=repr)
def test_refuses_what_only_python_takes_for_digits(text):
    with pytest.raises(QuantityError, match="quantities must match"):
        Quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("5", Format.DECIMAL_SI),
        ("5m", Format.DECIMAL_SI),
        ("5Gi", Format.BINARY_SI),
        ("5e3", Format.DECIMAL_EXPONENT),
        ("5E", Format.DECIMAL_SI),
        ("5E3", Format.DECIMAL_EXPONENT),
    ],
)
def test_remembers_the_family_of_its_suffix(text, family):
    assert Quantity.parse(text).format is family


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1000, "1k"),
        (-2500, "-2500"),
        (0.1, "100m"),
        (-0.0, "0"),
        (2.0, "2"),
        (1e23, "100000E"),
        (1e-5, "10u"),
        (5e-324, "1n"),
        (-5e-324, "-1n"),
        (Decimal("0.1"), "100m"),
        (Decimal("1E+3"), "1k"),
        (Decimal("-1.0000000001"), "-1000000001n"),
        (Decimal("0E+999999999"), "0"),
        (Decimal("1E-999999999"), "1n"),
        ("64Mi", "64Mi"),
        (Quantity.parse("64Mi"), "64Mi"),
    ],
    ids=repr,
)
def test_is_made_of_what_a_provider_has_at_hand(value, text):
    assert str(Quantity.of(value)) == text


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity")]
)
def test_refuses_what_is_not_a_number(value):
    with pytest.raises(QuantityError, match="is not a quantity: it must be a finite number"):
        Quantity.of(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("NaN", NotFiniteError, id="NaN, as Prometheus writes it"),
        pytest.param("+Inf", NotFiniteError, id="infinity, as Prometheus writes it"),
        pytest.param("-inf", NotFiniteError, id="infinity, as Python writes it"),
        pytest.param("Infinity", NotFiniteError, id="in full"),
        pytest.param("nano", QuantityError, id="a word that begins like one"),
        pytest.param("", QuantityError, id="nothing"),
    ],
)
def test_text_that_is_no_finite_number_is_told_apart(text: str, kind: type[Exception]) -> None:
    """It is no data, and any other wrong text a mistake."""
    with pytest.raises(QuantityError) as caught:
        Quantity.of(text)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "value", [Decimal("1E+999999999"), Decimal("-1E+400"), 10**400, -(10**400)], ids=lambda value: type(value).__name__
)
def test_refuses_huge_numbers_of_every_kind(value):
    with pytest.raises(QuantityError) as refused:
        Quantity.of(value)
    assert str(refused.value) == TOO_LARGE


def test_refuses_huge_thousandths():
    with pytest.raises(QuantityError, match="quantity is too large"):
        Quantity.from_milli(10**403)


@pytest.mark.parametrize("value", [True, False, None, b"1", [], 1j], ids=repr)
def test_is_not_made_of_other_types(value):
    with pytest.raises(TypeError, match="a quantity is"):
        Quantity.of(value)


def test_a_float_subclass_is_read_by_its_number_and_not_by_its_name():
    class Named(float):
        def __repr__(self) -> str:
            return "Named(0.1)"

    assert str(Quantity.of(Named(0.1))) == "100m"
    assert str(Quantity.from_float(10**30)) == "1000000000000E"


def test_equal_values_are_equal_and_hash_alike_whatever_their_suffix():
    spellings = ["1k", "1000", "1e3", "1000000m", "1000.0"]
    assert len({Quantity.parse(text) for text in spellings}) == 1
    assert Quantity.parse("1Ki") == Quantity.from_int(1024)
    assert Quantity.parse("1") != 1


def test_does_not_order_with_other_types():
    with pytest.raises(TypeError):
        assert Quantity.parse("1") < 2


def test_cannot_be_changed():
    quantity = Quantity.parse("1")
    with pytest.raises(AttributeError):
        quantity.value = Decimal(2)
    with pytest.raises(AttributeError):
        quantity.note = "mine"


def test_survives_copying_and_pickling():
    quantity = Quantity.parse("1.5Gi")
    for twin in (copy.deepcopy(quantity), pickle.loads(pickle.dumps(quantity))):  # noqa: S301 - our own bytes
        assert (twin, str(twin), twin.format) == (quantity, "1536Mi", Format.BINARY_SI)


@pytest.mark.parametrize(
    ("text", "plain"),
    [("1500m", "1.5"), ("1n", "0.000000001"), ("1Ki", "1024"), ("-2k", "-2000"), ("12e6", "12000000"), ("0", "0")],
)
def test_gives_its_number_without_suffix(text, plain):
    quantity = Quantity.parse(text)
    assert quantity.as_plain_decimal() == plain
    assert quantity.value == Decimal(plain)


def test_shows_itself_as_the_call_that_makes_it():
    assert repr(Quantity.parse("1000")) == "Quantity.parse('1k')"


def test_does_not_depend_on_the_decimal_context():
    with localcontext(prec=2, Emax=3, Emin=-3):
        quantity = Quantity.from_decimal(Decimal("123456.789012345678"))
        assert str(quantity) == "123456789012346n"
        assert quantity.value == Decimal("123456.789012346")


@given(any_quantity)
def test_what_is_printed_reads_back(quantity):
    again = Quantity.parse(str(quantity))
    assert again == quantity
    assert hash(again) == hash(quantity)
    assert Quantity.from_decimal(quantity.value) == quantity


@given(any_quantity)
def test_what_is_printed_and_read_back_prints_the_same(quantity):
    text = str(quantity)
    # A binary quantity that is no multiple of 1024 prints without suffix, as upstream's, and 5000 reads back as 5k.
    if quantity.format is Format.BINARY_SI and text[-1].isdigit():
        text = str(Quantity.parse(text))
    assert str(Quantity.parse(text)) == text


@given(texts)
def test_rounds_away_from_zero_at_a_billionth(text):
    quantity = Quantity.parse(text)
    number = exact(text)
    if not text.endswith("i") or abs(number) < 2**63:
        assert quantity.value == Decimal(away_from_zero(number * 10**9)).scaleb(-9)


@given(texts, texts)
def test_orders_as_the_exact_numbers_do(one, other):
    left, right = Quantity.parse(one), Quantity.parse(other)
    assert (left < right) == (Fraction(left.value) < Fraction(right.value))
    assert (left >= right) == (Fraction(left.value) >= Fraction(right.value))
    assert (left == right) == (Fraction(left.value) == Fraction(right.value))


@given(any_quantity)
def test_thousandths_are_rounded_away_from_zero(quantity):
    assert quantity.milli_value() == away_from_zero(Fraction(quantity.as_plain_decimal()) * 1000)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_what_its_shortest_text_says(number):
    assert Quantity.from_float(number) == Quantity.parse(repr(number))


@given(st.text("0123456789.+-eEinumkKMGTP ", max_size=12) | st.text() | texts)
def test_arbitrary_text_is_read_or_refused(text):
    try:
        quantity = Quantity.parse(text)
    except QuantityError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert Quantity.parse(str(quantity)) == quantity
