"""What holds for every provider of external metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import pytest

from metrics_apiserver.kube.standalone import StandaloneCluster
from metrics_apiserver.provider import (
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    Provider,
    ProviderContext,
    RequestContext,
)
from metrics_apiserver.testing.conformance import answers
from metrics_apiserver.testing.conformance.base import MakeProvider, ProviderConformance, context_of
from metrics_apiserver.testing.conformance.reads import ExternalReads
from metrics_apiserver.testing.conformance.running import THREADS, all_at_once, hangs_no_longer, no_calls_out
from metrics_apiserver.testing.conformance.series import SELECTORS, UNMATCHED, selector_of
from metrics_apiserver.testing.declared import ExternalMetric
from metrics_apiserver.testing.served import serve_provider

__all__ = ["ExternalMetricsConformance"]


class ExternalMetricsConformance(ProviderConformance):
    """The checks of a provider of external metrics: declare one that it has, in `external_metric`."""

    external_metric: ClassVar[ExternalMetric]

    @pytest.fixture
    def external(self, provider: Provider, ctx: RequestContext) -> ExternalReads:
        """Reads of a started provider."""
        return self._external_reads(provider, ctx)

    def _external_reads(self, provider: Provider, ctx: RequestContext) -> ExternalReads:
        assert isinstance(provider, ExternalMetricsProvider), "derive the provider from ExternalMetricsProvider"
        return ExternalReads(provider, self.external_metric, ctx, self.patience)

    # The answer.

    def test_external_read_gives_a_list_of_external_metric_values(self, external: ExternalReads) -> None:
        """Not a number, and not an iterator, which can be read once."""
        answer = external.read()
        assert isinstance(answer, (list, tuple)), f"get_external_metric gave {answer!r}: give a list"
        wrong = [value for value in answer if not isinstance(value, ExternalMetricValue)]
        assert not wrong, f"get_external_metric has {wrong[0]!r} in its list: make it with ExternalMetricValue(...)"

    def test_external_values_name_the_metric_that_was_asked_for(self, external: ExternalReads) -> None:
        """The name is info.metric."""
        for value in self._values(external):
            wanted = self.external_metric.metric
            assert value.metric_name == wanted, f"asked for {wanted}, and answered {value.metric_name}"

    def test_label_sets_of_external_values_are_text(self, external: ExternalReads) -> None:
        """Labels tell the series apart, and are strings in Kubernetes."""
        for value in self._values(external):
            labels: Any = value.metric_labels
            text = isinstance(labels, Mapping) and all(
                isinstance(part, str) for pair in labels.items() for part in pair
            )
            assert text, f"metric_labels is {labels!r}: give a mapping of strings to strings"

    def test_times_of_external_values_have_a_zone(self, external: ExternalReads) -> None:
        """A time without one is another moment elsewhere."""
        answers.check_times(self._values(external))

    def test_external_values_are_quantities(self, external: ExternalReads) -> None:
        """NaN is not a quantity."""
        answers.check_quantities(self._values(external))

    def test_windows_of_external_values_are_whole_seconds(self, external: ExternalReads) -> None:
        """As the API has it."""
        answers.check_windows(self._values(external))

    def test_list_of_external_values_belongs_to_whoever_read_it(self, external: ExternalReads) -> None:
        """What a reader does to it is not seen by the next."""
        answers.check_own_list(external.read(), external.read)

    def _values(self, external: ExternalReads) -> list[ExternalMetricValue]:
        return answers.listed(external.read(), ExternalMetricValue)

    # What is not there.

    def test_unknown_external_metric_is_an_empty_list(self, external: ExternalReads) -> None:
        """So that the next provider is asked; an error would stop the read."""
        try:
            answer = list(external.read(unknown=True))
        except Exception as error:  # noqa: BLE001 - whatever a provider raises is told
            pytest.fail(f"give an empty list for a metric that nobody has; this raised {error!r}")
        assert not answer, f"give an empty list for a metric that nobody has; this gave {answer!r}"

    # Series.

    @SELECTORS
    def test_selector_of_external_series_is_honoured(self, external: ExternalReads, form: str) -> None:
        """What is given is what matches: no more, which the autoscaler would add, and no less."""
        selector = selector_of(form, self.external_metric.series)
        values = answers.listed(external.read(selector), ExternalMetricValue)
        found = Counter(_label_set(value.metric_labels) for value in values)
        expected = Counter(_label_set(labels) for labels in self.external_metric.series if selector.matches(labels))
        assert found == expected, (
            f"with the selector {str(selector)!r} other series are given than match: leave out those for which "
            "metric_selector.matches(labels) is false"
        )

    def test_selector_that_matches_no_series_gives_an_empty_list(self, external: ExternalReads) -> None:
        """A label that nobody has."""
        answer = list(external.read(selector_of(UNMATCHED, ())))
        assert not answer, f"no series has the label that is asked for, and this was given: {answer!r}"

    # Listing.

    def test_list_of_external_metrics_is_made_from_memory(self, external: ExternalReads) -> None:
        """Discovery must not wait for a backend."""
        with no_calls_out("list_all_external_metrics uses a connection: list what start() or a poll has read before"):
            found: list[Any] = list(external.provider.list_all_external_metrics())
        wrong = [info for info in found if not isinstance(info, ExternalMetricInfo)]
        assert not wrong, f"list_all_external_metrics has {wrong[:1]} in its list: make it with ExternalMetricInfo(...)"

    def test_list_of_external_metrics_stays_the_same(self, external: ExternalReads) -> None:
        """A list that changes without a reason makes every client read it again."""
        first, second = (Counter(external.provider.list_all_external_metrics()) for _ in range(2))
        assert first == second, "two calls of list_all_external_metrics, one after the other, give different metrics"

    def test_external_metric_is_answered_before_anything_was_listed(self, external: ExternalReads) -> None:
        """And whether it is listed or not: a provider that was just started knows its metrics."""
        assert list(external.read()), "a provider that was just started gives nothing for the metric that it has"

    # Threads and time.

    def test_external_reads_beside_others_give_the_same(self, external: ExternalReads) -> None:
        """Eight threads, of all series and of none in turns."""
        selectors = [selector_of(("", UNMATCHED)[index % 2], ()) for index in range(THREADS)]
        alone = [_told_apart(external.read(selector)) for selector in selectors[:2]]
        outcomes = all_at_once([partial(external.read, selector) for selector in selectors], self.patience)
        told = [outcome if isinstance(outcome, Exception) else _told_apart(outcome) for outcome in outcomes]
        answers.check_same(told, alone * (THREADS // 2))

    def test_external_read_whose_deadline_is_over_comes_back(
        self, make_provider: MakeProvider, cluster: StandaloneCluster
    ) -> None:
        """With an answer or an error: `ctx.remaining()` is 0, which some libraries take for no timeout at all."""
        self._external_hangs_no_longer(make_provider, cluster, 0.0)

    def test_external_read_of_a_hanging_backend_ends_by_its_deadline(
        self, make_hanging_provider: MakeProvider, cluster: StandaloneCluster
    ) -> None:
        """With an error, most likely."""
        self._external_hangs_no_longer(make_hanging_provider, cluster, 0.2)

    def _external_hangs_no_longer(self, make: MakeProvider, cluster: StandaloneCluster, had: float) -> None:
        provider = make(context_of(cluster))
        hangs_no_longer(provider, lambda ctx: self._external_reads(provider, ctx).read(), had, self.patience)

    # The server.

    def test_autoscaler_reads_the_external_metric(
        self, make_provider: MakeProvider, cluster: StandaloneCluster
    ) -> None:
        """Through the routes, the dispatch and the wire format."""

        def make(context: ProviderContext, _options: Mapping[str, Any]) -> Provider:
            return make_provider(context)

        with serve_provider(make, cluster=cluster) as autoscaler:
            autoscaler.external_metric(self.external_metric.namespace, self.external_metric.metric)


def _label_set(labels: Mapping[str, str] | None) -> frozenset[tuple[str, str]]:
    return frozenset((labels or {}).items())


def _told_apart(answer: Any) -> list[tuple[str, str]]:
    values = answers.listed(answer, ExternalMetricValue)
    return sorted((str(sorted((value.metric_labels or {}).items())), str(value.value)) for value in values)
