"""Field selectors, in the grammar and the words of apimachinery's `fields.ParseSelector`."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.model.field_selectors import FieldSelectorError, FieldTerm, parse


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(",,", [], id="nothing between commas"),
        pytest.param("a=b", [("a", "=", "b")], id="one term"),
        pytest.param("a==b,c!=d", [("a", "==", "b"), ("c", "!=", "d")], id="every operator"),
        pytest.param("a=", [("a", "=", "")], id="an empty value"),
        pytest.param("=b", [("", "=", "b")], id="an empty field"),
        pytest.param("a!b=c", [("a!b", "=", "c")], id="a mark that is no operator"),
        pytest.param(r"a=b\,c\=d\\e", [("a", "=", r"b,c=d\e")], id="escapes"),
        pytest.param("a=!b", [("a", "=", "!b")], id="a mark in a value"),
        pytest.param("a=b\nc", [("a", "=", "b\nc")], id="a line's end in a value"),
    ],
)
def test_terms(text: str, terms: list[tuple[str, str, str]]) -> None:
    assert parse(text) == [FieldTerm(*term) for term in terms]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("a", "invalid selector: 'a'; can't understand 'a'", id="no operator"),
        pytest.param("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'", id="no operator in the second"),
        pytest.param("a=b=c", "invalid field selector: unescaped character in value: 61", id="an equals sign"),
        pytest.param(r"a=b\c", r"invalid field selector: invalid escape sequence: \c", id="an escape of nothing"),
        pytest.param("a=b\\", "invalid field selector: invalid escape sequence: \\", id="half an escape"),
    ],
)
def test_what_is_no_field_selector(text: str, sentence: str) -> None:
    with pytest.raises(FieldSelectorError) as caught:
        parse(text)
    assert str(caught.value) == sentence


@given(st.lists(st.tuples(st.text(st.characters(exclude_characters="=!,\\"), min_size=1), st.text()), max_size=5))
def test_what_is_escaped_is_read_as_it_was(pairs: list[tuple[str, str]]) -> None:
    escaped = {ord(special): f"\\{special}" for special in "\\,="}
    text = ",".join(f"{field}={value.translate(escaped)}" for field, value in pairs)
    assert parse(text) == [FieldTerm(field, "=", value) for field, value in pairs]


@given(st.text(st.sampled_from("ab=!,\\ \n")))
def test_whatever_the_text_is_it_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(FieldSelectorError):
        assert all(term.operator in ("=", "==", "!=") for term in parse(text))
