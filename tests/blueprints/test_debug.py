"""`/debug/reads`: why a read had no value."""

from __future__ import annotations

import json

from werkzeug.test import Client

READ = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/nothing"


def test_reads_without_a_value_are_listed(client: Client) -> None:
    """The newest first, under the audit id that the client knows."""
    assert client.get("/debug/reads").json == {"reads": []}
    for number in range(2):
        assert client.get(READ, headers={"Audit-Id": f"id-{number}"}).json["items"] == []
    newest, oldest = client.get("/debug/reads").json["reads"]
    assert (newest["auditID"], oldest["auditID"]) == ("id-1", "id-0")
    assert newest.pop("time").endswith("Z")
    assert newest == {
        "auditID": "id-1",
        "provider": "writable",
        "api": "external",
        "namespace": "shop",
        "metric": "nothing",
        "result": "empty",
        "reason": "no_sample",
        "message": "provider writable has no sample of nothing in the namespace shop",
    }


def test_series_that_the_selector_leaves_out_are_told_apart(client: Client) -> None:
    """The provider has the metric: it is the selector that is wrong."""
    path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/my-external-metric?labelSelector=foo%3Dnobody"
    assert client.get(path).json["items"] == []
    (read,) = client.get("/debug/reads").json["reads"]
    assert (read["reason"], read["selector"]) == ("filtered", "foo=nobody")


def test_values_that_are_there_are_not_listed(written: Client) -> None:
    """Only what needs a reason."""
    before = written.get("/debug/reads").json
    path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/my-external-metric"
    assert len(written.get(path).json["items"]) == 2
    assert written.get("/debug/reads").json == before


def test_it_is_a_path_like_any_other(client: Client) -> None:
    """Listed, in the negotiated format, and read only."""
    assert "/debug/reads" in json.loads(client.get("/").data)["paths"]
    assert client.get("/debug/reads", headers={"Accept": "application/yaml"}).text.strip() == "reads: []"
    assert client.post("/debug/reads").status_code == 405
