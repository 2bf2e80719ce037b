"""The built-in table against what a real kube-apiserver says."""

from __future__ import annotations

from typing import Any

from metrics_apiserver.kube.standard import standard_resources


def test_the_standard_kinds_are_those_of_the_recorded_cluster(recorded_discovery: dict[str, Any]) -> None:
    recorded = [
        (group["metadata"].get("name", ""), version["version"], entry)
        for document in recorded_discovery.values()
        for group in document["items"]
        for version in group["versions"]
        for entry in version["resources"]
    ]
    preferred: dict[tuple[str, str], tuple[str, str, str, bool]] = {}
    for group, version, entry in recorded:
        facts = (version, entry["responseKind"]["kind"], entry["singularResource"], entry["scope"] == "Namespaced")
        preferred.setdefault((group, entry["resource"]), facts)
    ours = {
        (found.resource.group, found.resource.resource): (
            found.resource.version,
            found.kind,
            found.singular,
            found.namespaced,
        )
        for found in standard_resources().mappings
    }
    assert ours == preferred
    # The order is what decides where two groups have a resource.
    assert list(ours) == list(preferred)
