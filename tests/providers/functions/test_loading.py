"""The author's file: it is found, run under a name of its own, and its mistakes are one sentence with the line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError

from metrics_apiserver.provider import ExternalMetricInfo
from metrics_apiserver.provider.functions import Metrics
from metrics_apiserver.testing import provider_context
from metrics_apiserver_providers.functions import FunctionsProvider
from metrics_apiserver_providers.functions.loading import FunctionsOptions, LoadingError, load

GOOD = """\
from dataclasses import dataclass
from metrics_apiserver.provider.functions import Metrics

first, second = Metrics(), Metrics()
same = first

@dataclass
class Depth:
    depth: int = 3

@first.external("a")
def a():
    return Depth().depth

@second.external("b")
def b():
    return 4
"""


def written(folder: Path, text: str, name: str = "queues.py") -> str:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_all_metrics_of_the_file_count(tmp_path: Path) -> None:
    """Each once, whatever names it has."""
    loaded = load({"file": written(tmp_path, GOOD)})
    names = [each.declaration.name for metrics in loaded.metrics for each in metrics.registrations]
    assert names == ["a", "b"]


def test_file_has_a_name_that_is_nobody_elses(tmp_path: Path) -> None:
    """A file called `json.py` does not stand in anybody's way, and is forgotten at the end."""
    import json

    before = set(sys.modules)
    loaded = load({"file": written(tmp_path, GOOD, "json.py")})
    (name,) = set(sys.modules) - before
    assert name.startswith("_metrics_functions_")
    assert name.endswith(".json")
    assert sys.modules["json"] is json
    loaded.forget()
    loaded.forget()
    assert name not in sys.modules


def test_two_instances_of_one_file_share_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    one, other = load({"file": file}), load({"file": file})
    assert {id(metrics) for metrics in one.metrics}.isdisjoint(id(metrics) for metrics in other.metrics)
    one.forget()
    other.forget()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            "from metrics_apiserver.provider.functions import Metrics\nmetrics = Metrics()\n\n"
            "metrics.external('a')(nowhere)\n",
            "line 4: NameError: name 'nowhere' is not defined",
            id="a name that is not there",
        ),
        pytest.param(
            "from metrics_apiserver.provider.functions import Metrics\nMetrics().external('a', trigger=5)(lambda: 1)\n",
            r"line 2: TypeError: external metric a: the trigger is the number 5: write every\(seconds=5\)",
            id="a mistake that we found",
        ),
        pytest.param("\n\nimport nowhere_at_all\n", "line 3: ModuleNotFoundError: No module named", id="an import"),
        pytest.param("raise SystemExit(3)\n", "line 1: SystemExit: 3", id="an exit"),
        pytest.param("x = 1\n", "has no Metrics: write metrics = Metrics", id="nothing declared"),
        pytest.param(
            "def f():\n    g()\n\ndef g():\n    1 / 0\n\nf()\n", "line 5: ZeroDivisionError", id="deep inside"
        ),
    ],
)
def test_mistake_in_the_file_is_one_sentence_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    """And nothing of the file is left."""
    file, before = written(tmp_path, text), set(sys.modules)
    with pytest.raises(LoadingError, match=sentence) as caught:
        load({"file": file})
    assert str(caught.value).startswith(file)
    assert "\n" not in str(caught.value)
    assert not {name for name in set(sys.modules) - before if name.startswith("_metrics_functions_")}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({}, "Exactly one of file and module is needed.", id="neither"),
        pytest.param({"file": "GOOD", "module": "a"}, "Exactly one of file and module is needed.", id="both"),
        pytest.param({"file": "nowhere.py"}, "nowhere.py cannot be read: No such file or directory", id="no file"),
        pytest.param({"file": "."}, "cannot be read: Is a directory", id="a folder"),
        pytest.param({"file": "BAD"}, "line 2: SyntaxError: '(' was never closed", id="no Python"),
        pytest.param({"file": "NULL"}, "source code string cannot contain null bytes", id="a binary file"),
        pytest.param({"module": "a.b:c:d"}, "Must be package.module, or package.module:metrics.", id="two colons"),
        pytest.param({"module": "../a"}, "Must be package.module", id="a path as a module"),
        pytest.param({"metrics": "a"}, "Only a program can give Metrics", id="a text for Metrics"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(
    tmp_path: Path, options: Mapping[str, Any], sentence: str
) -> None:
    files = {"GOOD": GOOD, "BAD": "import os\nprint(\n", "NULL": "\0"}
    given = {key: written(tmp_path, files[text]) if text in files else text for key, text in options.items()}
    with pytest.raises(ValidationError, match="(?s)" + sentence.replace("(", r"\(")):
        FunctionsOptions().load(given)


def test_module_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All its Metrics, or the one that is named."""
    written(tmp_path, GOOD, "functions_of_a_package.py")
    monkeypatch.syspath_prepend(tmp_path)
    names = {}
    for option in ("functions_of_a_package", "functions_of_a_package:second"):
        loaded = load(FunctionsOptions().load({"module": option}))
        names[option] = [each.declaration.name for metrics in loaded.metrics for each in metrics.registrations]
    monkeypatch.delitem(sys.modules, "functions_of_a_package")
    assert list(names.values()) == [["a", "b"], ["b"]]


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        pytest.param("nowhere_at_all", "the module nowhere_at_all cannot be imported: ModuleNotFoundError", id="gone"),
        pytest.param("json:dumps", "dumps of the module json is not a Metrics, but function", id="something else"),
        pytest.param("json:nothing", "nothing of the module json is not a Metrics, but NoneType", id="not there"),
        pytest.param("json", "json has no Metrics", id="no Metrics"),
    ],
)
def test_wrong_module_is_one_sentence(module: str, sentence: str) -> None:
    with pytest.raises(LoadingError, match=sentence):
        load({"module": module})


def test_program_gives_its_metrics_itself() -> None:
    metrics = Metrics()
    metrics.add_metric("*", "depth", None, lambda: 3)
    provider = FunctionsProvider(provider_context(), FunctionsOptions().load({"metrics": metrics}))
    assert provider.list_all_external_metrics() == [ExternalMetricInfo("depth")]


def test_two_metrics_of_one_file_cannot_claim_one_name(tmp_path: Path) -> None:
    """Not at the start, and not later."""
    twice = GOOD.replace('"b"', '"a"')
    before = set(sys.modules)
    with pytest.raises(ValueError, match="external metric a is registered already, in other Metrics of this provider"):
        FunctionsProvider(provider_context(), {"file": written(tmp_path, twice)})
    assert set(sys.modules) == before
    one, other = Metrics(), Metrics()
    provider = FunctionsProvider(provider_context(), {"metrics": one})
    other.watch(provider)
    one.add_metric("*", "depth", None, lambda: 3)
    with pytest.raises(ValueError, match="external metric depth is registered already"):
        other.add_metric("*", "depth", None, lambda: 3)
    assert other.registrations == ()
