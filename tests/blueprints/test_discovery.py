"""Discovery over HTTP: forms, ETags, and writes that are followed."""

from __future__ import annotations

import pytest
from werkzeug.test import Client

from tests.controlplane.waiting import wait_until

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
PATHS = [
    "/apis",
    "/apis/",
    "/apis/custom.metrics.k8s.io",
    "/apis/custom.metrics.k8s.io/v1beta1",
    "/apis/external.metrics.k8s.io/v1beta1/",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/custom.metrics.k8s.io/v1beta2",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"], ids=["strong", "weak", "in a list", "any"])
def test_known_etag_is_304(client: Client, path: str, form: str) -> None:
    """Who has it already is sent nothing."""
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": form.format(first.headers["ETag"])})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Vary"] == "Accept"


@pytest.mark.parametrize("path", PATHS)
def test_other_etag_is_200(client: Client, path: str) -> None:
    """The aggregator sends the ETag of one path with another, where anything but a 200 is an error."""
    elsewhere = client.get("/apis", headers={"Accept": V2}).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": elsewhere}).status_code == 200


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        pytest.param(f"{V2},{V2BETA1}", V2, id="both: the better"),
        pytest.param(f"{V2BETA1},{V2}", V2BETA1, id="both, turned round: the first"),
        pytest.param(f"{V2BETA1};q=0.9,{V2}", V2, id="by quality"),
        pytest.param(V2BETA1, V2BETA1, id="the old one alone"),
        pytest.param(f"{V2.replace('v=v2', 'v=v9')},application/json", "application/json", id="an unknown version"),
        pytest.param(f"application/yaml;{V2.partition(';')[2]},application/json", "application/json", id="as YAML"),
        pytest.param("*/*", "application/json", id="anything"),
    ],
)
def test_form_of_the_group_list(client: Client, accept: str, answered: str) -> None:
    """Aggregated only for who asks for it, in the version it understands."""
    response = client.get("/apis", headers={"Accept": accept})
    assert (response.status_code, response.headers["Content-Type"]) == (200, answered)


def test_aggregated_form_is_only_of_the_group_list(client: Client) -> None:
    """A group has no such form: what remains decides."""
    path = "/apis/custom.metrics.k8s.io"
    assert client.get(path, headers={"Accept": V2}).status_code == 406
    assert client.get(path, headers={"Accept": f"{V2},application/json"}).status_code == 200


def test_discovery_follows_a_write_and_a_delete(client: Client) -> None:
    """What was just written is soon listed; what is gone is not."""
    path = "/apis/external.metrics.k8s.io/v1beta1"
    target = "/write-metrics/external/namespaces/shop/queue-depth"
    assert b"queue-depth" not in client.get(path).data
    assert client.post(target, data=b"1").status_code == 200
    wait_until(lambda: b"queue-depth" in client.get(path).data, timeout=4, message="the write was not followed")
    assert client.delete(target).status_code == 200
    wait_until(lambda: b"queue-depth" not in client.get(path).data, timeout=4, message="the delete was not followed")


def test_root_lists_paths_that_answer(client: Client) -> None:
    """Every path of the list is there."""
    response = client.get("/")
    assert response.json is not None
    for path in response.json["paths"]:
        assert client.get(path).status_code == 200, path
