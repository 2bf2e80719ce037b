"""What a request is about: the reference's RequestInfo, and that the routes serve what it says."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.apis.custom import CUSTOM_METRICS_API, CustomMetricQuery
from metrics_apiserver.apis.external import EXTERNAL_METRICS_API
from metrics_apiserver.auth.request_info import RequestInfo, request_info
from metrics_apiserver.errors import BadRequestError, NotFoundError, StatusError
from metrics_apiserver.target import read_target

CUSTOM, EXTERNAL = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/external.metrics.k8s.io/v1beta1"


def resource(verb: str, **fields: object) -> dict[str, object]:
    """What is expected of a request for a resource."""
    return {"verb": verb, "is_resource": True, **fields}


def path(verb: str, text: str) -> dict[str, object]:
    """What is expected of a request for a path."""
    return {"verb": verb, "path": text, "is_resource": False}


SHOP = {"namespace": "shop"}
POD = {**SHOP, "resource": "pods", "name": "cart-0", "subresource": "qps"}
QUEUE = {**SHOP, "resource": "queue"}


def check(method: str, target: str, expected: dict[str, object]) -> None:
    info = request_info(method, read_target(target))
    defaults = RequestInfo("", info.path, group=info.group, version=info.version)
    assert info == defaults._replace(**expected)


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        pytest.param("GET", "/namespaces/shop/pods/cart-0/qps", resource("get", **POD), id="a value by name"),
        pytest.param("HEAD", "/namespaces/shop/pods/cart-0/qps", resource("get", **POD), id="HEAD is get"),
        pytest.param("POST", "/namespaces/shop/pods/cart-0/qps", resource("create", **POD), id="POST is create"),
        pytest.param("PUT", "/namespaces/shop/pods/cart-0/qps", resource("update", **POD), id="PUT is update"),
        pytest.param("PATCH", "/namespaces/shop/pods/cart-0/qps", resource("patch", **POD), id="PATCH is patch"),
        pytest.param("DELETE", "/namespaces/shop/pods/cart-0/qps", resource("delete", **POD), id="DELETE with a name"),
        pytest.param("OPTIONS", "/namespaces/shop/pods/cart-0/qps", resource("", **POD), id="another method: no verb"),
        pytest.param(
            "GET",
            "/namespaces/shop/pods/*/qps",
            resource("get", **{**POD, "name": "*"}),
            id="by selector the name is *",
        ),
        pytest.param(
            "GET", "/namespaces/shop/pods/%2A/qps", resource("get", **{**POD, "name": "*"}), id="an encoded name"
        ),
        pytest.param("GET", "/namespaces/shop/pods/cart-0/qps/", resource("get", **POD), id="a trailing slash"),
        pytest.param(
            "GET",
            "/namespaces/shop/pods/*/qps?labelSelector=a&fieldSelector=metadata.name%3Dx&watch=1",
            resource("get", **{**POD, "name": "*"}),
            id="a read with a name is changed by no parameter",
        ),
        pytest.param(
            "GET",
            "/namespaces/shop/deployments.apps/cart/qps",
            resource("get", **{**POD, "resource": "deployments.apps", "name": "cart"}),
            id="a resource as written",
        ),
        pytest.param(
            "GET",
            "/namespaces/shop/metrics/qps",
            resource("get", **SHOP, resource="metrics", name="qps"),
            id="a metric of a namespace",
        ),
        pytest.param(
            "GET",
            "/nodes/a/heat",
            resource("get", resource="nodes", name="a", subresource="heat"),
            id="at the cluster's scope",
        ),
        pytest.param(
            "GET", "/nodes/a/heat/b/c", resource("get", resource="nodes", name="a", subresource="heat"), id="longer"
        ),
        pytest.param("GET", "/pods", resource("list", resource="pods"), id="a list"),
        pytest.param("GET", "/pods/", resource("list", resource="pods"), id="a list, with a trailing slash"),
        pytest.param("DELETE", "/pods", resource("deletecollection", resource="pods"), id="DELETE without a name"),
        pytest.param("POST", "/pods", resource("create", resource="pods"), id="POST without a name"),
        pytest.param("GET", "/namespaces", resource("list", resource="namespaces"), id="the namespaces"),
        pytest.param(
            "GET",
            "/namespaces/shop",
            resource("get", **SHOP, resource="namespaces", name="shop"),
            id="a namespace is in itself",
        ),
        pytest.param(
            "GET",
            "/namespaces/shop/status",
            resource("get", **SHOP, resource="namespaces", name="shop", subresource="status", misleading=True),
            id="a namespace's status",
        ),
        pytest.param(
            "GET",
            "/namespaces/shop/finalize/a/b",
            resource("get", **SHOP, resource="namespaces", name="shop", subresource="finalize", misleading=True),
            id="a namespace's finalize, and more",
        ),
        pytest.param(
            "GET",
            "/watch/namespaces/shop/pods",
            resource("watch", **SHOP, resource="pods", misleading=True),
            id="watch in the path",
        ),
        pytest.param(
            "DELETE",
            "/watch/pods/a/b?labelSelector=x",
            resource("watch", resource="pods", name="a", subresource="b", misleading=True),
            id="watch in the path, whatever the method",
        ),
        pytest.param(
            "GET",
            "/watch/pods?labelSelector=x&fieldSelector=metadata.name%3Dy",
            resource("watch", resource="pods", misleading=True),
            id="watch in the path has no selectors",
        ),
        pytest.param(
            "GET",
            "/proxy/pods/a/b",
            resource("proxy", resource="pods", name="a", misleading=True),
            id="proxy has no subresource",
        ),
        pytest.param(
            "GET",
            "/namespaces/shop/watch/a/b",
            resource("get", **SHOP, resource="watch", name="a", subresource="b"),
            id="watch in a namespace is a resource",
        ),
    ],
)
def test_a_request_for_a_resource(method: str, target: str, expected: dict[str, object]) -> None:
    info = {"group": "custom.metrics.k8s.io", "version": "v1beta2", **expected}
    check(method, CUSTOM + target, info)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", resource("list"), id="nothing"),
        pytest.param("watch=true", resource("watch"), id="watch"),
        pytest.param("watch=1", resource("watch"), id="watch by a number"),
        pytest.param("watch", resource("watch"), id="watch without a value"),
        pytest.param("watch=no", resource("watch"), id="watch by what is not false"),
        pytest.param("watch=False", resource("list"), id="no watch"),
        pytest.param("watch=0&watch=1", resource("list"), id="of two the first counts"),
        pytest.param("labelSelector=a%3Db", resource("list", label_selector="a=b"), id="a label selector"),
        pytest.param("labelSelector=a%3Db&labelSelector=c", resource("list", label_selector="a=b"), id="two of them"),
        pytest.param("labelSelector=((", resource("list", label_selector="(("), id="one that is wrong"),
        pytest.param(
            "fieldSelector=metadata.name%3Dx",
            resource("list", name="x", field_selector="metadata.name=x"),
            id="one name",
        ),
        pytest.param(
            "fieldSelector=metadata.name%3D%3Dx&watch=1",
            resource("watch", name="x", field_selector="metadata.name==x"),
            id="one name, watched",
        ),
        pytest.param(
            "fieldSelector=a!%3Db,,metadata.name%3Dx,metadata.name%3Dy",
            resource("list", name="x", field_selector="a!=b,,metadata.name=x,metadata.name=y"),
            id="the first of two names",
        ),
        pytest.param(
            "fieldSelector=metadata.name!%3Dx",
            resource("list", field_selector="metadata.name!=x"),
            id="all names but one",
        ),
        pytest.param(
            "fieldSelector=metadata.namespace%3Dx",
            resource("list", field_selector="metadata.namespace=x"),
            id="another field",
        ),
        pytest.param(
            r"fieldSelector=metadata.name%3Da\,b", resource("list", name="a,b", field_selector=r"metadata.name=a\,b"),
            id="an escaped comma",
        ),
        pytest.param(
            r"fieldSelector=metadata.name%3Da\b", resource("list", field_selector=r"metadata.name=a\b"),
            id="a wrong escape",
        ),
        pytest.param(
            "fieldSelector=metadata.name%3Dx,y", resource("list", field_selector="metadata.name=x,y"),
            id="a term without an operator",
        ),
        pytest.param(
            "fieldSelector=metadata.name%3Dx%3Dy", resource("list", field_selector="metadata.name=x=y"),
            id="two operators",
        ),
        pytest.param(
            "fieldSelector=metadata.name%3D..", resource("list", field_selector="metadata.name=.."), id="no name: .."
        ),
        pytest.param(
            "fieldSelector=metadata.name%3Da%2Fb", resource("list", field_selector="metadata.name=a/b"),
            id="no name: a slash",
        ),
        pytest.param(
            "fieldSelector=metadata.name%3Da%2525", resource("list", field_selector="metadata.name=a%25"),
            id="no name: a percent sign",
        ),
        pytest.param(
            "fieldSelector=metadata.name%3D", resource("list", field_selector="metadata.name="), id="an empty name"
        ),
        pytest.param(
            "fieldSelector=metadata.name%3Dx&limit=many", resource("list", field_selector="metadata.name=x"),
            id="a limit that cannot be read takes the name along",
        ),
        pytest.param(
            "fieldSelector=metadata.name%3Dx&limit=5", resource("list", name="x", field_selector="metadata.name=x"),
            id="a limit that can be read",
        ),
        pytest.param(
            "fieldSelector=metadata.name%3Dx&labelSelector=((",
            resource("list", label_selector="((", field_selector="metadata.name=x"),
            id="a label selector that cannot be read takes the name along",
        ),
    ],
)  # fmt: skip
def test_a_read_without_a_name(query: str, expected: dict[str, object]) -> None:
    info = {"group": "external.metrics.k8s.io", "version": "v1beta1", **QUEUE, **expected}
    check("GET", f"{EXTERNAL}/namespaces/shop/queue?{query}", info)


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        pytest.param("GET", "/", path("get", "/"), id="the root"),
        pytest.param("GET", "/?watch=1", path("get", "/"), id="with a query"),
        pytest.param("GET", "/apis", path("get", "/apis"), id="the groups"),
        pytest.param("GET", "/apis/custom.metrics.k8s.io", path("get", "/apis/custom.metrics.k8s.io"), id="a group"),
        pytest.param("GET", CUSTOM, path("get", CUSTOM), id="a version"),
        pytest.param("GET", CUSTOM + "/", path("get", CUSTOM + "/"), id="a version, with a trailing slash"),
        pytest.param("GET", "/openapi/v3/apis/a/b", path("get", "/openapi/v3/apis/a/b"), id="not below /apis"),
        pytest.param("GET", "/api/v1", path("get", "/api/v1"), id="the old group's version"),
        pytest.param("GET", "/%61pi%2Ds", path("get", "/api-s"), id="decoded"),
        pytest.param("GET", "/metrics/", path("get", "/metrics/"), id="with a trailing slash"),
        pytest.param(
            "POST",
            "/write-metrics/namespaces/shop/pods/a/qps",
            path("post", "/write-metrics/namespaces/shop/pods/a/qps"),
            id="a write",
        ),
        pytest.param("DELETE", "/write-metrics/x", path("delete", "/write-metrics/x"), id="a delete"),
        pytest.param("OPTIONS", "/metrics", path("options", "/metrics"), id="any method"),
    ],
)
def test_a_request_for_a_path(method: str, target: str, expected: dict[str, object]) -> None:
    check(method, target, expected)


def test_the_old_group_has_no_name() -> None:
    check("GET", "/api/v1/pods", {**resource("list", resource="pods"), "group": "", "version": "v1"})
    check("GET", "/api/v1/namespaces/a/pods/b", {**resource("get", namespace="a", resource="pods", name="b")})


@pytest.mark.parametrize(
    ("target", "error"),
    [
        pytest.param("/a//b", NotFoundError, id="an empty segment"),
        pytest.param("/a/../b", NotFoundError, id="two dots"),
        pytest.param("/a/%2e%2E/b", NotFoundError, id="two encoded dots"),
        pytest.param("/a%2Fb", NotFoundError, id="an encoded slash"),
        pytest.param("/a%00", NotFoundError, id="NUL"),
        pytest.param("/a%C0%AF", NotFoundError, id="overlong"),
        pytest.param(CUSTOM + "/watch", NotFoundError, id="watch of nothing"),
        pytest.param(CUSTOM + "/proxy/", NotFoundError, id="proxy of nothing"),
        pytest.param(CUSTOM + "/pods?a=%ff", BadRequestError, id="a query that is not UTF-8"),
        pytest.param(CUSTOM + "/pods?" + "a&" * 1001, BadRequestError, id="a query of too many parameters"),
    ],
)
def test_what_cannot_be_told_is_refused(target: str, error: type[StatusError]) -> None:
    with pytest.raises(error):
        request_info("GET", read_target(target))


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "BREW"]),
    raw_path=st.text(st.characters(max_codepoint=255)),
    query=st.text(st.characters(max_codepoint=0x10FFFF, exclude_categories=["Cs"])),
)
def test_whatever_comes_is_told_or_refused(method: str, raw_path: str, query: str) -> None:
    for prefix in ("/", CUSTOM + "/", EXTERNAL + "/namespaces/"):
        try:
            info = request_info(method, read_target(f"{prefix}{raw_path}?{query}"))
        except StatusError as error:
            assert error.code in (400, 404)  # noqa: PT017 - not every path is refused
        else:
            assert info.path.startswith("/")


# Words that mean something, and others.
WORDS = st.sampled_from(["namespaces", "metrics", "watch", "proxy", "status", "finalize", "pods", "deployments.apps"])
SEGMENTS = st.lists(WORDS | st.text(min_size=1, max_size=5), min_size=1, max_size=7)
QUERIES = st.sampled_from(["", "watch=1", "labelSelector=a", "fieldSelector=metadata.name%3Dx", "a=%ff"])


@given(segments=SEGMENTS, query=QUERIES, slash=st.sampled_from(["", "/"]))
def test_what_is_served_is_what_was_authorized(segments: list[str], query: str, slash: str) -> None:
    raw_path = "/" + "/".join(quote(segment, safe="*") for segment in segments) + slash
    try:
        custom = CUSTOM_METRICS_API.parse(read_target(raw_path).segments, {})
    except StatusError:
        pass
    else:
        assert_authorized(custom, request_info("GET", read_target(f"{CUSTOM}{raw_path}?{query}")))
    try:
        external = EXTERNAL_METRICS_API.parse(read_target(raw_path).segments, {})
        info = request_info("GET", read_target(f"{EXTERNAL}{raw_path}?{query}"))
    except StatusError:
        return
    served = (external.namespace, external.info.metric, "")
    assert info.misleading or (info.namespace, info.resource, info.subresource) == served


def assert_authorized(query: CustomMetricQuery, info: RequestInfo) -> None:
    """A custom metric is served as the object's subresource; one of a namespace as the namespace's metrics."""
    resource, metric, name = str(query.info.group_resource), query.info.metric, query.name or "*"
    of_object = (query.namespace, resource, name, metric)
    of_namespace = (name, "metrics", metric, "")
    authorized = (info.namespace, info.resource, info.name, info.subresource)
    expected = of_object if info.resource != "metrics" or info.subresource else of_namespace
    assert info.misleading or authorized == expected
    assert info.misleading or info.verb == "get"
