"""Providers with one fault each, under the conformance kit: `test_faults.py` runs this file, and says what fails.

Each is the good provider but for its fault. A class is named after the fault.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import socket
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

import pytest
from marshmallow import INCLUDE

from metrics_apiserver.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    GroupResource,
    MetricNotFoundError,
    NamespacedName,
    Options,
    Quantity,
    metric_value,
)
from metrics_apiserver.testing import CustomMetric, CustomMetricsConformance, ExternalMetric, ExternalMetricsConformance

LABELS = {"verb": "GET"}
SERIES = ({"queue": "orders"}, {"queue": "mail"})
VALUES = {"conformance-0": 1, "conformance-1": 2}


class Good(CustomMetricsProvider, ExternalMetricsProvider):
    """Keeps to everything."""

    def list_all_metrics(self) -> Iterable[Any]:
        return [CustomMetricInfo(GroupResource("pods"), "requests", namespaced=True)]

    def list_all_external_metrics(self) -> Iterable[Any]:
        return [ExternalMetricInfo("depth")]

    def get_metric_by_name(self, ctx: Any, name: Any, info: Any, metric_selector: Any) -> Any:
        value = VALUES.get(name.name)
        if info.metric != "requests" or value is None or not metric_selector.matches(LABELS):
            raise MetricNotFoundError(info.group_resource, info.metric, name.name, metric_selector)
        return metric_value(self.context, name, info, value)

    def get_external_metric(self, ctx: Any, namespace: Any, metric_selector: Any, info: Any) -> Any:
        if info.metric != "depth":
            return []
        now = self.context.clock.now()
        matching = [labels for labels in SERIES if metric_selector.matches(labels)]
        return [ExternalMetricValue("depth", now, Quantity.of(3), metric_labels=labels) for labels in matching]


class Kit(CustomMetricsConformance, ExternalMetricsConformance):
    """What all of them declare; their backend hangs where a fault waits for it."""

    custom_metric = CustomMetric("requests", labels=LABELS)
    external_metric = ExternalMetric("depth", series=SERIES)

    @pytest.fixture
    def make_hanging_provider(self, make_provider: Any) -> Any:
        return make_provider


class TestNoFault(Kit):
    """The good provider passes everything."""

    provider_class = Good


class TestNumbersInsteadOfValues(Kit):
    """A number where a value is expected."""

    class provider_class(Good):  # noqa: N801 - the kit's name for it
        def get_metric_by_name(self, ctx: Any, name: Any, info: Any, metric_selector: Any) -> Any:
            super().get_metric_by_name(ctx, name, info, metric_selector)
            return 3

        def get_external_metric(self, ctx: Any, namespace: Any, metric_selector: Any, info: Any) -> Any:
            return [3] * len(super().get_external_metric(ctx, namespace, metric_selector, info))


class TestGeneratorInsteadOfList(Kit):
    """Values that can be read once."""

    class provider_class(Good):  # noqa: N801
        def get_metric_by_selector(self, *arguments: Any) -> Any:
            yield from super().get_metric_by_selector(*arguments)


class TestNaiveTimes(Kit):
    """Times without a zone."""

    class provider_class(Good):  # noqa: N801
        def get_metric_by_name(self, *arguments: Any) -> Any:
            return _without_zone(super().get_metric_by_name(*arguments))

        def get_external_metric(self, *arguments: Any) -> Any:
            return [_without_zone(value) for value in super().get_external_metric(*arguments)]


def _without_zone(value: Any) -> Any:
    return dataclasses.replace(value, timestamp=datetime(2026, 1, 1))  # noqa: DTZ001 - the fault


class TestNaN(Kit):
    """NaN in the place of a quantity."""

    class provider_class(Good):  # noqa: N801
        def get_metric_by_name(self, *arguments: Any) -> Any:
            return dataclasses.replace(super().get_metric_by_name(*arguments), value=math.nan)  # type: ignore[arg-type]

        def get_external_metric(self, *arguments: Any) -> Any:
            return [dataclasses.replace(value, value=math.nan) for value in super().get_external_metric(*arguments)]


class TestAnotherObject(Kit):
    """The answer is about the first object, whichever was asked for."""

    class provider_class(Good):  # noqa: N801
        def get_metric_by_name(self, ctx: Any, name: Any, info: Any, metric_selector: Any) -> Any:
            super().get_metric_by_name(ctx, name, info, metric_selector)
            first = NamespacedName(name.namespace, "conformance-0")
            return super().get_metric_by_name(ctx, first, info, metric_selector)


class TestAnotherMetric(Kit):
    """The backend's own name of the metric."""

    class provider_class(Good):  # noqa: N801
        def get_external_metric(self, *arguments: Any) -> Any:
            found = super().get_external_metric(*arguments)
            return [dataclasses.replace(value, metric_name="backend.depth") for value in found]


class TestEveryObject(Kit):
    """The selector of objects is not looked at."""

    class provider_class(Good):  # noqa: N801
        def get_metric_by_selector(
            self, ctx: Any, namespace: Any, selector: Any, info: Any, metric_selector: Any
        ) -> Any:
            if info.metric != "requests" or not metric_selector.matches(LABELS):
                return []
            names = [NamespacedName(namespace, name) for name in VALUES]
            return [self.get_metric_by_name(ctx, name, info, metric_selector) for name in names]


class TestEverySeries(Kit):
    """The selector of series is not looked at."""

    class provider_class(Good):  # noqa: N801
        def get_external_metric(self, ctx: Any, namespace: Any, metric_selector: Any, info: Any) -> Any:
            return super().get_external_metric(ctx, namespace, type(metric_selector)(), info)


class TestEqualityOnly(Kit):
    """A selector is taken for `key=value`, as many a backend has it."""

    class provider_class(Good):  # noqa: N801
        def get_metric_by_name(self, ctx: Any, name: Any, info: Any, metric_selector: Any) -> Any:
            wanted = {each.key: each.values[0] for each in metric_selector.requirements if each.values}
            if wanted.items() - LABELS.items():
                raise MetricNotFoundError(info.group_resource, info.metric, name.name, metric_selector)
            return super().get_metric_by_name(ctx, name, info, type(metric_selector)())


class TestUnknownRaises(Kit):
    """An unknown metric, or object, is an error of the provider's own."""

    class provider_class(Good):  # noqa: N801
        def get_metric_by_name(self, ctx: Any, name: Any, info: Any, metric_selector: Any) -> Any:
            return metric_value(self.context, name, info, VALUES[name.name]) and super().get_metric_by_name(
                ctx, name, info, metric_selector
            )

        def get_external_metric(self, ctx: Any, namespace: Any, metric_selector: Any, info: Any) -> Any:
            if info.metric != "depth":
                raise MetricNotFoundError("namespace", info.metric, namespace)
            return super().get_external_metric(ctx, namespace, metric_selector, info)


class TestDeadlineForgotten(Kit):
    """Waits for its backend as long as that takes; the backend's time is over when the test's is."""

    patience = 0.5

    class provider_class(Good):  # noqa: N801
        answered = threading.Event()

        def get_external_metric(self, *arguments: Any) -> Any:
            if threading.current_thread().name == "conformance-alone":
                self.answered.wait(60)
            return super().get_external_metric(*arguments)


class TestStateOfAReadOnSelf(Kit):
    """What one thread asks for is what all answer."""

    class provider_class(Good):  # noqa: N801
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.all_here = threading.Barrier(8)

        def get_metric_by_name(self, ctx: Any, name: Any, info: Any, metric_selector: Any) -> Any:
            self.name = name
            if threading.current_thread().name == "conformance-beside":
                self.all_here.wait(60)
            return super().get_metric_by_name(ctx, self.name, info, metric_selector)


class TestRaisesBesideOthers(Kit):
    """Two threads in the same method are one too many."""

    class provider_class(Good):  # noqa: N801
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.all_here = threading.Barrier(8)

        def get_external_metric(self, *arguments: Any) -> Any:
            if threading.current_thread().name == "conformance-beside":
                self.all_here.wait(60)
                raise RuntimeError("dictionary changed size during iteration")
            return super().get_external_metric(*arguments)


class TestHangsForOneName(Kit):
    """A read that never comes back, however much time it has."""

    patience = 0.5

    class provider_class(Good):  # noqa: N801
        def get_external_metric(self, ctx: Any, namespace: Any, metric_selector: Any, info: Any) -> Any:
            if info.metric != "depth":
                threading.Event().wait()
            return super().get_external_metric(ctx, namespace, metric_selector, info)


class TestListsByAsking(Kit):
    """The listing asks the backend."""

    class provider_class(Good):  # noqa: N801
        def list_all_metrics(self) -> Iterable[Any]:
            with socket.socket() as connection:
                connection.connect_ex(("127.0.0.1", 9))
            return super().list_all_metrics()


class TestListsDifferently(Kit):
    """Another name with each listing."""

    class provider_class(Good):  # noqa: N801
        numbers = itertools.count()

        def list_all_external_metrics(self) -> Iterable[Any]:
            return [ExternalMetricInfo(f"depth-{next(self.numbers)}")]


class TestListsSingularNames(Kit):
    """The listing has the kind's name."""

    class provider_class(Good):  # noqa: N801
        def list_all_metrics(self) -> Iterable[Any]:
            return [CustomMetricInfo(GroupResource("pod"), "requests", namespaced=True)]


class TestKnowsWhatItListed(Kit):
    """Nothing is known before the first listing."""

    class provider_class(Good):  # noqa: N801
        known = False

        def list_all_external_metrics(self) -> Iterable[Any]:
            self.known = True
            return super().list_all_external_metrics()

        def get_external_metric(self, *arguments: Any) -> Any:
            return super().get_external_metric(*arguments) if self.known else []

    # What else is read is not there either.
    exempt: ClassVar = dict.fromkeys(
        [
            "test_selector_of_external_series_is_honoured",
            "test_autoscaler_reads_the_external_metric",
        ],
        "it knows nothing yet",
    )


class TestThreadLeftBehind(Kit):
    """A poller that nobody stops."""

    patience = 0.5

    class provider_class(Good):  # noqa: N801
        def start(self) -> None:
            threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()


class TestStopNeedsAStart(Kit):
    """`stop` counts on `start`."""

    class provider_class(Good):  # noqa: N801
        def start(self) -> None:
            self.connections: list[Any] = []

        def stop(self) -> None:
            self.connections.clear()


class TestSharedList(Kit):
    """The list that is given away is the provider's own."""

    class provider_class(Good):  # noqa: N801
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.values: list[Any] = []

        def get_external_metric(self, ctx: Any, namespace: Any, metric_selector: Any, info: Any) -> Any:
            if metric_selector.requirements or info.metric != "depth":
                return super().get_external_metric(ctx, namespace, metric_selector, info)
            if not hasattr(self, "filled"):
                self.filled = True
                self.values += super().get_external_metric(ctx, namespace, metric_selector, info)
            return self.values


class TestOpenOptions(Kit):
    """Any option is welcome."""

    class provider_class(Good):  # noqa: N801
        class Options(Options):
            class Meta:
                unknown = INCLUDE


class TestExemptByAWrongName(Kit):
    """An exemption for a check that there is not."""

    provider_class = Good
    exempt: ClassVar = {"test_that_is_not_there": "a typing error"}
