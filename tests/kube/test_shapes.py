"""JSON may have anything in any place: of what the cluster says the right is used, and the rest is one error."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics_apiserver.bounded_http import Bounds
from metrics_apiserver.kube.authentication_config import AuthenticationConfigMap
from metrics_apiserver.kube.cache import CachePolicy
from metrics_apiserver.kube.client import ClusterClient, ClusterError, _refusal
from metrics_apiserver.kube.discovery import ResourceReader
from metrics_apiserver.kube.listing import list_objects
from metrics_apiserver.kube.objects import ClusterObjects
from metrics_apiserver.kube.reviews import SubjectAccessReviews, TokenReviews
from metrics_apiserver.kube.shapes import ShapeError
from metrics_apiserver.kube.store import ObjectStore
from metrics_apiserver.kube.watch import Watch
from metrics_apiserver.model import selectors
from metrics_apiserver.model.resources import GroupResource
from tests.kube.conftest import FakeCluster, FakeWatch
from tests.kube.test_objects import names, wait_for

LOGGER = logging.getLogger("tests.shapes")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(0, 1)
    | st.sampled_from(["", " ", "v1", "a/b", "\u7d44"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "kind", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
METADATA = {"name": "cart-0", "namespace": "shop", "resourceVersion": "8", "labels": {"app": "cart"}}
PAGE = {"metadata": {"resourceVersion": "7", "continue": ""}, "items": [{"metadata": METADATA}, {"metadata": METADATA}]}
EVENT = {"type": "ADDED", "object": {"kind": "Pod", "metadata": METADATA}}
ERROR = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
CONFIG = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": METADATA, "data": {"client-ca-file": "pem"}}]}
AGGREGATED = {
    "items": [
        {
            "metadata": {"name": "apps"},
            "versions": [
                {
                    "version": "v1",
                    "freshness": "Current",
                    "resources": [
                        {
                            "resource": "deployments",
                            "singularResource": "deployment",
                            "scope": "Namespaced",
                            "responseKind": {"group": "", "version": "", "kind": "Deployment"},
                        }
                    ],
                }
            ],
        }
    ]
}
CORE = {"versions": ["v1"]}
GROUPS = {"groups": [{"name": "apps", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}]}
RESOURCES = {"resources": [{"name": "pods", "singularName": "pod", "kind": "Pod", "namespaced": True}]}
TOKEN = {
    "status": {
        "authenticated": True,
        "audiences": ["a"],
        "user": {"username": "ann", "uid": "1", "groups": ["g"], "extra": {"scopes": ["x"]}},
    }
}
ACCESS = {"status": {"allowed": True, "denied": False, "reason": "because"}}


def places(document: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document, that of the whole included."""
    yield path
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in pairs:
        yield from places(value, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: object) -> Any:
    """Put another value into a place; what the document is by itself stays as it is."""
    if not path:
        return value
    found = copy.deepcopy(document)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


def mutations(document: Any) -> st.SearchStrategy[Any]:
    """The document with one or two places changed."""

    def once(base: Any) -> st.SearchStrategy[Any]:
        return st.builds(lambda path, value: changed(base, path, value), st.sampled_from(list(places(base))), JSON)

    return once(document) | once(document).flatmap(once)


class Answering(ClusterClient):
    """Answers with documents, by path, and with the lines of a watch; everything else is the client's own."""

    def __init__(self, answers: Mapping[str, Any], *, media_type: str = "application/json") -> None:
        self._answers, self._media_type = answers, media_type

    def get_json(self, path: str, **_: Any) -> tuple[str, dict[str, Any]]:
        if not isinstance(self._answers.get(path), dict):
            raise ClusterError(f"GET {path}: the answer is not a JSON object")
        return self._media_type, self._answers[path]

    def post_json(self, path: str, *_: Any, **__: Any) -> dict[str, Any]:
        return self.get_json("")[1]


def read_events(*documents: object) -> list[tuple[str, Mapping[str, Any]]]:
    """Read a watch of these lines, and put what it tells into a store, as a cache does."""

    class Body:
        def __init__(self) -> None:
            self.pieces = iter([b"".join(json.dumps(document).encode() + b"\n" for document in documents), b""])

        def read1(self, _amount: int, *, decode_content: bool) -> bytes:
            return next(self.pieces)

    reading = Watch.__new__(Watch)
    reading._path, reading._bounds = "/x", Bounds()
    reading._response = Body()  # type: ignore[assignment]
    return list(reading)


def consistent(store: ObjectStore) -> None:
    """Everything can be counted, sorted and matched."""
    everything = store.select("", selectors.EVERYTHING)
    assert len(everything) == len(store)
    assert everything == sorted(everything, key=lambda name: (name.namespace, name.name))
    store.select("", selectors.parse("app in (a,b),!c"))
    store.select("shop", selectors.parse("app notin (a)"))


@given(document=mutations(PAGE))
def test_a_page_is_read_or_refused(document: Any) -> None:
    try:
        store, version = list_objects(Answering({"/x": document}), "/x")
    except ClusterError:
        return
    assert isinstance(version, str)
    assert version
    consistent(store)


@given(documents=st.lists(mutations(EVENT) | mutations(ERROR) | JSON, min_size=1, max_size=3))
def test_events_are_read_or_refused(documents: list[Any]) -> None:
    found, status = [], None
    try:
        found = read_events(EVENT, *documents)
    except ClusterError as error:
        status = error.status
    assert status is None or 100 <= status < 1000
    store = ObjectStore()
    for kind, metadata in found:
        try:
            if kind == "DELETED":
                store.remove(metadata)
            elif kind != "BOOKMARK":
                store.put(metadata)
        except ShapeError:
            continue
    consistent(store)


@pytest.mark.parametrize("media_type", ["application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", "x"])
@given(core=mutations(CORE), groups=mutations(GROUPS) | mutations(AGGREGATED), resources=mutations(RESOURCES))
@settings(max_examples=200)
def test_discovery_is_read_or_refused(media_type: str, core: Any, groups: Any, resources: Any) -> None:
    aggregated = media_type != "x"
    answers = {
        "/api": AGGREGATED if aggregated else core,
        "/apis": groups,
        "/api/v1": resources,
        "/apis/apps/v1": resources,
    }
    try:
        table = ResourceReader(Answering(answers, media_type=media_type), logger=LOGGER).read()
    except ClusterError:
        return
    for mapping in table.mappings:
        assert all(
            isinstance(text, str) and text for text in (mapping.kind, mapping.singular, mapping.resource.resource)
        )
        assert table.find(mapping.group_resource) == mapping
    table.find(GroupResource("pods"))


@given(document=mutations(TOKEN))
def test_a_token_review_is_read_or_refused(document: Any) -> None:
    try:
        user = TokenReviews(Answering({"": document})).review("token", ["a"])
    except ClusterError:
        return
    if user is not None:
        texts = (
            user.name,
            user.uid,
            *user.groups,
            *user.extra,
            *(each for values in user.extra.values() for each in values),
        )
        assert all(isinstance(text, str) for text in texts)
        assert hash(user.groups)


@given(document=mutations(ACCESS))
def test_an_access_review_is_read_or_refused(document: Any) -> None:
    try:
        review = SubjectAccessReviews(Answering({"": document})).review({})
    except ClusterError:
        return
    assert isinstance(review.reason, str)
    # Nothing but the very word lets anybody in.
    assert not review.allowed or document["status"]["allowed"] is True


@given(document=mutations(CONFIG))
def test_the_config_map_is_read_or_refused(document: Any) -> None:
    taken: list[Mapping[str, str]] = []

    def take(data: Mapping[str, str]) -> None:
        taken.append(data)

    path = "/api/v1/namespaces/kube-system/configmaps"
    config = AuthenticationConfigMap(Answering({path: document}), on_change=take, logger=LOGGER)
    try:
        config._read()
    except ClusterError:
        assert not taken
        return
    assert all(isinstance(text, str) for data in taken for pair in data.items() for text in pair)


@given(body=JSON.map(lambda found: json.dumps(found).encode()) | st.binary(max_size=20))
def test_a_refusal_of_any_body_is_one_sentence(body: bytes) -> None:
    assert _refusal(503, body).startswith("503 Service Unavailable")


@given(message=JSON.filter(lambda found: not isinstance(found, str)))
def test_a_refusal_whose_message_is_no_text_is_not_quoted(message: object) -> None:
    status = json.dumps({"kind": "Status", "message": message}).encode()
    assert _refusal(503, status) == "503 Service Unavailable"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param({"type": "ADDED", "object": None}, id="an object that is null"),
        pytest.param({"type": "ERROR", "object": None}, id="an error that is null"),
        pytest.param({"type": "ERROR", "object": ["x"]}, id="an error that is a list"),
        pytest.param({"type": "MODIFIED", "object": {"metadata": None}}, id="metadata that are null"),
        pytest.param({"type": {}, "object": {"metadata": METADATA}}, id="a type that is an object"),
        pytest.param(None, id="null"),
    ],
)
def test_a_cache_outlives_what_is_no_event(
    line: object, client: ClusterClient, fake_cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Through the whole cache: the watch is taken up again where it was, and there is no traceback."""
    fake_cluster.answer("/api/v1/pods", {"metadata": {"resourceVersion": "7"}, "items": []})
    first, second = fake_cluster.watches(2)
    objects = ClusterObjects(client, logger=LOGGER, policy=CachePolicy(first_retry=0.001, spacing=0))
    objects.start()
    try:
        assert names(objects) == []
        first.send(EVENT, line)
        tell_the_rest(second)
        wait_for(objects, "shop/cart-0", "shop/cart-1")
    finally:
        objects.stop()
    assert second.query["resourceVersion"] == "8"
    assert "Traceback" not in caplog.text


def tell_the_rest(watch: FakeWatch) -> None:
    watch.send(changed(EVENT, ("object", "metadata", "name"), "cart-1"))
