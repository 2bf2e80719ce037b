"""The broken provider of the benchmark has the faults that its rows are called after."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.faults import providers_module
from metrics_apiserver.model.selectors import EVERYTHING
from metrics_apiserver.provider import ExternalMetricInfo, RequestContext
from metrics_apiserver.testing import provider_context, request_context


@pytest.fixture(name="read")
def _read() -> Any:
    """Give a read of a fault of the broken provider: how many values it gives, or what it raises."""
    module: dict[str, Any] = {}
    exec(providers_module(), module)  # noqa: S102 - as the benchmark's server imports it
    broken, ctx = module["Broken"](provider_context(), {}), request_context()

    def read(fault: str) -> Any:
        try:
            return len(_ask(broken, ctx, f"broken-{fault}"))
        except Exception as error:  # noqa: BLE001 - the fault
            return type(error)

    return read


def _ask(provider: Any, ctx: RequestContext, metric: str) -> Any:
    return provider.get_external_metric(ctx, "default", EVERYTHING, ExternalMetricInfo(metric))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param("raises", [RuntimeError] * 2, id="raises"),
        pytest.param("has-nothing", [0, 0], id="has nothing"),
        pytest.param("gives-old-samples", [1, 1], id="old samples"),
        pytest.param("gives-doubles", [2, 2], id="doubles"),
        pytest.param("gives-the-wrong-type", [TypeError] * 2, id="no list"),
        pytest.param("gives-100-000-items", [100_000] * 2, id="100,000 items"),
        pytest.param("flaps", [1, RuntimeError], id="answers every second time"),
    ],
)
def test_fault_is_what_its_row_says(read: Any, fault: str, expected: list[Any]) -> None:
    assert [read(fault), read(fault)] == expected
