"""Providers that another one holds: made by their kind, each with a name, a logger and metrics of its own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError, fields
from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

from metrics_apiserver.provider import Child, ChildOptions, ExternalMetricsProvider, Options, ProviderContext
from metrics_apiserver_providers.constant import ConstantProvider
from tests.distributions import install_providers
from tests.fakes import provider_context


class Counting(ExternalMetricsProvider):
    """Counts what others of its kind count too."""

    class Options(Options):
        number = fields.Integer(load_default=0)

    def __init__(self, context: ProviderContext, options: Any) -> None:
        super().__init__(context, options)
        from prometheus_client import Counter

        Counter("asked", "Reads.", registry=context.metrics_registry).inc(options["number"])

    def get_external_metric(self, *_: Any) -> Any:
        return ()


def test_a_child_is_named_by_its_kind_and_its_options_are_checked() -> None:
    child = ChildOptions().load({"kind": "constant", "options": {"value": "7"}})
    assert isinstance(child, Child)
    made = child.make(provider_context(), "first")
    assert isinstance(made, ConstantProvider)
    assert made.context.name == f"{provider_context().name}-first"
    assert made.context.logger.name.endswith(".first")


@pytest.mark.parametrize(
    ("options", "place", "words"),
    [
        pytest.param({"kind": "nowhere"}, "kind", "there is no provider of the kind nowhere", id="no such kind"),
        pytest.param({"kind": "constant", "options": {"x": 1}}, "options", "Unknown field", id="a wrong option"),
        pytest.param({}, "kind", "Missing data", id="no kind"),
    ],
)
def test_what_cannot_be_a_child_is_refused_with_its_holders_options(
    options: dict[str, Any], place: str, words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        ChildOptions().load(options)
    assert words in str(caught.value.messages[place])


CODE = """
from abc import abstractmethod
from metrics_apiserver.provider import ExternalMetricsProvider


class Abstract(ExternalMetricsProvider):
    @abstractmethod
    def more(self): ...


class WithoutOptions(ExternalMetricsProvider):
    Options = dict
    def get_external_metric(self, *_): ...


def function(): ...
"""
ENTRY_POINTS = """\
child-abstract = children_test_providers:Abstract
child-without-options = children_test_providers:WithoutOptions
child-function = children_test_providers:function
child-leaving = children_test_leaving:Provider
child-nowhere = children_test_nowhere:Provider
"""


@pytest.fixture(name="others")
def _others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another distribution with kinds of provider that cannot be held."""
    install_providers(tmp_path, "children-test", *ENTRY_POINTS.splitlines())
    (tmp_path / "children_test_providers.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "children_test_leaving.py").write_text("raise SystemExit('no licence')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("children_test_providers", None)


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param("child-abstract", "is incomplete: Abstract does not have get_external_metric", id="abstract"),
        pytest.param("child-without-options", "Options of WithoutOptions is not a marshmallow schema", id="no schema"),
        pytest.param("child-function", "is not a provider", id="a function"),
        pytest.param("child-leaving", "cannot be imported: SystemExit: no licence", id="an import that exits"),
        pytest.param("child-nowhere", "cannot be imported: ModuleNotFoundError", id="a module that is not there"),
    ],
)
def test_a_class_that_cannot_be_a_child_is_a_sentence_and_ends_nothing(kind: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ChildOptions().load({"kind": kind})
    assert f"the kind {kind} " in str(caught.value.messages["kind"])
    assert words in str(caught.value.messages["kind"])


def test_a_child_whose_collector_fails_hides_no_metric_of_its_holder(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Collector):
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> Iterator[Metric]:
            raise RuntimeError("broken")

    class WithFailing(Counting):
        def __init__(self, context: ProviderContext, options: Any) -> None:
            super().__init__(context, options)
            context.metrics_registry.register(Failing())

    context = provider_context()
    Child(Counting, {"number": 3}).make(context, "first")
    with caplog.at_level(logging.ERROR):
        Child(WithFailing, {"number": 4}).make(context, "second")
        text = generate_latest(context.metrics_registry).decode()
    assert f'asked_total{{provider="{context.name}-first"}} 3.0' in text
    assert f"{context.name}-second: its metrics could not be collected" in caplog.text


def test_two_children_count_the_same_and_are_told_apart() -> None:
    """As two instances of one kind are."""
    context = provider_context()
    for which, number in (("first", 3), ("second", 4)):
        Child(Counting, {"number": number}).make(context, which)
    text = generate_latest(context.metrics_registry).decode()
    assert f'asked_total{{provider="{context.name}-first"}} 3.0' in text
    assert f'asked_total{{provider="{context.name}-second"}} 4.0' in text
