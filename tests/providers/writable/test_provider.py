"""The writable provider: what was written is what is read, whole, from any thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import metrics_apiserver_providers.writable.provider as module
from metrics_apiserver.model import selectors
from metrics_apiserver.provider import (
    ExternalMetricInfo,
    MetricNotFoundError,
    NamespacedName,
    Quantity,
    RequestTooLargeError,
)
from metrics_apiserver_providers.writable import WritableProvider
from tests.fakes import NOON, info, provider_context, request_context

POD = NamespacedName("shop", "cart-0")
RPS = info("pods", "rps")
QUEUE = ExternalMetricInfo("queue")
EVERYTHING = selectors.EVERYTHING


@pytest.fixture(name="provider")
def _provider() -> WritableProvider:
    return WritableProvider(provider_context(), WritableProvider.Options().load({}))


def external(provider: WritableProvider, namespace: str, selector: str = "", metric: str = "queue") -> list[str]:
    found = provider.get_external_metric(
        request_context(), namespace, selectors.parse(selector), ExternalMetricInfo(metric)
    )
    return [str(value.value) for value in found]


def read(provider: WritableProvider, selector: str = "") -> str:
    return str(provider.get_metric_by_name(request_context(), POD, RPS, selectors.parse(selector)).value)


def test_later_write_replaces_value_and_labels(provider: WritableProvider) -> None:
    """One value per object and metric, whatever its labels."""
    provider.set_metric(request_context(), POD, RPS, {"verb": "GET"}, Quantity.of(1))
    assert read(provider, "verb=GET") == "1"
    provider.set_metric(request_context(), POD, RPS, {}, Quantity.of("300m"))
    assert read(provider) == "300m"
    with pytest.raises(MetricNotFoundError, match="with selector verb=GET"):
        read(provider, "verb=GET")


def test_value_carries_the_time_of_its_write(provider: WritableProvider) -> None:
    """The sample was taken when it was written, not when it is read."""
    provider.set_metric(request_context(), POD, RPS, {}, Quantity.of(1))
    assert provider.get_metric_by_name(request_context(), POD, RPS, EVERYTHING).timestamp == NOON


def test_delete_forgets_and_is_not_found_the_second_time(provider: WritableProvider) -> None:
    """A deleted metric leaves the listing too."""
    provider.set_metric(request_context(), POD, RPS, {}, Quantity.of(1))
    assert list(provider.list_all_metrics()) == [RPS]
    provider.delete_metric(request_context(), POD, RPS)
    assert list(provider.list_all_metrics()) == []
    with pytest.raises(MetricNotFoundError):
        provider.delete_metric(request_context(), POD, RPS)


def test_selector_read_gives_matching_objects_that_have_a_value(provider: WritableProvider) -> None:
    """Sorted by name; objects that do not exist are not listed, though they can be read by name."""
    for name in ("nobody", "db-0", "cart-1", "cart-0"):
        provider.set_metric(request_context(), NamespacedName("shop", name), RPS, {}, Quantity.of(1))
    found = provider.get_metric_by_selector(request_context(), "shop", selectors.parse("app"), RPS, EVERYTHING)
    assert [value.described_object.name for value in found] == ["cart-0", "cart-1", "db-0"]


def test_reference_series_are_there_from_the_start(provider: WritableProvider) -> None:
    """Upstream's three series, in every namespace."""
    assert external(provider, "shop", metric="my-external-metric") == ["42", "43"]
    assert external(provider, "any", "foo=baz", metric="my-external-metric") == ["43"]
    assert external(provider, "any", metric="other-external-metric") == ["44"]


@pytest.mark.parametrize(
    ("namespace", "selector", "expected"),
    [
        pytest.param("shop", "", ["1", "3"], id="its own series hides the same labels of every namespace"),
        pytest.param("bank", "", ["2", "3"], id="another namespace sees those of every namespace"),
        pytest.param("shop", "q=orders", ["1"], id="a selector narrows"),
        pytest.param("*", "", ["1", "2", "3"], id="every namespace at once"),
    ],
)
def test_external_namespaces(provider: WritableProvider, namespace: str, selector: str, expected: list[str]) -> None:
    """The autoscaler adds up what it gets: the same label set must not come twice."""
    provider.set_external_metric(request_context(), "shop", QUEUE, {"q": "orders"}, Quantity.of(1))
    provider.set_external_metric(request_context(), "*", QUEUE, {"q": "orders"}, Quantity.of(2))
    provider.set_external_metric(request_context(), "*", QUEUE, {"q": "mail"}, Quantity.of(3))
    assert external(provider, namespace, selector) == expected


def test_external_delete_is_of_one_label_set(provider: WritableProvider) -> None:
    """Labels are part of the key."""
    provider.set_external_metric(request_context(), "shop", QUEUE, {"q": "orders"}, Quantity.of(1))
    with pytest.raises(MetricNotFoundError):
        provider.delete_external_metric(request_context(), "shop", QUEUE, {})
    with pytest.raises(MetricNotFoundError):
        provider.delete_external_metric(request_context(), "*", QUEUE, {"q": "orders"})
    provider.delete_external_metric(request_context(), "shop", QUEUE, {"q": "orders"})
    assert external(provider, "shop") == []
    assert QUEUE not in list(provider.list_all_external_metrics())


def test_values_of_the_configuration(provider: WritableProvider) -> None:
    """With a resource they are of an object, without one external."""
    options = {
        "values": [
            {"resource": "pods", "namespace": "shop", "name": "cart-0", "metric": "rps", "value": 3.25},
            {"resource": "nodes", "name": "node-a", "metric": "heat", "value": "41"},
            {"metric": "queue", "value": 7, "labels": {"q": "orders"}},
        ]
    }
    configured = WritableProvider(provider_context(), WritableProvider.Options().load(options))
    assert read(configured) == "3250m"
    assert external(configured, "any", "q=orders") == ["7"]
    heat = info("nodes", "heat", namespaced=False)
    node = configured.get_metric_by_name(request_context(), NamespacedName("", "node-a"), heat, EVERYTHING)
    assert str(node.value) == "41"


def test_values_are_bounded(provider: WritableProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit a new value is refused; replacing and deleting still work, and make room."""
    monkeypatch.setattr(module, "MAX_VALUES", 5)  # three are there from the start
    provider.set_metric(request_context(), POD, RPS, {}, Quantity.of(1))
    provider.set_external_metric(request_context(), "shop", QUEUE, {}, Quantity.of(1))
    with pytest.raises(RequestTooLargeError, match="5 values are held"):
        provider.set_metric(request_context(), POD, info("pods", "other"), {}, Quantity.of(1))
    with pytest.raises(RequestTooLargeError):
        provider.set_external_metric(request_context(), "shop", QUEUE, {"a": "b"}, Quantity.of(1))
    assert external(provider, "shop") == ["1"]
    provider.set_metric(request_context(), POD, RPS, {}, Quantity.of(2))
    provider.delete_external_metric(request_context(), "shop", QUEUE, {})
    provider.set_metric(request_context(), POD, info("pods", "other"), {}, Quantity.of(1))


def test_ten_thousand_writes_and_reads_from_sixteen_threads_lose_nothing(provider: WritableProvider) -> None:
    """Every thread reads back what it wrote, and all of it is there at the end."""
    each = 10_000 // 16

    def work(number: int) -> int:
        for turn in range(each):
            name = NamespacedName("shop", f"pod-{number}-{turn}")
            provider.set_metric(request_context(), name, RPS, {}, Quantity.from_int(turn))
            value = provider.get_metric_by_name(request_context(), name, RPS, EVERYTHING)
            assert value.value == Quantity.from_int(turn)
            provider.set_external_metric(
                request_context(), "shop", QUEUE, {"thread": str(number)}, Quantity.from_int(turn)
            )
        return each

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(16))) == 16 * each
    for number in range(16):
        for turn in range(each):
            name = NamespacedName("shop", f"pod-{number}-{turn}")
            assert provider.get_metric_by_name(request_context(), name, RPS, EVERYTHING).value == Quantity.from_int(
                turn
            )
    assert external(provider, "shop") == [str(Quantity.from_int(each - 1))] * 16


def test_no_reader_sees_half_a_write(provider: WritableProvider) -> None:
    """Value and labels are always of the same write."""
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            provider.set_metric(request_context(), POD, RPS, {"turn": str(turn)}, Quantity.from_int(turn))
            provider.set_external_metric(request_context(), "shop", QUEUE, {"only": "one"}, Quantity.from_int(turn))

    provider.set_metric(request_context(), POD, RPS, {"turn": "0"}, Quantity.from_int(0))
    provider.set_external_metric(request_context(), "shop", QUEUE, {"only": "one"}, Quantity.from_int(0))
    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        torn: list[Any] = []
        for _ in range(5000):
            sample = provider._custom[POD, RPS]
            if str(Quantity.from_int(int(sample.labels["turn"]))) != str(sample.value):
                torn.append(sample)
            assert len(external(provider, "shop")) == 1
        assert torn == []
    finally:
        stop.set()
        for writer in writers:
            writer.join()
