"""What is measured: three reads, and what both peers have to answer to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.cluster import LABEL, NAMESPACE, POD_NAMES

__all__ = ["METRIC", "WORKS", "Work", "values_of"]

METRIC = "packets-per-second"
_CUSTOM = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{NAMESPACE}"
_EXTERNAL = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}"


@dataclass(frozen=True, slots=True)
class Work:
    """A read, sent again and again on so many connections; a slow one needs more time for as many samples."""

    name: str
    path: str
    items: int
    connections: int
    time_factor: int = 1
    # Whether a crowd of open and slow connections is there too.
    crowded: bool = False


_SINGLE = f"{_CUSTOM}/pods/{POD_NAMES[0]}/{METRIC}"

WORKS = (
    Work("single read", _SINGLE, items=1, connections=16),
    # The Go adapter has this series, and two more, in its code; the writable provider has the same.
    Work("external read", f"{_EXTERNAL}/my-external-metric?labelSelector=foo%3Dbar", items=1, connections=16),
    Work(
        f"selector read of {len(POD_NAMES):,} objects",
        f"{_CUSTOM}/pods/*/{METRIC}?labelSelector={LABEL[0]}%3D{LABEL[1]}",
        items=len(POD_NAMES),
        connections=4,
        time_factor=2,
    ),
    Work("single read beside 1,000 open and 100 slow ones", _SINGLE, items=1, connections=16, crowded=True),
)


def values_of(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give what an answer says, in its order: whose value (or which metric's), and the value; no times."""
    return [
        (item["describedObject"]["name"] if "describedObject" in item else item["metricName"], item["value"])
        for item in document["items"]
    ]
