"""An external name is asked for in lower case, whatever its provider calls it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from metrics_apiserver.apis.custom import SelectorRead
from metrics_apiserver.apis.external import ExternalRead
from metrics_apiserver.dispatch.spelling import Spellings
from metrics_apiserver.model import selectors
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo
from metrics_apiserver.model.resources import GroupResource
from metrics_apiserver.provider.functions import Metrics, every
from metrics_apiserver.testing import AutoscalerError, serve_provider
from metrics_apiserver_providers.constant import ConstantProvider
from metrics_apiserver_providers.functions import FunctionsProvider
from metrics_apiserver_providers.writable import WritableProvider
from tests.controlplane.waiting import wait_until
from tests.fakes import LOGGER

EVERYTHING = selectors.EVERYTHING


def spellings(*names: str) -> Spellings:
    made = Spellings("queues", LOGGER)
    made.learn([CustomMetricInfo(GroupResource("pods"), "rps", namespaced=True), *map(ExternalMetricInfo, names)])
    return made


@pytest.mark.parametrize(
    ("listed", "asked", "named"),
    [
        pytest.param(["Queue-Depth"], "queue-depth", "Queue-Depth", id="in lower case"),
        pytest.param(["queue-depth"], "QUEUE-depth", "queue-depth", id="in another case"),
        pytest.param(["queue", "Queue"], "queue", "queue", id="exactly as one of two"),
        pytest.param(["queue", "Queue"], "Queue", "Queue", id="exactly as the other"),
        pytest.param(["queue", "Queue"], "QUEUE", "Queue", id="as neither: the first by name"),
        pytest.param(["queue"], "depth", "depth", id="not listed: as it is"),
        pytest.param([], "Depth", "Depth", id="nothing is listed"),
        pytest.param(["RPS"], "rps", "RPS", id="a custom metric of that name is another"),
    ],
)
def test_name_is_as_the_provider_writes_it(listed: list[str], asked: str, named: str) -> None:
    read = ExternalRead("shop", ExternalMetricInfo(asked), EVERYTHING)
    assert spellings(*listed).named(read) == read._replace(info=ExternalMetricInfo(named))


def test_custom_names_are_taken_as_they_are() -> None:
    info = CustomMetricInfo(GroupResource("pods"), "queue", namespaced=True)
    read = SelectorRead("shop", EVERYTHING, info, EVERYTHING)
    assert spellings("Queue").named(read) is read


def test_names_that_differ_in_case_only_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    made = Spellings("queues", LOGGER)
    with caplog.at_level(logging.WARNING):
        for names in (["queue", "Queue", "depth"], ["queue", "Queue"], ["queue"], ["queue", "Queue"]):
            made.learn(map(ExternalMetricInfo, names))
    assert [record.getMessage() for record in caplog.records] == [
        "provider queues lists external metrics that differ in case only: who writes queue otherwise gets Queue"
    ] * 2


def _functions(context: object, _: object) -> FunctionsProvider:
    metrics = Metrics()
    metrics.external("Queue-Depth", trigger=every(minutes=1))(lambda: 42)
    return FunctionsProvider(context, FunctionsProvider.Options().load({"metrics": metrics}))  # type: ignore[arg-type]


def _writable(context: object, _: object) -> WritableProvider:
    options = {"values": [{"metric": "Queue-Depth", "value": "42"}]}
    return WritableProvider(context, WritableProvider.Options().load(options))  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [_functions, _writable], ids=["functions", "written values"])
def test_autoscaler_reads_a_name_with_capitals(make: Callable[[object, object], object]) -> None:
    with serve_provider(make) as autoscaler:  # type: ignore[arg-type]

        def read() -> str:
            try:
                return str(autoscaler.external_metric("shop", "Queue-Depth"))
            except AutoscalerError as error:
                return str(error)

        wait_until(lambda: read() == "42", 10, read)
        asked = autoscaler.get("/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue-DEPTH")
        assert [item["value"] for item in asked.json["items"]] == ["42"]


@pytest.mark.parametrize(
    ("provider", "options"),
    [
        pytest.param(ConstantProvider, {"list": [{"metric": "Queue"}, {"metric": "queue"}]}, id="a constant's list"),
        pytest.param(
            WritableProvider,
            {"values": [{"metric": "Queue", "value": "1"}, {"metric": "queue", "value": "1"}]},
            id="values to start with",
        ),
    ],
)
def test_names_of_a_configuration_must_not_differ_in_case_only(provider: type, options: dict[str, object]) -> None:
    assert "queue and Queue are one external metric" in str(provider.Options().validate(options))
