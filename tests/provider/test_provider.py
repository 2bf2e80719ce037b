"""The public contract: its names, its helpers and the default of a selector read."""

from __future__ import annotations

import dataclasses

import pytest

import metrics_apiserver.provider
from metrics_apiserver.errors import BadRequestError, ResourceNotFoundError
from metrics_apiserver.model import selectors
from metrics_apiserver.model.metrics import CustomMetricInfo
from metrics_apiserver.provider import (
    CustomMetricsProvider,
    GroupResource,
    MetricNotFoundError,
    NamespacedName,
    ObjectReference,
    RequestContext,
    list_object_names,
    metric_value,
    reference_for,
    resource_for,
)
from tests.fakes import NOON, TableProvider, info, provider_context, request_context


def test_exported_names_are_sorted_and_there() -> None:
    """What a provider may import is exactly this list."""
    names = metrics_apiserver.provider.__all__
    assert sorted(names) == sorted(set(names))
    assert all(hasattr(metrics_apiserver.provider, name) for name in names)
    assert names == sorted(names, key=lambda name: (name[0].islower(), name))


def test_provider_without_its_method_cannot_be_built() -> None:
    """The error names the method."""

    class Forgetful(CustomMetricsProvider):
        pass

    with pytest.raises(TypeError, match="get_metric_by_name"):
        Forgetful(provider_context(), {})  # type: ignore[abstract]  # what is tested


def test_one_method_is_enough_for_selector_reads() -> None:
    """The default lists the objects and asks by name; objects without a value are left out."""
    provider = TableProvider({("cart-0", "rps"): 1, ("db-0", "rps"): 3})
    values = provider.get_metric_by_selector(
        request_context(), "shop", selectors.EVERYTHING, info("pods", "rps"), selectors.EVERYTHING
    )
    assert [(value.described_object.name, str(value.value)) for value in values] == [("cart-0", "1"), ("db-0", "3")]


def test_number_that_is_none_leaves_its_object_out() -> None:
    """A backend says NaN where it has no sample; the other objects have theirs."""
    provider = TableProvider({("cart-0", "rps"): float("nan"), ("cart-1", "rps"): 3})
    values = provider.get_metric_by_selector(
        request_context(), "shop", selectors.parse("app=cart"), info("pods", "rps"), selectors.parse("")
    )
    assert [value.described_object.name for value in values] == ["cart-1"]


def test_other_failure_of_one_object_fails_the_list() -> None:
    """Only a missing value is not a failure."""
    provider = TableProvider({("cart-0", "rps"): BadRequestError("no")})
    with pytest.raises(BadRequestError):
        provider.get_metric_by_selector(
            request_context(), "shop", selectors.EVERYTHING, info("pods", "rps"), selectors.EVERYTHING
        )


@pytest.mark.parametrize(
    ("asked", "name", "expected"),
    [
        pytest.param(
            info("pods", "m"),
            NamespacedName("shop", "x"),
            ObjectReference("Pod", "x", "/v1", "shop"),
            id="the core group's version has a slash in front",
        ),
        pytest.param(
            info("deployment.apps", "m"),
            NamespacedName("shop", "x"),
            ObjectReference("Deployment", "x", "apps/v1", "shop"),
            id="another group",
        ),
        pytest.param(
            info("nodes", "m", namespaced=False),
            NamespacedName("", "n"),
            ObjectReference("Node", "n", "/v1", ""),
            id="a root-scoped object has no namespace",
        ),
    ],
)
def test_reference(asked: CustomMetricInfo, name: NamespacedName, expected: ObjectReference) -> None:
    """The described object as clients have read it for years."""
    assert reference_for(provider_context().mapper, name, asked) == expected


def test_resource_in_its_preferred_version() -> None:
    """For whoever asks the cluster's API."""
    found = resource_for(provider_context().mapper, info("horizontalpodautoscalers", "m"))
    assert (found.group, found.version) == ("autoscaling", "v2")


@pytest.mark.parametrize(
    ("resource", "namespace", "selector", "expected"),
    [
        pytest.param("pods", "shop", "app=cart", ["shop/cart-0", "shop/cart-1"], id="by label"),
        pytest.param("pods", "", "", ["shop/cart-0", "shop/cart-1", "shop/db-0"], id="in every namespace"),
        pytest.param("pods", "bank", "", [], id="in a namespace without any"),
        pytest.param("nodes", "", "zone=z1", ["node-a"], id="root-scoped"),
        pytest.param("nodes", "shop", "", [], id="root-scoped, asked for in a namespace"),
    ],
)
def test_object_names(resource: str, namespace: str, selector: str, expected: list[str]) -> None:
    """Sorted by namespace, then name."""
    names = list_object_names(
        provider_context(), request_context(), namespace, selectors.parse(selector), info(resource, "m")
    )
    assert [str(name) for name in names] == expected


def test_unknown_resource_says_what_is_known() -> None:
    """In upstream's words, and then what there is."""
    with pytest.raises(
        ResourceNotFoundError, match=r"^no matches for example\.com/, Resource=nonsense; known resources: "
    ):
        resource_for(provider_context().mapper, info("nonsense.example.com", "m"))


def test_known_resources_are_cut_to_what_can_be_read() -> None:
    """A cluster with a thousand CRDs gives no message of a thousand names."""
    error = ResourceNotFoundError(GroupResource("x"), [GroupResource(f"r{number:03}") for number in range(100)])
    assert error.message.endswith("r078, r079 and 20 more")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MetricNotFoundError(GroupResource("pods"), "m"), "the server could not find the metric m for pods"),
        (
            MetricNotFoundError(GroupResource("deployments", "apps"), "m", "x"),
            "the server could not find the metric m for deployments.apps x",
        ),
        (
            MetricNotFoundError(GroupResource("pods"), "m", "x", selectors.parse("b=1,a")),
            "the server could not find the metric m for pods x with selector a,b=1",
        ),
        (
            MetricNotFoundError(GroupResource("pods"), "m", "x", selectors.EVERYTHING),
            "the server could not find the metric m for pods x",
        ),
    ],
)
def test_not_found_sentences(error: MetricNotFoundError, sentence: str) -> None:
    """Upstream's three sentences (provider/errors.go)."""
    assert (error.message, error.code, error.reason) == (sentence, 404, "NotFound")


def test_metric_value_takes_any_number_and_the_present_time() -> None:
    """What an author writes most."""
    value = metric_value(provider_context(), NamespacedName("shop", "x"), info("pods", "m"), 0.1, window_seconds=30)
    assert (str(value.value), value.timestamp, value.window_seconds) == ("100m", NOON, 30)
    assert value.metric.name == "m"


@pytest.mark.parametrize(("later", "remaining"), [(0.25, 0.75), (1.0, 0.0), (5.0, 0.0)])
def test_remaining_time_of_a_read(later: float, remaining: float) -> None:
    """What is left of the deadline, never less than nothing."""
    context: RequestContext = request_context()
    context.clock.seconds += later  # type: ignore[attr-defined]  # it is the fake one
    assert context.remaining() == remaining


def test_contexts_are_frozen() -> None:
    """A provider cannot change what others are given."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        provider_context().name = "other"  # type: ignore[misc]  # what is tested
