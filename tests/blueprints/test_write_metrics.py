"""Writing values: paths, bodies, labels, and what is refused."""

from __future__ import annotations

import pytest
from werkzeug.test import Client

from tests.conftest import asker

WRITE = "/write-metrics/namespaces/shop/pods/cart-0/m"
API = "/apis/custom.metrics.k8s.io/v1beta2"


def value(client: Client, path: str) -> str | None:
    response = client.get(path)
    items = (response.json or {}).get("items") or []
    return str(items[0]["value"]) if items else None


@pytest.mark.parametrize(
    ("target", "read"),
    [
        ("namespaces/shop/pods/cart-0/m", f"{API}/namespaces/shop/pods/cart-0/m"),
        ("namespaces/shop/pod/cart-0/m", f"{API}/namespaces/shop/pods/cart-0/m"),
        ("nodes/node-a/m", f"{API}/nodes/node-a/m"),
        ("namespaces/shop/metrics/m", f"{API}/namespaces/shop/metrics/m"),
        ("namespaces/shop/deployments/cart/m", f"{API}/namespaces/shop/deployments.apps/cart/m"),
        ("external/namespaces/shop/m", "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/m"),
        ("external/namespaces/*/m", "/apis/external.metrics.k8s.io/v1beta1/namespaces/any/m"),
        ("external/namespaces/%2A/m", "/apis/external.metrics.k8s.io/v1beta1/namespaces/any/m"),
    ],
)
def test_written_is_read_and_deleted(client: Client, target: str, read: str) -> None:
    """POST and DELETE answer 200 with an empty body; the second DELETE is 404."""
    ask = asker(client)
    written = ask("POST", f"/write-metrics/{target}", {}, b'"300m"')
    assert (written.status, written.body) == (200, b"")
    assert value(client, read) == "300m"
    deleted = ask("DELETE", f"/write-metrics/{target}", {})
    assert (deleted.status, deleted.body) == (200, b"")
    assert value(client, read) is None
    assert ask("DELETE", f"/write-metrics/{target}", {}).json["reason"] == "NotFound"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'"1500m"', "1500m", id="a string"),
        pytest.param(b"12", "12", id="an integer"),
        pytest.param(b"3.25", "3250m", id="a number, by its text"),
        pytest.param(b"0.1", "100m", id="a number that no float holds"),
        pytest.param(b"1e3", "1e3", id="a number with an exponent"),
        pytest.param(b"12345678901234567890.5", "12345678901234567890500m", id="more digits than a float has"),
        pytest.param(b' "1"\n', "1", id="white space around it"),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
def test_body(client: Client, body: bytes, expected: str, content_type: str | None) -> None:
    """A JSON string or number, whatever its content type."""
    assert client.post(WRITE, data=body, content_type=content_type).status_code == 200
    assert value(client, f"{API}/namespaces/shop/pods/cart-0/m") == expected


@pytest.mark.parametrize(
    ("target", "body", "status", "words"),
    [
        pytest.param(WRITE, b"", 400, "not a JSON string or number", id="no body"),
        pytest.param(WRITE, b"{}", 400, "not a string or number", id="an object"),
        pytest.param(WRITE, b"[1]", 400, "not a string or number", id="a list"),
        pytest.param(WRITE, b"true", 400, "not a string or number", id="a boolean"),
        pytest.param(WRITE, b"null", 400, "not a string or number", id="null"),
        pytest.param(WRITE, b"NaN", 400, "NaN is not a quantity", id="not a number"),
        pytest.param(WRITE, b"-Infinity", 400, "-Infinity is not a quantity", id="infinity"),
        pytest.param(WRITE, b'"abc"', 400, "quantities must match the regular expression", id="no quantity"),
        pytest.param(WRITE, b'"1e999999999"', 400, "", id="a huge exponent"),
        pytest.param(WRITE, b"9" * 100_000, 400, "", id="a huge number"),
        pytest.param(WRITE, b"[" * 100_000, 400, "not a JSON string or number", id="deep nesting"),
        pytest.param(WRITE, b'"\xff"', 400, "not a JSON string or number", id="no UTF-8"),
        pytest.param(WRITE, b" " * (1 << 20) + b"1", 413, "too large", id="one byte over 1 MiB"),
        pytest.param(WRITE + "?labels=a", b"1", 400, "invalid selector: [a]", id="labels without a value"),
        pytest.param(WRITE + "?labels=a=/", b"1", 400, "a valid label must be", id="a wrong label value"),
        pytest.param("/write-metrics/namespaces/shop/pods/*/m", b"1", 400, '"*" is not a name here', id="every object"),
        pytest.param("/write-metrics/namespaces/*/pods/x/m", b"1", 400, '"*" is not a name here', id="every namespace"),
        pytest.param("/write-metrics/namespaces/shop/pods", b"1", 400, "invalid request path", id="half a path"),
        pytest.param("/write-metrics/namespaces/shop/nonsense/x/m", b"1", 404, "no matches for", id="no resource"),
        pytest.param(
            "/write-metrics/external/namespaces/shop", b"1", 404, "no matches for", id="half an external path"
        ),
        pytest.param("/write-metrics/", b"1", 404, "could not find", id="no path"),
    ],
)
def test_refused(client: Client, target: str, body: bytes, status: int, words: str) -> None:
    """Bad input is a Status with a reason, and changes nothing."""
    answer = asker(client)("POST", target, {}, body)
    assert answer.status == status
    assert answer.json["kind"] == "Status"
    assert words in answer.json["message"]
    assert value(client, f"{API}/namespaces/shop/pods/cart-0/m") is None


def test_body_of_exactly_one_mebibyte_is_read(client: Client) -> None:
    """At the limit."""
    assert client.post(WRITE, data=b" " * ((1 << 20) - 1) + b"1").status_code == 200


@pytest.mark.parametrize("target", [WRITE, "/write-metrics/external/namespaces/shop/m"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "HEAD"])
def test_other_methods(client: Client, target: str, method: str) -> None:
    """Only POST and DELETE."""
    assert client.open(target, method=method).status_code == 405


def test_labels_are_matched_by_the_series_selector(client: Client) -> None:
    """`?labels=` says what the series is, metricLabelSelector picks by it."""
    assert client.post(WRITE + "?labels=verb=GET,code=200", data=b"7").status_code == 200
    read = f"{API}/namespaces/shop/pods/cart-0/m?metricLabelSelector="
    assert value(client, read + "verb%3DGET") == "7"
    assert value(client, read + "verb%21%3DGET") is None
    assert value(client, read + "verb%21%3DPUT") == "7"


def test_unequal_selector_is_echoed_as_not_in(client: Client) -> None:
    """The reference answers 500 here."""
    assert client.post(WRITE + "?labels=verb=GET", data=b"7").status_code == 200
    response = client.get(f"{API}/namespaces/shop/pods/cart-0/m?metricLabelSelector=verb%21%3DPUT")
    assert response.json is not None
    assert response.json["items"][0]["metric"]["selector"] == {
        "matchExpressions": [{"key": "verb", "operator": "NotIn", "values": ["PUT"]}]
    }
