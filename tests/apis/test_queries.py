"""Path and query string → query object: the grammar of the metric routes."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.apis.custom import CUSTOM_METRICS_API
from metrics_apiserver.apis.external import EXTERNAL_METRICS_API
from metrics_apiserver.apis.parameters import parse_parameters
from metrics_apiserver.errors import BadRequestError, MethodNotAllowedError, NotFoundError, StatusError
from metrics_apiserver.model.resources import GroupResource, NamespacedName
from metrics_apiserver.target import read_target


@pytest.mark.parametrize(
    ("path", "resource", "namespaced", "namespace", "name", "metric"),
    [
        pytest.param("namespaces/shop/pods/cart-0/rps", "pods", True, "shop", "cart-0", "rps", id="an object"),
        pytest.param("namespaces/shop/pods/*/rps", "pods", True, "shop", None, "rps", id="every object"),
        pytest.param("namespaces/shop/pods/%2A/rps", "pods", True, "shop", None, "rps", id="an encoded star"),
        pytest.param("nodes/node-a/heat", "nodes", False, "", "node-a", "heat", id="a root-scoped object"),
        pytest.param("namespaces/shop/nodes/n/heat", "nodes", True, "shop", "n", "heat", id="the scope of the path"),
        pytest.param("namespaces/shop/metrics/q", "namespaces", False, "", "shop", "q", id="the namespace itself"),
        pytest.param("namespaces/*/metrics/q", "namespaces", False, "", None, "q", id="every namespace"),
        pytest.param("namespaces/a/deployments.apps/x/q", "deployments.apps", True, "a", "x", "q", id="a group"),
        pytest.param("namespaces/a/pods/x/q/", "pods", True, "a", "x", "q", id="a trailing slash"),
        pytest.param("namespaces/a/pods/x/a%20b", "pods", True, "a", "x", "a b", id="an encoded space"),
    ],
)
def test_custom_path(path: str, resource: str, namespaced: bool, namespace: str, name: str | None, metric: str) -> None:
    """Each shape of path names resource, scope, object and metric."""
    query = CUSTOM_METRICS_API.parse(read_target(f"/{path}").segments, {})
    assert query.info.group_resource == GroupResource.parse(resource)
    assert (query.info.namespaced, query.info.metric) == (namespaced, metric)
    assert (query.namespace, query.name) == (namespace, name)
    if name is not None:
        assert query.object_name == NamespacedName(namespace, name)


@pytest.mark.parametrize(
    "path",
    [
        "namespaces/shop/pods//rps",
        "namespaces//pods/x/rps",
        "namespaces/shop/pods/a%2Fb/rps",
        "namespaces/shop/pods/../rps",
        "namespaces/shop/pods/%2E%2E/rps",
        "namespaces/shop/pods/%00/rps",
        "namespaces/shop/pods/%FF/rps",
        "namespaces/shop/pods/a%0Ab/rps",
        "namespaces/shop/pods/cart-0",
        "namespaces/shop",
        "namespaces",
        "pods/cart-0",
        "a/b/c/d",
        "namespaces/shop/pods/a/b/c",
        "",
    ],
)
def test_no_path_of_the_api(path: str) -> None:
    """What is no path of the API is not found, in the apiserver's words."""
    with pytest.raises(NotFoundError, match="could not find the requested resource"):
        CUSTOM_METRICS_API.parse(read_target(f"/{path}").segments, {})


@pytest.mark.parametrize(
    ("selector", "name", "problem"),
    [
        pytest.param("metadata.name=a", "a", None, id="agrees"),
        pytest.param("metadata.name==a", "a", None, id="agrees with a double equals sign"),
        pytest.param("metadata.name=a,metadata.namespace=x", "a", None, id="agrees, beside a namespace"),
        pytest.param("metadata.name=*", "*", None, id="agrees with every name"),
        pytest.param(r"metadata.name=a\,b", "a,b", None, id="agrees with an escaped comma"),
        pytest.param("", "a", None, id="none"),
        pytest.param(",", "a", None, id="only a comma"),
        pytest.param("metadata.name=b", "a", "doesn't match requested name", id="another name"),
        pytest.param("metadata.name!=b", "a", "doesn't match requested name", id="not a name"),
        pytest.param("metadata.namespace=x", "a", "doesn't match requested name", id="only a namespace"),
        pytest.param("spec.x=1", "a", '"spec.x" is not a known field selector: only "metadata.name"', id="a field"),
        pytest.param("name", "a", "can't understand 'name'", id="no operator"),
    ],
)
def test_field_selector(selector: str, name: str, problem: str | None) -> None:
    """A fieldSelector must agree with the name in the path."""
    segments = ("namespaces", "x", "pods", name, "rps")
    if problem is None:
        CUSTOM_METRICS_API.parse(segments, {"fieldSelector": selector})
    else:
        with pytest.raises(BadRequestError) as caught:
            CUSTOM_METRICS_API.parse(segments, {"fieldSelector": selector})
        assert problem in caught.value.message


@pytest.mark.parametrize("operator", [">", "<"])
def test_comparison_in_a_metric_label_selector_is_refused(operator: str) -> None:
    """A metricLabelSelector is echoed as a LabelSelector, which knows no comparison."""
    with pytest.raises(BadRequestError, match="isn't supported in label selectors"):
        CUSTOM_METRICS_API.parse(("nodes", "n", "heat"), {"metricLabelSelector": f"a{operator}3"})


def test_metric_label_selector_with_unequal_is_echoed_as_not_in() -> None:
    """The reference fails here; ours has an equivalent to echo."""
    query = CUSTOM_METRICS_API.parse(("nodes", "n", "heat"), {"metricLabelSelector": "verb!=GET"})
    assert query.metric_label_selector is not None
    (expression,) = query.metric_label_selector.match_expressions
    assert (expression.key, expression.operator, expression.values) == ("verb", "NotIn", ("GET",))


@pytest.mark.parametrize(
    ("query_string", "expected"),
    [
        pytest.param("a=1&a=2", {"a": "1"}, id="a repeated parameter counts once, the first"),
        pytest.param("a=b%3Dc&x", {"a": "b=c", "x": ""}, id="decoded, and a parameter without a value"),
        pytest.param("a=foo+in+(x)", {"a": "foo in (x)"}, id="a plus is a space"),
    ],
)
def test_parameters(query_string: str, expected: dict[str, str]) -> None:
    """The query string as Go's url.Query reads it."""
    assert parse_parameters(query_string) == expected


@pytest.mark.parametrize("query_string", ["a=%FF", "&".join("a=1" for _ in range(1001))], ids=["no UTF-8", "too many"])
def test_bad_parameters(query_string: str) -> None:
    """What cannot be read is refused with a sentence."""
    with pytest.raises(BadRequestError):
        parse_parameters(query_string)


def test_external_path_reads_the_label_selector_as_the_series_selector() -> None:
    """An external metric has no object: the labelSelector picks its series, comparisons included."""
    query = EXTERNAL_METRICS_API.parse(
        ("namespaces", "*", "queue"), {"labelSelector": "a>3", "fieldSelector": "metadata.namespace=x"}
    )
    assert (query.namespace, query.info.metric, str(query.metric_selector)) == ("*", "queue", "a>3")


@pytest.mark.parametrize("path", ["namespaces", "namespaces/a", "queue", "namespaces/a/b/c", "namespace/a/b"])
def test_no_external_path(path: str) -> None:
    """The external API has one shape of path."""
    with pytest.raises(NotFoundError):
        EXTERNAL_METRICS_API.parse(read_target(f"/{path}").segments, {})


@given(
    st.text(max_size=60),
    st.dictionaries(st.sampled_from(["labelSelector", "metricLabelSelector", "fieldSelector"]), st.text(max_size=30)),
)
def test_any_text_is_a_query_or_a_status(path: str, parameters: dict[str, str]) -> None:
    """Nothing that a client sends raises anything but an error with a Status."""
    for parse in (CUSTOM_METRICS_API.parse, EXTERNAL_METRICS_API.parse):
        try:
            parse(read_target(f"/{quote(path)}").segments, parameters)
        except StatusError as error:
            assert error.code in (400, 404)  # noqa: PT017 - either outcome is fine, another exception is not


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        pytest.param({"watch": "1"}, MethodNotAllowedError, id="a watch"),
        pytest.param({"watch": ""}, MethodNotAllowedError, id="a watch without a value"),
        pytest.param({"watch": "no"}, MethodNotAllowedError, id="a watch by what is not false"),
        pytest.param({"fieldSelector": "metadata.name=x"}, BadRequestError, id="one name"),
        pytest.param({"fieldSelector": "metadata.namespace=a,metadata.name==x"}, BadRequestError, id="one of two"),
    ],
)
def test_external_read_that_is_judged_as_less_than_a_list_is_not_served(
    parameters: dict[str, str], error: type[StatusError]
) -> None:
    """Access to a watch, or to one name, is not access to the list."""
    with pytest.raises(error):
        EXTERNAL_METRICS_API.parse(("namespaces", "a", "queue"), parameters)


@pytest.mark.parametrize("parameters", [{"watch": "0"}, {"watch": "False"}, {"fieldSelector": "metadata.name!=x"}])
def test_external_read_that_is_judged_as_a_list_is_served(parameters: dict[str, str]) -> None:
    assert EXTERNAL_METRICS_API.parse(("namespaces", "a", "queue"), parameters).namespace == "a"


LIST_PARAMETERS = [
    {"limit": "1"},
    {"limit": "x"},
    {"continue": "abc"},
    {"resourceVersion": "5"},
    {"resourceVersionMatch": "Exact"},
    {"timeoutSeconds": "1"},
    {"timeoutSeconds": "-1"},
    {"sendInitialEvents": "true"},
    {"allowWatchBookmarks": "true"},
    {"pretty": "true"},
]


@pytest.mark.parametrize("parameters", LIST_PARAMETERS, ids=lambda given: "=".join(*given.items()))
def test_other_parameters_of_lists_change_nothing(parameters: dict[str, str]) -> None:
    """Values are of one moment: there are no pages and no versions of them, and the list is always whole."""
    external = ("namespaces", "shop", "queue")
    assert EXTERNAL_METRICS_API.parse(external, parameters) == EXTERNAL_METRICS_API.parse(external, {})
    custom = ("namespaces", "shop", "pods", "*", "rps")
    assert CUSTOM_METRICS_API.parse(custom, parameters) == CUSTOM_METRICS_API.parse(custom, {})
