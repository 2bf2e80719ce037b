"""YAML in one stream: the library's own values, and bounds for what is absurd."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics_apiserver import yaml_values
from metrics_apiserver.yaml_values import YAMLReader, YAMLValueError
from tests.conftest import environ


def read(text: str) -> Any:
    return YAMLReader(text).document()[1]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("---\n", id="an empty document"),
        pytest.param("a: 1\nb: [1.5, 0x1F, 0o7, 1_000, 1e3, .inf, 1:30]\n", id="numbers as YAML 1.1 has them"),
        pytest.param("a: [yes, No, on, true, ~, null, '']\n", id="words that mean something"),
        pytest.param("a: ['yes', \"1\", !!str 1, !!int '1', !!float 1]\n", id="texts that do not, and tags"),
        pytest.param("a: 2026-11-21T12:00:00Z\nb: 2026-11-21\n", id="times"),
        pytest.param("a: |\n x\n  y\nb: >\n x\n y\n", id="block texts"),
        pytest.param("{a: {b: {c: []}}, d: {}, 1: x, null: y, true: z}", id="braces, and keys that are no text"),
        pytest.param("a: &x {b: 1}\nc: *x\nd: [*x, *x]\n", id="aliases"),
        pytest.param("a: &x 1\n*x : b\n", id="an alias as a key"),
        pytest.param("a: &x {b: 1, c: 1}\nd: {c: 2, <<: *x}\n", id="a merge"),
        pytest.param("a: &x {b: 1}\nc: &y {b: 2, d: 2}\ne: {<<: [*x, *y], f: 1}\n", id="merges, the first counts most"),
        pytest.param("a: &x {b: 1}\nc: &y {<<: *x, d: 1}\ne: {<<: *y}\n", id="a merge of a merge"),
        pytest.param("a: &x {b: 1}\nc: {<<: *x, <<: {b: 2}}\n", id="two merges"),
        pytest.param("a: !!binary aGVsbG8=\n", id="bytes"),
        pytest.param("!!map {a: !!seq [1]}\n", id="tags of what it is anyway"),
    ],
)
def test_values_are_those_of_the_library(text: str) -> None:
    found, expected = read(text), yaml.safe_load(text)
    assert (found, repr(found)) == (expected, repr(expected))


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)


@settings(deadline=None, max_examples=50)
@given(
    st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=30)
)
def test_what_the_library_writes_is_read(value: Any) -> None:
    for style in (True, False):
        text = yaml.safe_dump(value, default_flow_style=style, allow_unicode=True)
        assert read(text) == yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe


def levels(first: str, level: Callable[[int], str], count: int = 12) -> str:
    return "\n".join([first, *(level(number) for number in range(1, count))])


BOMBS = {
    "lists": levels("a0: &a0 [x]", lambda n: f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]"),
    "mappings": levels(
        "a0: &a0 {x: y}", lambda n: f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(10))}}}"
    ),
    "items of a list": levels("- &a0 [x]", lambda n: f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]"),
    "two by two": levels("a0: &a0 [x]", lambda n: f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]", 40),
    "merges": "a: &a {" + ", ".join(f"k{n}: 1" for n in range(2000)) + "}\nb:\n" + "- {<<: *a}\n" * 200,
    "many of one": "a: &a [" + "1, " * 2000 + "1]\nb: [" + "*a, " * 200 + "*a]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_aliases_that_stand_for_too_much_are_refused(name: str) -> None:
    """A thousand million laughs: they are written in a line or ten."""
    with pytest.raises(YAMLValueError, match=r"aliases stand for more than 100,000 values"):
        read(BOMBS[name])


ABSURD = {
    "brackets without an end": ("[" * 100_000, "it is nested in more than 100 levels"),
    "braces": ("{a: " * 101, "it is nested in more than 100 levels"),
    "dashes": ("- " * 101 + "x", "it is nested in more than 100 levels"),
    "indents": ("\n".join(f"{' ' * n}a:" for n in range(102)), "it is nested in more than 100 levels"),
    "an alias inside of itself": ("a: &a [*a]", "found an alias inside of what it stands for"),
    "a mapping inside of itself": ("a: &a {<<: *a}", "found an alias inside of what it stands for"),
    "a list as a key": ("? [a]\n: b", "a key is a text or a number"),
    "a merge of a text": ("a: {<<: b}", "expected a mapping or list of mappings for merging"),
    "a tag that makes an object": ("!!python/object:os.system {}", "could not determine a constructor for the tag"),
    **{
        f"a long number: {text[:12]}": (f"a: {text}", "a number has more than 400 characters")
        for text in (
            *("9" * 5000, "0x" + "F" * 5000, "0b" + "1" * 5000, "0" + "7" * 5000, "1_" * 500, "1" + ":1" * 20_000),
            *(
                "1" + ":1" * 20_000 + ".5",
                "-1." + "0" * 500,
                "!!int '" + "9" * 500 + "'",
                "!!float '" + "9" * 500 + "'",
            ),
        )
    },
    "a long number as a key": ("0x" + "F" * 5000 + ": a", "a number has more than 400 characters"),
    "keys with one hash": (
        "".join(f"{number * (2**61 - 1)}: 1\n" for number in range(300)),
        "more than 256 keys are not texts: write them in quotation marks",
    ),
    "such keys in many mappings": (
        "".join(f"- {{1: a, {number}.5: b}}\n" for number in range(200)),
        "more than 256 keys",
    ),
    "a boolean that is none": ("a: !!bool hunter2", "not a value of the tag bool"),
    "a number that is none": ("a: !!int hunter2", "invalid literal for int"),
    "a time that is none": ("a: !!timestamp hunter2", "not a value of the tag timestamp"),
    "an empty number": ("a: !!int ''", "not a value of the tag int"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_what_is_absurd_is_refused(name: str) -> None:
    text, sentence = ABSURD[name]
    with pytest.raises(YAMLValueError) as refused:
        read(text)
    assert str(refused.value).startswith(sentence)
    assert "hunter2" not in str(refused.value)


def test_long_number_that_is_a_text_is_one() -> None:
    """In quotation marks, or with letters."""
    assert read(f"a: '{'9' * 5000}'\nb: x{'9' * 5000}\n'{'9' * 500}': c\n") is not None
    assert read("a: " + "9" * 400) == {"a": int("9" * 400)}


def test_key_that_an_alias_stands_for_is_quoted_in_part() -> None:
    """It is written once, and would be told again and again."""
    reader = YAMLReader(f"a: &a {'x' * 10_000}\n" + "*a : 1\n" * 100)
    reader.document()
    assert len(reader.duplicates) == 99
    assert max(len(sentence) for _, sentence in reader.duplicates) < 300


def test_too_many_values() -> None:
    """Keys and collections count as well."""
    assert YAMLReader("a: [1, 2]", most_values=5).document() == (1, {"a": [1, 2]})
    with pytest.raises(YAMLValueError, match="more than 4 values"):
        YAMLReader("a: [1, 2]", most_values=4).document()


def test_file_without_an_end_is_read_to_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_values, "MOST_BYTES", 1000)
    assert len(yaml_values.read_bounded("/dev/zero")) == 1001


MEASURE = r"""
import re, sys
from pathlib import Path
from metrics_apiserver.factory import create_app
from metrics_apiserver.configuration import load

def peak():
    # Not getrusage, which begins with the parent's.
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024

before = peak()
settings, problems = load(dict([sys.argv[1].split("=", 1)]))
assert not problems, problems
create_app(settings)
print(before, peak())
"""
COUNT = 100_000
LARGE = {
    "a list of constant": (
        "config",
        "providers:\n- name: a\n  kind: constant\n  options:\n    list:\n",
        "    - {{metric: metric-{n}, resource: pods, namespaced: true}}\n",
    ),
    "values of writable": (
        "config",
        "providers:\n- name: a\n  kind: writable\n  options:\n    values:\n",
        "    - {{metric: m, value: {n}, labels: {{series: s{n}}}}}\n",
    ),
    "a list of objects": (
        "objects",
        "apiVersion: v1\nkind: List\nitems:\n",
        "- {{apiVersion: v1, kind: Pod, metadata: {{name: p{n}, labels: {{app: web}}}}}}\n",
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_hundred_thousand_values_take_what_they_are_worth(tmp_path: Path, name: str) -> None:
    """Of the whole process, with the provider made of it; it was 1.4 GiB."""
    setting, head, row = LARGE[name]
    path = tmp_path / "large.yaml"
    # The writable provider has three of its own.
    path.write_text(head + "".join(row.format(n=number) for number in range(COUNT - 3)), encoding="utf-8")
    ((variable, value),) = environ(**{setting: str(path)}).items()
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, f"{variable}={value}"], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    before, peak = map(int, result.stdout.split()[-2:])
    assert peak < 300, f"{peak} MiB, of which {before} were there before"
