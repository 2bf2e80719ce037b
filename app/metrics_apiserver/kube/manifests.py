"""The objects of standalone mode: Kubernetes YAML, read and checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from metrics_apiserver.kube.standard import standard_resources
from metrics_apiserver.model.resources import GroupVersion, NamespacedName, RESTMapping
from metrics_apiserver.yaml_values import YAMLReader, YAMLValueError

__all__ = ["ObjectsError", "load_objects", "parse_objects"]

_SIZE_LIMIT = 16 * 1024 * 1024
# Of one document: a List of so many small objects as fit into the file.
_MOST_VALUES = 8_000_000
_QUOTED_CHARACTERS = 100


class ObjectsError(ValueError):
    """The objects cannot be used; `problems` has every reason, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problems))


def load_objects(path: str | Path) -> list[dict[str, Any]]:
    """Read a file of Kubernetes YAML. Raises ObjectsError with every problem."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise ObjectsError([f"{path}: {error.strerror}"]) from error
    if len(data) > _SIZE_LIMIT:
        raise ObjectsError([f"{path}: more than {_SIZE_LIMIT // 1024**2} MiB"])
    try:
        return parse_objects(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ObjectsError([f"{path}: not UTF-8"]) from error
    except ObjectsError as error:
        raise ObjectsError([f"{path}: {problem}" for problem in error.problems]) from error


def parse_objects(text: str) -> list[dict[str, Any]]:
    """Read Kubernetes YAML: documents, and the items of a `List`, of the standard kinds.

    A namespaced object without a namespace gets `default`, as with kubectl. Raises ObjectsError with every problem.
    """
    check, reader = _Check(), YAMLReader(text, most_values=_MOST_VALUES)
    try:
        for number, (_, document) in enumerate(reader.documents(), start=1):
            for place, item in _unpacked(f"document {number}", document):
                check.add(place, item)
    except YAMLValueError as error:
        check.problems.append(f"not YAML: line {error.line}: {error}")
    check.problems += [f"line {line}: {sentence}" for line, sentence in reader.duplicates]
    if check.problems:
        raise ObjectsError(check.problems)
    return check.objects


def _unpacked(place: str, document: Any) -> Iterator[tuple[str, Any]]:
    """Return each object with its place; an empty document is none."""
    if document is None:
        return
    if not isinstance(document, dict) or document.get("kind") != "List":
        yield place, document
        return
    items = document.get("items") or []
    for number, item in enumerate(items if isinstance(items, list) else [items], start=1):
        yield f"{place}, item {number}", item


class _Check:
    """Collects the good objects and the problems of the others."""

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self._mappings = {(found.resource.group, found.kind): found for found in standard_resources().mappings}
        self._places: dict[tuple[str, str, NamespacedName], str] = {}

    def add(self, place: str, document: Any) -> None:
        """Check one object and keep it, or say what is wrong with it."""
        if not isinstance(document, dict):
            self.problems.append(f"{place}: a mapping with apiVersion, kind and metadata is expected")
            return
        mapping, problems = self._mapping(document)
        metadata = document.get("metadata")
        problems += _metadata_problems(metadata if isinstance(metadata, dict) else {})
        if mapping and not problems:
            problems = self._keep(place, document, mapping)
        self.problems += [f"{place}: {problem}" for problem in problems]

    def _mapping(self, document: dict[str, Any]) -> tuple[RESTMapping | None, list[str]]:
        version, kind = document.get("apiVersion"), document.get("kind")
        problems = [f"no {name}" for name, value in (("apiVersion", version), ("kind", kind)) if not _is_text(value)]
        if problems:
            return None, problems
        mapping = self._mappings.get((GroupVersion.parse(str(version)).group, str(kind)))
        return mapping, [] if mapping else [f"{version} {kind} is not one of the standard kinds"]

    def _keep(self, place: str, document: dict[str, Any], mapping: RESTMapping) -> list[str]:
        metadata = document["metadata"]
        namespace, name = metadata.get("namespace") or "", metadata["name"]
        if namespace and not mapping.namespaced:
            return [f"{mapping.kind} {name} has a namespace, but its kind has none"]
        if mapping.namespaced:
            namespace = namespace or "default"
            document = {**document, "metadata": {**metadata, "namespace": namespace}}
        identity = NamespacedName(namespace, name)
        first = self._places.setdefault((mapping.resource.group, mapping.kind, identity), place)
        if first != place:
            return [f"{mapping.kind} {identity} is already in {first}"]
        self.objects.append(document)
        return []


def _metadata_problems(metadata: dict[str, Any]) -> list[str]:
    problems = []
    name, namespace, labels = metadata.get("name"), metadata.get("namespace"), metadata.get("labels")
    if name is None:
        problems.append("no metadata.name")
    elif not _is_text(name):
        problems.append("metadata.name must be a string, and not empty")
    if namespace is not None and not isinstance(namespace, str):
        problems.append("metadata.namespace must be a string")
    if labels is None:
        return problems
    if not isinstance(labels, dict):
        return [*problems, "metadata.labels must be a mapping"]
    return problems + [
        # What is quoted may be a whole tree.
        f"the label {str(key)[:_QUOTED_CHARACTERS]} must be a string; put"
        f" {'it' if isinstance(value, (dict, list)) else str(value)[:_QUOTED_CHARACTERS]} in quotes"
        for key, value in labels.items()
        if not isinstance(key, str) or not isinstance(value, str)
    ]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
