"""Selectors against upstream's recorded vectors, and the laws that hold for all of them."""

import json
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.model.labels import validate_label_key, validate_label_value
from metrics_apiserver.model.selectors import (
    EVERYTHING,
    LabelSelector,
    LabelSelectorRequirement,
    Operator,
    Requirement,
    Selector,
    SelectorError,
    parse,
    parse_labels,
)

_RECORDED = json.loads((Path(__file__).parents[1] / "conformance" / "vectors.json").read_text("utf-8"))
LABEL_SETS = _RECORDED["label_sets"]
GOOD = [vector for vector in _RECORDED["selectors"] if "error" not in vector]
BAD = [vector for vector in _RECORDED["selectors"] if "error" in vector]

NOT_A_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
    " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
NOT_A_NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
NOT_A_PREFIX = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and"
    " must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def wire(selector: LabelSelector) -> dict:
    """Write the object form as JSON has it: what is empty is left out."""
    expressions = [
        {"key": expression.key, "operator": expression.operator}
        | ({"values": list(expression.values)} if expression.values else {})
        for expression in selector.match_expressions
    ]
    labels = {"matchLabels": dict(selector.match_labels)} if selector.match_labels else {}
    return labels | ({"matchExpressions": expressions} if expressions else {})


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: repr(vector["in"]))
def test_prints_the_canonical_text_of_the_vector(vector):
    assert str(parse(vector["in"])) == vector["out"]


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: repr(vector["in"]))
def test_matches_the_label_sets_of_the_vector(vector):
    selector = parse(vector["in"])
    assert [selector.matches(labels) for labels in LABEL_SETS] == vector["matches"]


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: repr(vector["in"]))
def test_refuses_with_the_sentence_of_the_vector(vector):
    with pytest.raises(SelectorError) as refused:
        parse(vector["in"])
    assert str(refused.value) == vector["error"]


@pytest.mark.parametrize(
    "vector", [v for v in GOOD if isinstance(v["labelSelector"], dict)], ids=lambda vector: repr(vector["in"])
)
def test_converts_to_the_object_of_the_vector(vector):
    assert wire(parse(vector["in"]).to_label_selector()) == vector["labelSelector"]


@pytest.mark.parametrize(
    "vector", [v for v in GOOD if "isn't supported" in v["labelSelector"]], ids=lambda vector: repr(vector["in"])
)
def test_comparisons_have_no_object_form(vector):
    with pytest.raises(SelectorError) as refused:
        parse(vector["in"]).to_label_selector()
    assert f"error: {refused.value}" == vector["labelSelector"]


@pytest.mark.parametrize(
    "vector", [v for v in GOOD if "is not a valid" in v["labelSelector"]], ids=lambda vector: repr(vector["in"])
)
def test_inequality_converts_to_notin_of_one_value_unlike_upstream(vector):
    key, value = vector["in"].split("!=")
    expected = LabelSelector(match_expressions=(LabelSelectorRequirement(key, "NotIn", (value,)),))
    assert parse(vector["in"]).to_label_selector() == expected


def test_every_vector_of_the_object_form_is_tested():
    errors = [vector["labelSelector"] for vector in GOOD if not isinstance(vector["labelSelector"], dict)]
    assert all("isn't supported" in error or "is not a valid" in error for error in errors)


# Upstream's answers, taken from its parser (apimachinery 0.36.3) and not in the vectors.
@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("app in ()", "app in ()"),
        ("app in (a,,b)", "app in (,a,b)"),
        ("app notin (,a)", "app notin (,a)"),
        ("notin in (in,notin)", "notin in (in,notin)"),
        ("a=in", "a=in"),
        (" \t\r\n", ""),
        ("n>05", "n>05"),
        ("b,!a,c!=d", "!a,b,c!=d"),
    ],
)
def test_reads_what_no_vector_shows(text, canonical):
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in (,=", "unable to parse requirement: found '=', expected: ',', or identifier"),
        ("a in (b,", "unable to parse requirement: found '', expected: ',', or identifier"),
        ("a)", "unable to parse requirement: found ')', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b,=", "found '=', expected: identifier after ','"),
        (
            "a in (*,-x,b)",
            f'unable to parse requirement: [values[0][a]: Invalid value: "*": {NOT_A_VALUE},'
            f' values[1][a]: Invalid value: "-x": {NOT_A_VALUE}]',
        ),
        (
            "n>5/5",
            "unable to parse requirement: [values[0]: Invalid value: \"5/5\": for 'Gt', 'Lt' operators, the value must"
            f' be an integer, values[0][n]: Invalid value: "5/5": {NOT_A_VALUE}]',
        ),
        ("A/b=c", f'unable to parse requirement: <nil>: Invalid value: "A/b": {NOT_A_PREFIX}'),
        (
            "a/",
            f'unable to parse requirement: <nil>: Invalid value: "a/": name part must be non-empty; {NOT_A_NAME}',
        ),
        (
            'a=\\\x00\x7f\x0b"\u200bé\U000e0001',
            f'unable to parse requirement: values[0][a]: Invalid value: "\\\\\\x00\\x7f\\v\\"\\u200bé\\U000e0001":'
            f" {NOT_A_VALUE}",
        ),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_refuses_in_upstreams_words(text, sentence):
    with pytest.raises(SelectorError) as refused:
        parse(text)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("selector", "label", "expected"),
    [
        ("n>3", "+4", True),
        ("n>3", "-4", False),
        ("n<3", "-4", True),
        ("n>3", "0000000000000000000000000000004", True),
        ("n>3", "9223372036854775807", True),
        ("n>3", "9223372036854775808", False),
        ("n>3", "4.0", False),
        ("n>3", "٤", False),
        ("n>3", "4_0", False),
        ("n>3", "4\n", False),
        ("n>3", "9" * 10_000, False),
        ("n>3", "", False),
        ("n<3", "3", False),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_compares_labels_that_are_64_bit_integers(selector, label, expected):
    assert parse(selector).matches({"n": label}) is expected


def test_everything_is_the_selector_of_no_text():
    assert parse("") == EVERYTHING == Selector()
    assert EVERYTHING.empty
    assert EVERYTHING.matches({"any": "thing"})
    assert EVERYTHING.to_label_selector() == LabelSelector()
    assert not parse("app").empty


def test_refuses_a_text_longer_than_any_request():
    with pytest.raises(SelectorError, match="selector is too long: 65537 characters, at most 65536 are read"):
        parse("a" * 65537)
    with pytest.raises(SelectorError, match="selector is too long"):
        parse_labels("a" * 65537)


def test_reads_a_long_list():
    values = [f"v{number}" for number in range(9000)]
    selector = parse(f"app in ({','.join(values)})")
    assert selector.matches({"app": "v8999"})
    assert not selector.matches({"app": "v9000"})
    assert selector.requirements[0].values == tuple(sorted(values))


@pytest.mark.parametrize("unit", ["(", "a", "!", ",", "a.", "a,", "=", " ", "a-", "é"])
def test_a_long_text_of_one_mark_is_judged_in_linear_time(unit):
    text = (unit * 65536)[:65536]
    for key in (text, f"a in ({text}"[:65536], f"{text[:-2]}/!"):
        try:
            parse(key)
        except SelectorError as error:
            assert str(error)  # noqa: PT017 - both outcomes are right


def test_is_frozen_and_hashable():
    selector = parse("app in (web,db),tier!=x")
    assert {selector, parse("tier!=x,app in (db,web,db)")} == {selector}
    assert hash(selector.to_label_selector()) == hash(selector.to_label_selector())
    with pytest.raises(FrozenInstanceError):
        selector.requirements = ()
    assert pickle.loads(pickle.dumps(selector)) == selector  # noqa: S301 - our own bytes


def test_a_conversion_is_not_shared_with_the_next():
    first = parse("app=web").to_label_selector()
    assert first.match_labels is not parse("app=web").to_label_selector().match_labels


def test_requirements_and_their_values_are_put_in_order():
    last = Requirement("b", Operator.IN, ("y", "x", "y"))
    first = Requirement("a", Operator.EXISTS)
    assert Selector((last, first)).requirements == (first, last)
    assert last.values == ("x", "y")


@pytest.mark.parametrize(
    "key", ["app", "a", "A.b_c-d", "x.y.z/app", "a" * 63, "a" * 253 + "/b", "1", "kubernetes.io/os"]
)
def test_accepts_label_keys(key):
    assert validate_label_key(key) == []


@pytest.mark.parametrize(
    ("key", "errors"),
    [
        ("", ["name part must be non-empty", NOT_A_NAME]),
        ("a\n", [NOT_A_NAME]),
        ("/", ["prefix part must be non-empty", "name part must be non-empty", NOT_A_NAME]),
        ("-" * 64, ["name part must be no more than 63 bytes", NOT_A_NAME]),
        ("é" * 32, ["name part must be no more than 63 bytes", NOT_A_NAME]),
        ("a" * 254 + "/b", ["prefix part must be no more than 253 bytes"]),
        ("a..b/c", [NOT_A_PREFIX]),
    ],
    ids=lambda value: repr(value[:10]),
)
def test_says_all_that_is_wrong_with_a_label_key(key, errors):
    assert validate_label_key(key) == errors


@pytest.mark.parametrize(
    ("value", "errors"),
    [
        ("", []),
        ("a" * 63, []),
        ("a" * 64, ["must be no more than 63 bytes"]),
        ("a\n", [NOT_A_VALUE]),
        ("-" * 64, ["must be no more than 63 bytes", NOT_A_VALUE]),
        ("\udcff", [NOT_A_VALUE]),
    ],
    ids=lambda value: repr(value[:10]),
)
def test_says_all_that_is_wrong_with_a_label_value(value, errors):
    assert validate_label_value(value) == errors


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        (" a = b , x.y/c = ", {"a": "b", "x.y/c": ""}),
        ("a=1,a=2", {"a": "2"}),
    ],
)
def test_reads_labels(text, labels):
    assert parse_labels(text) == labels


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a", "invalid selector: [a]"),
        ("a=b,", "invalid selector: []"),
        ("a==b", "invalid selector: [a  b]"),
        ("a=b=c", "invalid selector: [a b c]"),
        ("/a=b", '<nil>: Invalid value: "/a": prefix part must be non-empty'),
        ("a=-", f'[a]: Invalid value: "-": {NOT_A_VALUE}'),
    ],
)
def test_refuses_what_is_not_labels(text, sentence):
    with pytest.raises(SelectorError) as refused:
        parse_labels(text)
    assert str(refused.value) == sentence


KEYS = ["app", "in", "notin", "x.y/app", "n"]
VALUES = ["", "web", "in", "db", "5", "-", "7"]
keys = st.sampled_from(KEYS)
words = st.sampled_from([value for value in VALUES if value != "-"])
conditions = st.one_of(
    st.tuples(keys, st.sampled_from(["exists", "!"]), st.just([])),
    st.tuples(keys, st.sampled_from(["=", "==", "!="]), st.lists(words, min_size=1, max_size=1)),
    st.tuples(keys, st.sampled_from(["in", "notin"]), st.lists(words, min_size=1, max_size=4)),
    st.tuples(keys, st.sampled_from([">", "<"]), st.lists(st.integers(0, 9).map(str), min_size=1, max_size=1)),
)
label_sets = st.dictionaries(keys, st.sampled_from(VALUES))


def written(condition: tuple[str, str, list[str]], space: str) -> str:
    key, operator, values = condition
    if operator == "exists":
        return key
    if operator == "!":
        return f"!{space}{key}"
    if operator in ("in", "notin"):
        return f"{key} {operator}{space}({space}{f'{space},{space}'.join(values)})"
    return f"{key}{space}{operator}{space}{values[0]}"


def holds(condition: tuple[str, str, list[str]], labels: dict[str, str]) -> bool:
    """Evaluate a condition by other means than the code under test."""
    key, operator, values = condition
    if operator in ("!", "!=", "notin"):
        return key not in labels or (operator != "!" and labels[key] not in values)
    if key not in labels:
        return False
    if operator in (">", "<"):
        label = labels[key]
        return label.isdigit() and (int(label) > int(values[0]) if operator == ">" else int(label) < int(values[0]))
    return operator == "exists" or labels[key] in values


@given(st.lists(conditions, max_size=5), label_sets, st.sampled_from(["", " ", "\n\t"]))
def test_matches_exactly_where_every_condition_holds(given_conditions, labels, space):
    selector = parse(",".join(written(condition, space) for condition in given_conditions))
    assert selector.matches(labels) == all(holds(condition, labels) for condition in given_conditions)


@given(st.lists(conditions, max_size=5))
def test_what_is_printed_reads_back(given_conditions):
    selector = parse(",".join(written(condition, "") for condition in given_conditions))
    assert parse(str(selector)) == selector


@given(st.text("ab=!<>(),/-. \n5é", max_size=20) | st.text())
def test_arbitrary_text_is_read_or_refused(text):
    for read in (parse, parse_labels):
        try:
            read(text)
        except SelectorError as error:
            assert str(error)  # noqa: PT017 - both outcomes are right


@given(st.text("ab=!<>(), in5", max_size=20))
def test_whatever_is_read_prints_what_reads_back(text):
    try:
        selector = parse(text)
    except SelectorError:
        return
    assert parse(str(selector)) == selector


def test_message_about_many_wrong_values_is_as_long_as_a_few_sentences() -> None:
    """A line of eight kilobytes must not be answered with half a megabyte."""
    values = ",".join(chr(0x4E00 + number) for number in range(2000))
    with pytest.raises(SelectorError) as caught:
        parse(f"a in ({values})")
    assert len(str(caught.value)) < 8_000
    assert str(caught.value).count("Invalid value") == 16
    assert str(caught.value).endswith(", and so on]")
