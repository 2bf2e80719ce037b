"""Who answers when several providers are configured, and in which order they are asked."""

from __future__ import annotations

from typing import Any

import pytest

from app.dispatch.router import Router
from app.errors import MetricNotFoundError, NotFoundError, ResourceNotFoundError, ServiceUnavailableError
from app.model.metrics import ExternalMetricInfo
from app.model.quantity import Quantity
from app.model.resources import GroupResource, NamespacedName
from app.query import parse_custom_metric, parse_external_metric, split_path
from tests.fakes import LOGGER, FakeClock, TableProvider, cluster

ONE = {("cart-0", "rps"): 1, ("cart-0", "only-one"): 1}
TWO = {("cart-0", "rps"): 2, ("db-0", "rps"): 2, ("cart-0", "only-two"): 2}


def router(*providers: Any) -> Router:
    named = [(f"provider-{number}", provider) for number, provider in enumerate(providers)]
    return Router(named, mapper=cluster().mapper, clock=FakeClock(), logger=LOGGER, seconds=10)


def read(asked: Router, path: str, **parameters: str) -> list[tuple[str, str]]:
    values = asked.read_custom(parse_custom_metric(split_path(path), parameters), audit_id="a")
    return [(value.described_object.name, str(value.value)) for value in values]


@pytest.mark.parametrize(
    ("order", "path", "expected"),
    [
        pytest.param((ONE, TWO), "pods/cart-0/rps", [("cart-0", "1")], id="both have it: the first answers"),
        pytest.param((TWO, ONE), "pods/cart-0/rps", [("cart-0", "2")], id="both have it, turned round"),
        pytest.param((ONE, TWO), "pods/cart-0/only-two", [("cart-0", "2")], id="not found goes on to the next"),
        pytest.param((TWO, ONE), "pods/cart-0/only-two", [("cart-0", "2")], id="the first has it alone"),
        pytest.param((ONE, TWO), "pods/*/rps", [("cart-0", "1")], id="a list that is not empty stands"),
        pytest.param((TWO, ONE), "pods/*/rps", [("cart-0", "2"), ("db-0", "2")], id="the first list, turned round"),
        pytest.param((ONE, TWO), "pods/*/only-two", [("cart-0", "2")], id="an empty list goes on to the next"),
        pytest.param((ONE, TWO), "pods/*/nobody", [], id="every list is empty"),
    ],
)
def test_order(order: tuple[dict[Any, Any], ...], path: str, expected: list[tuple[str, str]]) -> None:
    """Providers are asked in the order of the configuration."""
    assert read(router(*map(TableProvider, order)), f"namespaces/shop/{path}") == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param(({"q": [1]}, {"q": [2]}), ["1"], id="the first that has series answers"),
        pytest.param(({"q": [2]}, {"q": [1]}), ["2"], id="turned round"),
        pytest.param(({}, {"q": [2]}), ["2"], id="no series goes on to the next"),
        pytest.param(({}, {}), [], id="nobody knows it"),
    ],
)
def test_external_order(order: tuple[dict[str, Any], ...], expected: list[str]) -> None:
    """The same rule for external metrics."""
    asked = router(
        *(TableProvider(external={k: [Quantity.of(v) for v in vs] for k, vs in table.items()}) for table in order)
    )
    values = asked.read_external(parse_external_metric(("namespaces", "shop", "q"), {}), audit_id="a")
    assert [str(value.value) for value in values] == expected


@pytest.mark.parametrize("first", [ServiceUnavailableError("down"), RuntimeError("bug")], ids=["unavailable", "a bug"])
@pytest.mark.parametrize("path", ["pods/cart-0/rps", "pods/*/rps"], ids=["by name", "by selector"])
def test_any_other_failure_stops(first: Exception, path: str) -> None:
    """A provider that is down must not be covered up by the next one's answer."""
    asked = router(TableProvider({("cart-0", "rps"): first}), TableProvider(TWO))
    with pytest.raises(type(first)):
        read(asked, f"namespaces/shop/{path}")


def test_last_not_found_stands() -> None:
    """The sentence is the last provider's, here with the selector that it was asked with."""
    with pytest.raises(MetricNotFoundError) as caught:
        read(router(TableProvider(), TableProvider()), "namespaces/shop/pod/x/rps", metricLabelSelector="a=b")
    assert caught.value.message == "the server could not find the metric rps for pods x with selector a=b"


def test_without_a_provider_nothing_is_found() -> None:
    """A server whose providers only know external metrics answers custom reads with upstream's sentence."""
    with pytest.raises(MetricNotFoundError, match="the metric rps for pods cart-0"):
        read(router(), "namespaces/shop/pods/cart-0/rps")


def test_names_are_normalised_before_a_provider_is_asked() -> None:
    """A provider sees one name for a resource: the plural with its group."""
    provider = TableProvider({("cart", "q"): 5})
    read(router(provider), "namespaces/shop/deployment/cart/q")
    ((_, info),) = provider.asked
    assert info.group_resource == GroupResource("deployments", "apps")


def test_unknown_resource_reaches_no_provider() -> None:
    """The mapper refuses it first."""
    provider = TableProvider()
    with pytest.raises(ResourceNotFoundError):
        read(router(provider), "namespaces/shop/nonsense/x/y")
    assert provider.asked == []


def test_series_selector_is_echoed_where_the_provider_did_not() -> None:
    """Authors need not build a LabelSelector themselves."""
    query = parse_custom_metric(split_path("namespaces/shop/pods/cart-0/rps"), {"metricLabelSelector": "a=b"})
    (value,) = router(TableProvider(ONE)).read_custom(query, audit_id="a")
    assert value.metric.selector is not None
    assert value.metric.selector.match_labels == {"a": "b"}


def test_writes_without_a_writable_provider_are_not_found() -> None:
    """As if the routes were not there."""
    with pytest.raises(NotFoundError):
        router(TableProvider()).delete_external("shop", ExternalMetricInfo("q"), {})
    with pytest.raises(NotFoundError):
        router(TableProvider()).delete_custom(NamespacedName("shop", "x"), TableProvider().listing or _info())


def _info() -> Any:
    from tests.fakes import info

    return info("pods", "rps")
