"""The file with its lines: where a key stands, keys that stand twice, and what is no YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.configuration.document import Document
from metrics_apiserver.settings.problems import Place, written_place

TEXT = b"""\
# a comment
securePort: 8000
common: &common
  kind: constant
  cache: 1s
providers:

- name: a
  options: {list: [{metric: x},
    {metric: y}]}
-
  <<: *common
  name: b
  cache: 2s
  match:
    - api: custom
    - api: external
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        pytest.param((), 2, id="the whole is where it begins"),
        pytest.param(("securePort",), 2, id="a key"),
        pytest.param(("providers",), 6, id="a key with a list"),
        pytest.param(("providers", 0), 8, id="a list item"),
        pytest.param(("providers", 0, "name"), 8, id="a key of an item"),
        pytest.param(("providers", 0, "options", "list", 1, "metric"), 10, id="a key inside brackets"),
        pytest.param(("providers", 1), 12, id="an item that begins below its dash"),
        pytest.param(("providers", 1, "kind"), 4, id="a key that is merged in"),
        pytest.param(("providers", 1, "cache"), 14, id="a key that hides one that is merged in"),
        pytest.param(("providers", 1, "match", 1, "api"), 17, id="a key of an item of an item"),
        pytest.param(("providers", 0, "kind"), 8, id="a key that is missing is told with its mapping"),
        pytest.param(("providers", 7, "kind"), 6, id="an item that is missing"),
        pytest.param(("securePort", "deeper", 0), 2, id="below a text there is nothing"),
    ],
)
def test_line(place: Place, line: int) -> None:
    assert Document.parse("FILE", TEXT).line(place) == line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: 1\nb: 2\na: 1\n", "FILE:3: the key a is given twice, first on line 1", id="at the top"),
        pytest.param("x:\n- {b: 1, b: 2}\n", "FILE:2: the key b is given twice, first on line 2", id="further down"),
        pytest.param("x: {1: a, '2': b, 1: c}\n", "FILE:1: the key 1 is given twice, first on line 1", id="a number"),
        pytest.param("a: [", "FILE:1: not YAML: expected the node content", id="a list that does not end"),
        pytest.param("a: b\nc: d: e\n", "FILE:2: not YAML: mapping values are not allowed here", id="two colons"),
        pytest.param("a: *b\n", "FILE:1: not YAML: found undefined alias", id="an alias of nothing"),
        pytest.param(
            "a: [*]\n",
            "FILE:1: not YAML: expected alphabetic or numeric character, but found ']'; a glob that begins with *",
            id="a star",
        ),
        pytest.param(
            "a: *-depth\n",
            'FILE:1: not YAML: found undefined alias; a glob that begins with * needs quotes: "*-depth"',
            id="a glob",
        ),
        pytest.param("a: !!python/object:os.system x\n", "FILE:1: not YAML: could not determine a constr", id="a tag"),
        pytest.param("a: 1\n---\nb: 2\n", "FILE:2: not YAML: but found another document", id="two documents"),
        pytest.param("- a\n", "FILE:1: a mapping of settings is expected", id="a list"),
        pytest.param("1: a\n", "FILE:1: a mapping of settings is expected", id="a key that is a number"),
        pytest.param("a: 2026-13-45\n", "FILE:1: not YAML: month must be in 1..12", id="a date that is none"),
        pytest.param("[" * 3000, "FILE:1: not YAML: ", id="too deep"),
    ],
)
def test_problem(text: str, problem: str) -> None:
    document = Document.parse("FILE", text.encode())
    (found,) = document.problems
    assert str(found).startswith(problem)


def test_bytes_that_are_no_text() -> None:
    document = Document.parse("FILE", b"a: \xff\n")
    assert str(document.problems[0]).startswith("FILE:1: not YAML: 'utf-8' codec can't decode")
    assert document.values == {}


def test_problem_quotes_nothing_of_the_file() -> None:
    """There may be a password on the line."""
    (problem,) = Document.parse("FILE", b"password: hunter2: [\n").problems
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("text", ["", "# nothing\n", "a: 1\na_: 1\nb: {a: 1}\n", "\ufeffa: 1\n"])
def test_right_file(text: str) -> None:
    assert Document.parse("FILE", text.encode()).problems == ()


def test_aliases_cost_no_more_than_what_is_written() -> None:
    """Nine levels of ten aliases each would stand for a thousand million values."""
    levels = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert Document.parse("FILE", "\n".join(levels[:4]).encode()).line(("a3", 3, 3, 0)) == 2
    document = Document.parse("FILE", "\n".join(levels).encode())
    assert [str(each) for each in document.problems] == ["FILE:6: not YAML: aliases stand for more than 100,000 values"]
    assert document.values == {}


def test_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is not even read whole."""
    monkeypatch.setattr("metrics_apiserver.configuration.document.MOST_BYTES", 2**20)
    monkeypatch.setattr("metrics_apiserver.yaml_values.MOST_BYTES", 2**20)
    path = tmp_path / "config.yaml"
    path.write_bytes(b"# a comment\n" * 2**17)
    document = Document.read(str(path))
    assert [str(each) for each in document.problems] == [f"{path}: the file has more than 1 MiB"]


def test_place_as_people_write_it() -> None:
    assert written_place(("providers", 1, "metrics", 0, "onEmpty")) == "providers[1].metrics[0].onEmpty"
