"""What holds for every provider of custom metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

import pytest

from metrics_apiserver.kube.standalone import StandaloneCluster
from metrics_apiserver.provider import (
    CustomMetricInfo,
    CustomMetricsProvider,
    MetricValue,
    NamespacedName,
    NotFoundError,
    Provider,
    ProviderContext,
    RequestContext,
    reference_for,
)
from metrics_apiserver.testing.conformance import answers
from metrics_apiserver.testing.conformance.base import MakeProvider, ProviderConformance, context_of
from metrics_apiserver.testing.conformance.reads import CustomReads
from metrics_apiserver.testing.conformance.running import THREADS, all_at_once, hangs_no_longer, no_calls_out
from metrics_apiserver.testing.conformance.series import SELECTORS, selector_of
from metrics_apiserver.testing.declared import CustomMetric
from metrics_apiserver.testing.served import serve_provider

__all__ = ["CustomMetricsConformance"]

_MANY = 10_000


class CustomMetricsConformance(ProviderConformance):
    """The checks of a provider of custom metrics: declare one that it has, in `custom_metric`."""

    custom_metric: ClassVar[CustomMetric]

    def manifests(self) -> list[dict[str, Any]]:
        """Return the declared objects, and one of the same kind that no selector of the checks matches."""
        declared = self.custom_metric
        return [*super().manifests(), *declared.manifests(), *declared.others(["conformance-beside"], "beside")]

    @pytest.fixture
    def custom(self, provider: Provider, ctx: RequestContext) -> CustomReads:
        """Reads of a started provider."""
        return self._reads(provider, ctx)

    def _reads(self, provider: Provider, ctx: RequestContext) -> CustomReads:
        assert isinstance(provider, CustomMetricsProvider), "derive the provider from CustomMetricsProvider"
        return CustomReads(provider, self.custom_metric, ctx, self.patience)

    def _by_name(self, custom: CustomReads) -> list[MetricValue]:
        return [answers.single(custom.by_name(name)) for name in self.custom_metric.objects]

    # The answer.

    def test_by_name_read_gives_one_metric_value(self, custom: CustomReads) -> None:
        """Not a number, and not a list."""
        for name in self.custom_metric.objects:
            answer = custom.by_name(name)
            assert isinstance(answer, MetricValue), (
                f"get_metric_by_name gave {answer!r}: make it with metric_value(...)"
            )

    def test_selector_read_gives_a_list_of_metric_values(self, custom: CustomReads) -> None:
        """Not an iterator either, which can be read once."""
        answer = custom.by_selector("has-it")
        assert isinstance(answer, (list, tuple)), f"get_metric_by_selector gave {answer!r}: give a list"
        wrong = [value for value in answer if not isinstance(value, MetricValue)]
        assert not wrong, f"get_metric_by_selector has {wrong[0]!r} in its list: make it with metric_value(...)"

    def test_object_that_is_asked_for_is_the_one_that_is_answered(self, custom: CustomReads) -> None:
        """The autoscaler takes the value for that of the object in its path, whatever the answer says."""
        for name in self.custom_metric.names:
            described = answers.single(custom.by_name(name.name)).described_object
            expected = reference_for(custom.provider.context.mapper, name, self.custom_metric.info)
            assert described == expected, f"asked for {expected}, and answered {described}: use the name that is given"

    def test_metric_that_is_asked_for_is_the_one_that_is_answered(self, custom: CustomReads) -> None:
        """A client looks at the name of each item."""
        wanted = self.custom_metric.metric
        for value in [*self._by_name(custom), *answers.listed(custom.by_selector("has-it"), MetricValue)]:
            assert value.metric.name == wanted, f"asked for {wanted}, and answered {value.metric.name}: use info.metric"

    def test_selector_read_has_each_matching_object_once(self, custom: CustomReads) -> None:
        """The autoscaler counts pods by their names."""
        values = answers.listed(custom.by_selector("has-it"), MetricValue)
        found = Counter((value.described_object.namespace, value.described_object.name) for value in values)
        expected = Counter((name.namespace, name.name) for name in self.custom_metric.names)
        assert found == expected, "one value is expected for each object of list_object_names(...) that has one"

    def test_times_of_custom_values_have_a_zone(self, custom: CustomReads) -> None:
        """A time without one is another moment elsewhere."""
        answers.check_times(self._by_name(custom))
        answers.check_times(answers.listed(custom.by_selector("has-it"), MetricValue))

    def test_custom_values_are_quantities(self, custom: CustomReads) -> None:
        """NaN is not a quantity."""
        answers.check_quantities(self._by_name(custom))
        answers.check_quantities(answers.listed(custom.by_selector("has-it"), MetricValue))

    def test_windows_of_custom_values_are_whole_seconds(self, custom: CustomReads) -> None:
        """As the API has it."""
        answers.check_windows(self._by_name(custom))

    def test_list_of_custom_values_belongs_to_whoever_read_it(self, custom: CustomReads) -> None:
        """What a reader does to it is not seen by the next."""
        answers.check_own_list(custom.by_selector("has-it"), partial(custom.by_selector, "has-it"))

    # What is not there.

    def test_unknown_custom_metric_is_not_found(self, custom: CustomReads) -> None:
        """So that the next provider is asked."""
        _check_not_found(partial(custom.by_name, self.custom_metric.objects[0], unknown=True))

    def test_unknown_object_is_not_found(self, custom: CustomReads) -> None:
        """An object that was deleted has no metric."""
        _check_not_found(partial(custom.by_name, "conformance-nobody"))

    def test_unknown_custom_metric_gives_an_empty_list(self, custom: CustomReads) -> None:
        """By selector it is not a failure."""
        assert not list(custom.by_selector("has-it", unknown=True)), "a metric that nobody has gives an empty list"

    def test_selector_that_matches_no_object_gives_an_empty_list(self, custom: CustomReads) -> None:
        """A Deployment that is scaled to zero has no pods."""
        assert not list(custom.by_selector("nobody")), "where no object matches, an empty list is expected"

    def test_selector_that_matches_many_objects_gives_those_with_a_value(
        self, make_provider: MakeProvider, ctx: RequestContext
    ) -> None:
        """Ten thousand of them; each at most once, and no other."""
        names = [f"conformance-many-{number}" for number in range(_MANY)]
        objects = [*self.manifests(), *self.custom_metric.others(names, "many")]
        provider = make_provider(context_of(StandaloneCluster(objects)))
        provider.start()
        try:
            values = answers.listed(self._reads(provider, ctx).by_selector("many"), MetricValue)
        finally:
            provider.stop()
        found = Counter(value.described_object.name for value in values)
        assert set(found) <= set(names), "there are objects in the answer that do not match the selector"
        assert not values or max(found.values()) == 1, "there are objects in the answer more than once"

    # Series.

    @SELECTORS
    def test_metric_selector_of_a_custom_metric_is_honoured(self, custom: CustomReads, form: str) -> None:
        """By name and by selector: what does not match is not there."""
        labels = self._labels()
        series = selector_of(form, [labels])
        name = self.custom_metric.objects[0]
        if series.matches(labels):
            custom.by_name(name, series)
        else:
            _check_not_found(partial(custom.by_name, name, series))
        expected = len(self.custom_metric.objects) if series.matches(labels) else 0
        assert len(list(custom.by_selector("has-it", series))) == expected, (
            f"with the metric selector {str(series)!r}, {expected} values are expected: leave out those for which "
            "metric_selector.matches(labels) is false"
        )

    def _labels(self) -> Mapping[str, str]:
        labels = self.custom_metric.labels
        if labels is None:
            pytest.skip("its metric was declared without labels: it knows no series")
        return labels

    # Listing.

    def test_list_of_custom_metrics_is_made_from_memory(self, custom: CustomReads) -> None:
        """Discovery must not wait for a backend."""
        with no_calls_out("list_all_metrics uses a connection: list what start() or a poll has read before"):
            found: list[Any] = list(custom.provider.list_all_metrics())
        wrong = [info for info in found if not isinstance(info, CustomMetricInfo)]
        assert not wrong, f"list_all_metrics has {wrong[:1]} in its list: make it with CustomMetricInfo(...)"

    def test_list_of_custom_metrics_stays_the_same(self, custom: CustomReads) -> None:
        """A list that changes without a reason makes every client read it again."""
        first, second = (Counter(custom.provider.list_all_metrics()) for _ in range(2))
        assert first == second, "two calls of list_all_metrics, one after the other, give different metrics"

    def test_listed_resources_are_plurals_with_their_group(self, custom: CustomReads) -> None:
        """`pods` and `deployments.apps`; what the cluster does not have is left out of discovery."""
        for info in custom.provider.list_all_metrics():
            with suppress(NotFoundError):
                normal = custom.provider.context.mapper.mapping_for(info.group_resource).group_resource
                assert info.group_resource == normal, f"list_all_metrics says {info.group_resource}: say {normal}"

    def test_custom_metric_is_answered_before_anything_was_listed(self, custom: CustomReads) -> None:
        """And whether it is listed or not: a provider that was just started knows its metrics."""
        for name in self.custom_metric.objects:
            custom.by_name(name)

    # Threads and time.

    def test_custom_reads_beside_others_give_the_same(self, custom: CustomReads) -> None:
        """Eight threads, of different objects."""
        objects = self.custom_metric.objects
        assert len(objects) > 1, "declare two objects at least: a mix-up shows only between two"
        names = [objects[index % len(objects)] for index in range(THREADS)]
        read: Callable[[str], Any] = lambda name: _told_apart(answers.single(custom.by_name(name)))  # noqa: E731
        alone = {name: read(name) for name in objects}
        outcomes = all_at_once([partial(custom.by_name, name) for name in names], self.patience)
        told = [outcome if isinstance(outcome, Exception) else _told_apart(outcome) for outcome in outcomes]
        answers.check_same(told, [alone[name] for name in names])

    def test_custom_read_whose_deadline_is_over_comes_back(
        self, make_provider: MakeProvider, cluster: StandaloneCluster
    ) -> None:
        """With an answer or an error: `ctx.remaining()` is 0, which some libraries take for no timeout at all."""
        self._hangs_no_longer(make_provider, cluster, 0.0)

    def test_custom_read_of_a_hanging_backend_ends_by_its_deadline(
        self, make_hanging_provider: MakeProvider, cluster: StandaloneCluster
    ) -> None:
        """With an error, most likely."""
        self._hangs_no_longer(make_hanging_provider, cluster, 0.2)

    def _hangs_no_longer(self, make: MakeProvider, cluster: StandaloneCluster, had: float) -> None:
        provider, name = make(context_of(cluster)), self.custom_metric.objects[0]
        hangs_no_longer(provider, lambda ctx: self._reads(provider, ctx).by_name(name), had, self.patience)

    # The server.

    def test_autoscaler_reads_the_custom_metric(self, make_provider: MakeProvider, cluster: StandaloneCluster) -> None:
        """Through the routes, the dispatch and the wire format."""
        declared = self.custom_metric

        def make(context: ProviderContext, _options: Mapping[str, Any]) -> Provider:
            return make_provider(context)

        with serve_provider(make, cluster=cluster) as autoscaler:
            for name in declared.objects:
                autoscaler.object_metric(declared.namespace, declared.resource, name, declared.metric)


def _check_not_found(read: Callable[[], Any]) -> None:
    try:
        answer = read()
    except NotFoundError:
        return
    except Exception as error:  # noqa: BLE001 - whatever a provider raises is told
        pytest.fail(f"raise MetricNotFoundError for what is not there; this raised {error!r}")
    pytest.fail(f"raise MetricNotFoundError for what is not there; this gave {answer!r}")


def _told_apart(value: Any) -> tuple[NamespacedName, str]:
    described = value.described_object
    return NamespacedName(described.namespace, described.name), str(value.value)
