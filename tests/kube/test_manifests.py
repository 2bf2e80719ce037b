"""Reading objects, and every problem of those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.kube import manifests
from metrics_apiserver.kube.manifests import ObjectsError, load_objects, parse_objects

POD = "{apiVersion: v1, kind: Pod, metadata: {name: a}}"


def names(text: str) -> list[tuple[str, str, str]]:
    """Read objects and give (kind, namespace, name) of each."""
    return [
        (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in parse_objects(text)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(f"---\n{POD}\n---\n# a comment\n---\n", [("Pod", "default", "a")], id="empty documents"),
        pytest.param(
            f"apiVersion: v1\nkind: List\nitems: [{POD}, {{apiVersion: v1, kind: Node, metadata: {{name: n}}}}]",
            [("Pod", "default", "a"), ("Node", "", "n")],
            id="a List is unpacked",
        ),
        pytest.param("{apiVersion: v1, kind: List}", [], id="an empty List"),
        pytest.param(
            "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b, labels: {x: '1', y: ''}}}",
            [("Pod", "b", "a")],
            id="a namespace and labels",
        ),
        pytest.param(
            "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: null, labels: null}}",
            [("Pod", "default", "a")],
            id="nulls are left out",
        ),
        pytest.param(
            f"{POD}\n---\n{{apiVersion: v1, kind: Service, metadata: {{name: a}}}}",
            [("Pod", "default", "a"), ("Service", "default", "a")],
            id="one name for two kinds",
        ),
    ],
)
def test_objects_are_read(text: str, found: list[tuple[str, str, str]]) -> None:
    assert names(text) == found


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param("a: [", ["not YAML: "], id="no YAML"),
        pytest.param("a: 2024-99-99", ["not YAML: "], id="a date that is none"),
        pytest.param("!!python/object:os.system {}", ["not YAML: "], id="a tag that would run code"),
        pytest.param("text", ["document 1: a mapping with apiVersion, kind and metadata is expected"], id="a text"),
        pytest.param(
            "{}", ["document 1: no apiVersion", "document 1: no kind", "document 1: no metadata.name"], id="{}"
        ),
        pytest.param(
            "{apiVersion: v1, kind: Pod, metadata: {}}", ["document 1: no metadata.name"], id="metadata without a name"
        ),
        pytest.param("{apiVersion: v1, kind: Pod, metadata: 5}", ["document 1: no metadata.name"], id="no metadata"),
        pytest.param(
            "{apiVersion: v1, kind: Pod, metadata: {name: 5, namespace: 6, labels: 7}}",
            [
                "document 1: metadata.name must be a string, and not empty",
                "document 1: metadata.namespace must be a string",
                "document 1: metadata.labels must be a mapping",
            ],
            id="numbers where strings belong",
        ),
        pytest.param(
            "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {x: true, 5: b}}}",
            [
                "document 1: the label x must be a string; put True in quotes",
                "document 1: the label 5 must be a string; put b in quotes",
            ],
            id="labels that are no strings",
        ),
        pytest.param(
            "{apiVersion: example.com/v1, kind: Pod, metadata: {name: a}}",
            ["document 1: example.com/v1 Pod is not one of the standard kinds"],
            id="a kind of another group",
        ),
        pytest.param(
            "{apiVersion: v1, kind: Node, metadata: {name: a, namespace: b}}",
            ["document 1: Node a has a namespace, but its kind has none"],
            id="a namespace where the kind has none",
        ),
        pytest.param(
            f"{POD}\n---\n{{apiVersion: v1, kind: Pod, metadata: {{name: a, namespace: default}}}}",
            ["document 2: Pod default/a is already in document 1"],
            id="twice, once with the default spelt out",
        ),
        pytest.param(
            f"---\n---\nkind: List\nitems:\n- {POD}\n- {POD}\n- 5",
            [
                "document 2, item 2: Pod default/a is already in document 2, item 1",
                "document 2, item 3: a mapping with apiVersion, kind and metadata is expected",
            ],
            id="items of a List are counted",
        ),
        pytest.param(
            "kind: List\nitems: {a: b}",
            [
                "document 1, item 1: no apiVersion",
                "document 1, item 1: no kind",
                "document 1, item 1: no metadata.name",
            ],
            id="items that are no list",
        ),
        pytest.param(
            "{}\n---\na: [",
            ["document 1: no apiVersion", "document 1: no kind", "document 1: no metadata.name", "not YAML: "],
            id="a syntax error later on",
        ),
    ],
)
def test_every_problem_is_named(text: str, problems: list[str]) -> None:
    with pytest.raises(ObjectsError) as caught:
        parse_objects(text)
    # What the YAML library says after the colon is its own.
    assert [
        problem[:10] if problem.startswith("not YAML: ") else problem for problem in caught.value.problems
    ] == problems
    assert str(caught.value) == "; ".join(caught.value.problems)


def test_a_problem_of_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "objects.yaml"
    path.write_text("text")
    with pytest.raises(ObjectsError) as caught:
        load_objects(str(path))
    assert caught.value.problems == [f"{path}: document 1: a mapping with apiVersion, kind and metadata is expected"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(None, "No such file or directory", id="there is no such file"),
        pytest.param(b"\xff", "not UTF-8", id="not a text"),
        pytest.param(b"# a long comment\n" * 9, "more than 0 MiB", id="too large"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, problem: str
) -> None:
    monkeypatch.setattr(manifests, "_SIZE_LIMIT", 100)
    path = tmp_path / "objects.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ObjectsError) as caught:
        load_objects(path)
    assert caught.value.problems == [f"{path}: {problem}"]


def test_a_label_that_stands_for_too_much_is_not_written_out() -> None:
    """A tree of aliases that is small enough to be read is still a long text."""
    tree = "a: &a [x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n"
    text = f"{tree}apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  labels: {{app: *b}}\n"
    with pytest.raises(ObjectsError) as refused:
        parse_objects(text)
    assert refused.value.problems == ["document 1: the label app must be a string; put it in quotes"]
