"""Reads of custom metrics: which objects a function is given, and which of its values are read."""

# ruff: noqa: ARG005 - what a function takes is what is tested

from __future__ import annotations

from typing import Any

import pytest

from metrics_apiserver.model import selectors
from metrics_apiserver.provider import (
    BadRequestError,
    MetricNotFoundError,
    NamespacedName,
    RequestContext,
    ServiceUnavailableError,
)
from metrics_apiserver.provider.functions import NAMESPACE_ALL, Value, every
from tests.fakes import info
from tests.providers.functions.served import Served


def test_custom_function_that_is_asked_gets_the_objects(served: Served) -> None:
    """All at once, and those that it leaves out have no value."""
    given: list[Any] = []

    @served.metrics.custom("pods", "open-sessions")
    def open_sessions(ctx: RequestContext, objects: Any) -> Any:
        given.append(objects)
        return {o.name: 7 for o in objects if o.name != "cart-1"}

    assert served.by_name("cart-0") == "7"
    found = served.by_selector("app=cart")
    assert "cart-0" in found
    assert "cart-1" not in found
    assert given[0] == (NamespacedName("shop", "cart-0"),)
    assert NamespacedName("shop", "cart-1") in given[1]
    with pytest.raises(MetricNotFoundError, match="the server could not find the metric open-sessions for pods cart-1"):
        served.by_name("cart-1")


def test_custom_function_is_not_called_for_no_object(served: Served) -> None:
    served.metrics.custom("pods", "open-sessions")(lambda: 1 / 0)
    assert served.by_selector("app=nowhere") == {}
    assert served.by_selector(of=info("pods", "unknown")) == {}


def test_resource_may_be_written_in_the_singular(served: Served) -> None:
    """Reads come with the plural and the group."""
    served.metrics.custom("deployment.apps", "lag")(lambda: 3)
    assert served.by_name("cart", of=info("deployments.apps", "lag")) == "3"
    assert set(served.provider.list_all_metrics()) == {info("deployments.apps", "lag")}


def test_resource_that_the_cluster_does_not_have_is_not_listed(served: Served) -> None:
    served.metrics.custom("unicorns", "horns")(lambda: 1)
    assert set(served.provider.list_all_metrics()) == set()
    assert served.by_selector(of=info("pods", "horns")) == {}


def test_polled_custom_metric_is_read_by_the_objects_that_match(served: Served) -> None:
    """The function is given all objects, and what it says of others than the cluster's is seen by name only."""
    served.metrics.custom("pods", "open-sessions", trigger=every(minutes=1), namespace="shop")(
        lambda ctx, objects: {**dict.fromkeys(objects, 7), "unknown-0": 9}
    )
    assert served.when_polled(lambda: served.by_name("cart-0")) == "7"
    found = served.by_selector("app=cart")
    assert found == dict.fromkeys(found, "7")
    assert found
    assert served.by_name("unknown-0") == "9"
    with pytest.raises(MetricNotFoundError):
        served.by_name("cart-0", namespace="elsewhere")


def test_polled_function_of_every_namespace_has_to_say_which(served: Served) -> None:
    served.metrics.custom("pods", "open-sessions", trigger=every(minutes=1))(
        lambda ctx, objects: {o.name: 7 for o in objects}
    )
    with pytest.raises(ServiceUnavailableError, match="does not say in which namespace: use the object itself"):
        served.when_polled(lambda: served.by_name("cart-0"))


def test_polled_number_is_that_of_every_object(served: Served) -> None:
    served.metrics.custom("nodes", "temperature", trigger=every(minutes=1))(lambda: 30)
    nodes = info("nodes", "temperature", namespaced=False)
    found = served.when_polled(lambda: served.by_selector(namespace="", of=nodes))
    assert found
    assert set(found.values()) == {"30"}


def test_list_over_all_namespaces_asks_each_answerer(served: Served) -> None:
    """Objects of a namespace with its own function are its."""
    of = info("pods", "open-sessions", namespaced=False)
    served.metrics.add_custom_metric(NAMESPACE_ALL, "pods", "open-sessions", None, lambda: 1)
    served.metrics.add_custom_metric("shop", "pods", "open-sessions", None, lambda: 2)
    values = served.provider.get_metric_by_selector(served.ctx(), "", selectors.EVERYTHING, of, selectors.EVERYTHING)
    by_namespace = {(value.described_object.namespace, str(value.value)) for value in values}
    assert ("shop", "2") in by_namespace
    assert {number for namespace, number in by_namespace if namespace != "shop"} <= {"1"}


def test_series_of_an_object_are_selected_one_at_a_time(served: Served) -> None:
    """An object has one value: to add two up would be a guess."""
    value = Value(9).add_selector("path", "a", 4).add_selector("path", "b", 5)
    served.metrics.custom("pods", "open-sessions")(lambda ctx, objects: dict.fromkeys(objects, value))
    assert served.by_name("cart-0") == "9"
    assert served.by_name("cart-0", "path=b") == "5"
    assert set(served.by_selector(series="path=a").values()) == {"4"}
    assert served.by_selector(series="path=c") == {}
    with pytest.raises(MetricNotFoundError, match="with selector path=c"):
        served.by_name("cart-0", "path=c")
    with pytest.raises(
        BadRequestError, match=r"2 series of the metric open-sessions for pods cart-0 match path in \(a,"
    ):
        served.by_name("cart-0", "path in (a,b)")


def test_number_has_no_series(served: Served) -> None:
    served.metrics.custom("pods", "open-sessions")(lambda: 7)
    with pytest.raises(MetricNotFoundError):
        served.by_name("cart-0", "!path")
