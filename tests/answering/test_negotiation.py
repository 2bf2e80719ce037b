"""What a client may say about the form of its answer: as much as any client needs, and no more."""

from __future__ import annotations

import pytest
from werkzeug.test import Client

PATHS = [
    "/apis",
    "/openapi/v2",
    "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/my-external-metric",
]
# What Firefox and kubectl send, as they send it.
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
KUBECTL = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("accept", "code"),
    [
        pytest.param(BROWSER, 200, id="a browser"),
        pytest.param(f"{KUBECTL},application/json", 200, id="kubectl"),
        pytest.param(",".join(["text/html"] * 63 + ["*/*"]), 200, id="64 clauses"),
        pytest.param(",".join(["text/html"] * 64 + ["*/*"]), 406, id="a clause more"),
        pytest.param("application/json;" + "x" * 2031, 200, id="2048 characters"),
        pytest.param("application/json;" + "x" * 2032, 406, id="a character more"),
        pytest.param("a/b;q=0.5," * 5700, 406, id="57 KiB"),
    ],
)
def test_accept_is_read_as_far_as_any_client_needs(client: Client, path: str, accept: str, code: int) -> None:
    """The answer to more says so, in JSON, and names what there is."""
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status_code == code
    if code == 406:
        assert answer.json is not None
        assert answer.json["message"].startswith(
            "the Accept field has more than 2048 characters, or 64 clauses; only the following media types are accepted"
        )


@pytest.mark.parametrize("path", PATHS[:2])
def test_list_of_etags_without_end_counts_as_none(client: Client, path: str) -> None:
    """The document is sent, which is never wrong."""
    etag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": f'"x", {etag}'}).status_code == 304
    assert client.get(path, headers={"If-None-Match": '"x", ' * 1000 + etag}).status_code == 200
