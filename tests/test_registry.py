"""Entry points → providers: what is refused, with which sentence, and what is built."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver import registry
from metrics_apiserver.provider import kinds
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.settings import ProviderSettings
from tests.distributions import install_providers
from tests.fakes import provider_context

CODE = """
from metrics_apiserver.provider import CustomMetricsProvider, Options
from marshmallow import fields

class Whole(CustomMetricsProvider):
    class Options(Options):
        size = fields.Integer(required=True)
    def get_metric_by_name(self, ctx, name, info, metric_selector): ...

class Incomplete(CustomMetricsProvider):
    pass

class Failing(CustomMetricsProvider):
    def __init__(self, context, options):
        raise RuntimeError("no backend")
    def get_metric_by_name(self, ctx, name, info, metric_selector): ...

class NoOptions(CustomMetricsProvider):
    Options = 3
    def get_metric_by_name(self, ctx, name, info, metric_selector): ...

class Unrelated: ...
"""
ENTRY_POINTS = """\
whole = registry_test_providers:Whole
incomplete = registry_test_providers:Incomplete
failing = registry_test_providers:Failing
no-options = registry_test_providers:NoOptions
unrelated = registry_test_providers:Unrelated
function = registry_test_providers:print
missing-module = registry_test_nowhere:Thing
"""


@pytest.fixture(name="install")
def _install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Install distributions with entry points, as pip lays them out, in a folder of the path."""

    def install(name: str, entry_points: str) -> None:
        install_providers(tmp_path, name, *entry_points.splitlines(), version="1.2.3")

    (tmp_path / "registry_test_providers.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    install("example-providers", ENTRY_POINTS)
    yield install
    sys.modules.pop("registry_test_providers", None)


def settings(kind: str, **options: Any) -> ProviderSettings:
    return ProviderSettings(name="mine", kind=kind, options=options)


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        pytest.param("nowhere", {}, "there is no provider of the kind nowhere; installed are: ", id="unknown"),
        pytest.param("incomplete", {}, "Incomplete does not have get_metric_by_name", id="a method is missing"),
        pytest.param("unrelated", {}, "is not a provider: a class that derives from", id="another class"),
        pytest.param("function", {}, "cannot be imported: AttributeError", id="a name that is not there"),
        pytest.param("missing-module", {}, "cannot be imported: ModuleNotFoundError", id="a module that is not there"),
        pytest.param(
            "no-options", {}, "Options of NoOptions is not a marshmallow schema", id="options that are no schema"
        ),
        pytest.param("whole", {}, "size: Missing data for required field.", id="an option is missing"),
        pytest.param("whole", {"size": "x"}, "size: Not a valid integer.", id="an option is wrong"),
        pytest.param("whole", {"size": 1, "typo": 1}, "typo: Unknown field.", id="an option is unknown"),
        pytest.param("writable", {"values": [{"metric": "m"}]}, "values[0].value: Missing data", id="a nested option"),
        pytest.param("writable", {"values": [{"metric": "m", "value": "x"}]}, "quantities must match", id="a quantity"),
        pytest.param(
            "writable", {"values": [{"metric": "m", "value": 1, "name": "x"}]}, "belong together", id="half an object"
        ),
    ],
)
def test_problem(install: Callable[[str, str], None], kind: str, options: dict[str, Any], problem: str) -> None:
    """Each problem is a sentence that names the provider."""
    (found,) = registry.check([settings(kind, **options)])
    assert problem in found.sentence
    assert found.sentence.startswith("provider mine")


def test_every_problem_is_told(install: Callable[[str, str], None]) -> None:
    """One sentence for each wrong instance, none for the right one."""
    assert len(registry.check([settings("nowhere"), settings("incomplete"), settings("whole", size=1)])) == 2


def test_kind_installed_twice_names_both_owners(install: Callable[[str, str], None]) -> None:
    """Which of two distributions answers must not depend on the order of a folder."""
    install("other-providers", "whole = registry_test_providers:Whole")
    (problem,) = registry.check([settings("whole", size=1)])
    assert "installed twice, by example-providers 1.2.3 and other-providers 1.2.3" in problem.sentence


def test_failing_constructor_is_a_sentence(install: Callable[[str, str], None]) -> None:
    """Only building can find it; the message says which provider and why."""
    assert registry.check([settings("failing")]) == []
    with pytest.raises(ProviderError, match=r"provider mine \(failing, from example-providers 1\.2\.3\) could not be"):
        registry.build([settings("failing")], provider_context)


def test_built_provider_tells_where_it_comes_from(install: Callable[[str, str], None]) -> None:
    """Name, kind, distribution and version are kept for logs and lists."""
    (built,) = registry.build([settings("whole", size=3)], provider_context)
    assert (built.name, built.kind, built.distribution, built.version) == (
        "mine",
        "whole",
        "example-providers",
        "1.2.3",
    )
    assert built.provider.options == {"size": 3}


def test_only_what_is_configured_is_imported(install: Callable[[str, str], None]) -> None:
    """A broken provider that nobody asked for harms nobody."""
    assert "missing-module" in {entry.name for entry in kinds.installed()}
    assert registry.check([settings("whole", size=1)]) == []
