"""Providers that another one holds: made by their kind, each with a name, a logger and metrics of its own."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError, fields
from prometheus_client import generate_latest

from metrics_apiserver.provider import Child, ChildOptions, ExternalMetricsProvider, Options, ProviderContext
from metrics_apiserver_providers.constant import ConstantProvider
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


def test_two_children_count_the_same_and_are_told_apart() -> None:
    """As two instances of one kind are."""
    context = provider_context()
    for which, number in (("first", 3), ("second", 4)):
        Child(Counting, {"number": number}).make(context, which)
    text = generate_latest(context.metrics_registry).decode()
    assert f'asked_total{{provider="{context.name}-first"}} 3.0' in text
    assert f'asked_total{{provider="{context.name}-second"}} 4.0' in text
