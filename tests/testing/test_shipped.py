"""The shipped providers pass the conformance kit; what is not theirs by their nature is exempted with the reason."""

from __future__ import annotations

from typing import ClassVar

import pytest

from metrics_apiserver.provider import ExternalMetricInfo, NamespacedName, ProviderContext, Quantity
from metrics_apiserver.provider.functions import Metrics
from metrics_apiserver.testing import (
    CustomMetric,
    CustomMetricsConformance,
    ExternalMetric,
    ExternalMetricsConformance,
    MakeProvider,
    request_context,
)
from metrics_apiserver_providers.constant import ConstantProvider
from metrics_apiserver_providers.functions import FunctionsProvider
from metrics_apiserver_providers.sample import SampleProvider
from metrics_apiserver_providers.writable import WritableProvider

EVERYTHING_EXISTS = "every metric of every object has the value"
EVERY_SERIES = "the value is that of every series"


class TestConstant(CustomMetricsConformance, ExternalMetricsConformance):
    """One value for everything."""

    provider_class = ConstantProvider
    custom_metric = CustomMetric("anything", resource="deployments.apps")
    external_metric = ExternalMetric("anything", series=({},))
    exempt: ClassVar = {
        "test_unknown_custom_metric_is_not_found": EVERYTHING_EXISTS,
        "test_unknown_custom_metric_gives_an_empty_list": EVERYTHING_EXISTS,
        "test_unknown_object_is_not_found": EVERYTHING_EXISTS,
        "test_unknown_external_metric_is_an_empty_list": EVERYTHING_EXISTS,
        "test_selector_of_external_series_is_honoured": EVERY_SERIES,
        "test_selector_that_matches_no_series_gives_an_empty_list": EVERY_SERIES,
    }


class TestSample(CustomMetricsConformance):
    """The walkthrough's metrics."""

    provider_class = SampleProvider
    custom_metric = CustomMetric("packets-per-second")
    exempt: ClassVar = {
        "test_unknown_object_is_not_found": "any object has the metrics",
        "test_custom_reads_beside_others_give_the_same": "the value grows with every read",
    }


class TestSampleOfNamespaces(TestSample):
    """Its root-scoped metric."""

    custom_metric = CustomMetric("work-queue-length", resource="namespaces", namespace="")


class TestWritable(CustomMetricsConformance, ExternalMetricsConformance):
    """What was written, with labels."""

    custom_metric = CustomMetric("requests", labels={"verb": "GET", "path": "home"})
    external_metric = ExternalMetric("depth", series=({"queue": "orders"}, {"queue": "mail", "zone": "a"}, {}))

    @pytest.fixture
    def make_provider(self) -> MakeProvider:
        custom, external = self.custom_metric, self.external_metric

        def make(context: ProviderContext) -> WritableProvider:
            provider = WritableProvider(context, WritableProvider.Options().load({}))
            for number, name in enumerate(custom.objects):
                asked = NamespacedName(custom.namespace, name)
                provider.set_metric(request_context(), asked, custom.info, custom.labels or {}, Quantity.of(number))
            for number, labels in enumerate(external.series):
                info = ExternalMetricInfo(external.metric)
                provider.set_external_metric(request_context(), external.namespace, info, labels, Quantity.of(number))
            return provider

        return make


class TestFunctions(CustomMetricsConformance, ExternalMetricsConformance):
    """Functions that are called when they are asked for."""

    custom_metric = CustomMetric("sessions")
    external_metric = ExternalMetric("depth", series=({"queue": "orders"}, {"queue": "mail"}))

    @pytest.fixture
    def make_provider(self) -> MakeProvider:
        metrics = Metrics()

        @metrics.external("depth")
        def depth(ctx: object, namespace: object, name: object) -> dict[str, int]:
            return {"queue=orders": 30, "queue=mail": 12}

        @metrics.custom("pods", "sessions")
        def sessions(ctx: object, objects: list[NamespacedName]) -> dict[str, int]:
            return {each.name: 7 for each in objects if each.name in self.custom_metric.objects}

        return lambda context: FunctionsProvider(context, FunctionsProvider.Options().load({"metrics": metrics}))
