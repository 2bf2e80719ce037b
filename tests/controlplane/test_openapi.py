"""The real kube-apiserver merges our OpenAPI documents into its own, and has nothing to say about them.

Tried by hand with broken documents, and what it logged:

- v2 cut short, or a list for a map: `E… controller.go:113] "Unhandled Error" err="loading OpenAPI spec for
  \\"v1beta2.custom.metrics.k8s.io\\" failed with: failed to download …"`, then `I… "OpenAPI AggregationController:
  action for item: Rate Limited Requeue"`, and `W… aggregator.go:166] failed to download …` on every read of it;
- the index of v3 cut short: the first two, `unexpected end of JSON input`, and 404 for the documents;
- what JSON allows and OpenAPI 2.0 does not: nothing until a client asks for the protobuf form, which is then a 503 for
  the whole cluster, and `E… handler.go:160] Error in OpenAPI handler: … has invalid properties`;
- definitions under the names of the cluster's own: nothing, and the cluster has Time_v2, APIResourceList_v2, _v3, _v4;
- a kind in the wrong form: nothing, and our paths are missing.

So the log alone proves nothing: each test looks at the documents too, and kubectl asks for the protobuf form.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.controlplane import aggregated
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until
from tests.live.server import LiveServer

GROUP_VERSIONS = [f"{group}/{version}" for group, version, _ in aggregated.API_SERVICES.values()]
METRICS = "io.k8s.metrics.pkg.apis"
# It asks one second after an APIService was added, and then once a minute.
AGGREGATED_SECONDS = 30.0
QUIET_SECONDS = 120.0
# As kubectl reads each: the second form is protobuf, made of the whole cluster's document.
READS = [
    ("get", "--raw", "/openapi/v2"),
    ("explain", "custommetrics", "--api-version=custom.metrics.k8s.io/v1beta2", "--output=plaintext-openapiv2"),
    *(("get", "--raw", f"/openapi/v3/apis/{group_version}") for group_version in GROUP_VERSIONS),
]

_RECORD = re.compile(r"^(?=[IWEF]\d{4} )", re.MULTILINE)
_OURS = re.compile(r"(custom|external)\.metrics\.k8s\.io|metrics-apiserver|openapi|discovery", re.IGNORECASE)


def complaints(log: str) -> list[str]:
    """Pick the klog records, of one line or more, that say something is wrong with us, OpenAPI or discovery."""
    return [
        record
        for record in _RECORD.split(log)
        if _OURS.search(record) and (record[:1] in {"W", "E", "F"} or "Rate Limited Requeue" in record)
    ]


@pytest.mark.parametrize(
    ("record", "is_complaint"),
    [
        pytest.param(
            'E1121 06:52:09.068091   31631 controller.go:113] "Unhandled Error" err="loading OpenAPI spec for '
            '\\"v1beta2.custom.metrics.k8s.io\\" failed with: failed to download" logger="UnhandledError"\n',
            True,
            id="not downloaded",
        ),
        pytest.param(
            'I1121 06:52:09.068109   31631 controller.go:120] "OpenAPI AggregationController: action for item: '
            'Rate Limited Requeue" key="v1beta2.custom.metrics.k8s.io"\n',
            True,
            id="to be tried again",
        ),
        pytest.param(
            'E1121 06:46:38.694762   30122 controller.go:157] "Unhandled Error" err=<\n\tError updating APIService '
            '"v1beta1.external.metrics.k8s.io" with err: failed to download\n >\n',
            True,
            id="of several lines",
        ),
        pytest.param(
            "E1121 06:53:02.939406   31631 handler.go:160] Error in OpenAPI handler: $root.definitions.x has invalid "
            "properties: nullable\n",
            True,
            id="no protobuf of the cluster's document",
        ),
        pytest.param(
            "I1121 06:46:25.645064   30122 handler.go:304] Adding GroupVersion custom.metrics.k8s.io v1beta2 to "
            "ResourceManager\n",
            False,
            id="information",
        ),
        pytest.param("E1121 06:46:25.645064   30122 lease.go:1] a lease is late\n", False, id="something else"),
    ],
)
def test_complaints_are_recognised(record: str, is_complaint: bool) -> None:
    """What the broken documents logged counts; what is logged on every registration does not."""
    assert complaints(f"I1121 06:00:00.000000   1 x.go:1] before\n{record}") == ([record] if is_complaint else [])


@pytest.fixture(name="server", scope="module")
def _server(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The server, registered, and in the cluster's own documents."""
    with aggregated.start(control_plane, tmp_path_factory.mktemp("openapi")) as server:
        server.wait_until_ready()
        with aggregated.registered(control_plane, server):
            for path in ("/openapi/v2", "/openapi/v3"):
                wait_until(
                    lambda path=path: all(name in raw(control_plane, path) for name in GROUP_VERSIONS),
                    AGGREGATED_SECONDS,
                    f"{path} of the cluster does not have our versions",
                    interval=1,
                )
            yield server


def raw(control_plane: ControlPlane, path: str) -> str:
    return control_plane.kubectl("get", "--raw", path).stdout


def test_cluster_document_holds_our_paths_and_definitions(control_plane: ControlPlane, server: LiveServer) -> None:
    """All of them word for word, and no name of anybody's was changed on the way."""
    merged: dict[str, Any] = json.loads(raw(control_plane, "/openapi/v2"))
    ours: dict[str, Any] = json.loads(server.ask("GET", "/openapi/v2", {}).body)
    assert ours["paths"].keys() <= merged["paths"].keys()
    for name, definition in ours["definitions"].items():
        assert merged["definitions"][name] == definition
    assert not [name for name in merged["definitions"] if re.search(r"_v\d+\Z", name)]
    ids = [item["get"]["operationId"] for item in merged["paths"].values() if "get" in item]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("group_version", GROUP_VERSIONS)
def test_v3_document_of_a_version_is_ours(control_plane: ControlPlane, server: LiveServer, group_version: str) -> None:
    """By the link in the cluster's index, and by a link of yesterday."""
    path = f"/openapi/v3/apis/{group_version}"
    index = json.loads(raw(control_plane, "/openapi/v3"))
    link = index["paths"][f"apis/{group_version}"]["serverRelativeURL"]
    served = server.ask("GET", path, {}).body.decode()
    assert link.startswith(f"{path}?hash=")
    assert raw(control_plane, link) == served
    # Upstream's redirect would be a 502 here.
    assert raw(control_plane, f"{path}?hash=of-yesterday") == served


def test_kubectl_explains_our_kinds(control_plane: ControlPlane, server: LiveServer) -> None:
    """From the protobuf form, which kube-apiserver makes of the merged document and which allows no unknown key."""
    explain = ("--api-version=custom.metrics.k8s.io/v1beta2", "--output=plaintext-openapiv2")
    text = control_plane.kubectl("explain", "custommetrics.items", *explain).stdout
    assert re.search(r"^KIND: +MetricValueList$", text, re.MULTILINE)
    for field in ("describedObject", "metric", "timestamp", "value"):
        assert re.search(rf"^ +{field}\t<\w+> -required-$", text, re.MULTILINE)


# The two minutes are the subject: kube-apiserver comes back once a minute, with our ETag.
@pytest.mark.timeout(300)
def test_two_minutes_pass_without_a_complaint_in_the_log(control_plane: ControlPlane, server: LiveServer) -> None:
    """Counted from when the documents are in the cluster's; they are read all the while, as it merges on reading."""
    start = len(control_plane.log("kube-apiserver"))
    end = time.monotonic() + QUIET_SECONDS

    def two_minutes_passed() -> bool:
        over = time.monotonic() >= end
        for read in READS:
            assert control_plane.kubectl(*read).stdout
        assert complaints(control_plane.log("kube-apiserver")[start:]) == []
        return over

    wait_until(two_minutes_passed, QUIET_SECONDS + 60, "the two minutes are not over", interval=10)
    assert all(group_version in raw(control_plane, "/openapi/v2") for group_version in GROUP_VERSIONS)
