"""Serves functions as metrics: polled ones from memory, the others by calling them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from metrics_apiserver.provider import (
    BadGatewayError,
    BadRequestError,
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    GroupResource,
    MetricNotFoundError,
    MetricValue,
    NamespacedName,
    ProviderContext,
    RequestContext,
    Seldom,
    Selector,
    list_object_names,
    metric_value,
)
from metrics_apiserver.provider.functions import NAMESPACE_ALL, Registration
from metrics_apiserver_providers.functions.index import Index
from metrics_apiserver_providers.functions.jobs import Job
from metrics_apiserver_providers.functions.loading import FunctionsOptions, load
from metrics_apiserver_providers.functions.poller import Poller
from metrics_apiserver_providers.functions.pool import Pool
from metrics_apiserver_providers.functions.samples import Content, ResultError, Sample, custom_samples, external_sample
from metrics_apiserver_providers.functions.telemetry import PollMetrics

__all__ = ["FunctionsProvider"]

# A function that takes longer is not waited for.
FIRST_POLLS_SECONDS = 1.0


class FunctionsProvider(CustomMetricsProvider, ExternalMetricsProvider):
    """Serves the functions that a file or a module registers with `metrics_apiserver.provider.functions`."""

    Options = FunctionsOptions

    def __init__(self, context: ProviderContext, options: Mapping[str, Any]) -> None:
        """Load the functions. Raises LoadingError, and ValueError for two Metrics that claim one name."""
        super().__init__(context, options)
        self._index = Index(context.mapper, context.logger)
        self._jobs: dict[Registration, Sequence[Job]] = {}
        self._warned = Seldom(timer=context.clock.monotonic)
        self._poller = Poller(
            self._poll,
            clock=context.clock,
            logger=context.logger,
            metrics=PollMetrics(context.metrics_registry, context.name),
            pool=Pool(f"poll-{context.name}", context.logger),
        )
        self._loaded = load(options, restarting=context.restarting, logger=context.logger)
        self._unwatch: list[Callable[[], None]] = []
        try:
            for metrics in self._loaded.metrics:
                self._unwatch.append(metrics.watch(self))
        except ValueError:
            # They may live on, in an instance that was there before.
            self._forget()
            raise

    @property
    def answers_from_memory(self) -> bool:  # type: ignore[override]  # an instance may say it of itself
        """Whether all is polled; it is asked at every read, since metrics may be added and cancelled."""
        return self._index.from_memory

    def start(self) -> None:
        """Start to poll, and wait a moment for the first polls, so that the first reads find values."""
        self._poller.start()
        self._poller.wait_until_polled(FIRST_POLLS_SECONDS)

    def stop(self) -> None:
        """Stop to poll; a function that hangs is left behind."""
        self._poller.stop()
        self._forget()

    def _forget(self) -> None:
        for unwatch in self._unwatch:
            unwatch()
        self._loaded.forget()

    def added(self, registration: Registration) -> None:
        """Serve a registered metric from now on."""
        declaration = registration.declaration
        jobs = [Job(declaration, namespace) for namespace in declaration.namespaces]
        self._index.add(jobs)
        self._jobs[registration] = jobs
        if not declaration.when_asked:
            self._poller.add(declaration.trigger, jobs)

    def removed(self, registration: Registration) -> None:
        """Forget a metric that was cancelled."""
        jobs = self._jobs.pop(registration)
        self._index.remove(jobs)
        self._poller.remove(jobs)

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        """Name the registered custom metrics."""
        return self._index.custom_infos()

    def list_all_external_metrics(self) -> Iterable[ExternalMetricInfo]:
        """Name the registered external metrics."""
        return self._index.external_infos()

    def series_count(self, info: CustomMetricInfo | ExternalMetricInfo, namespace: str) -> int:
        """Return how many label sets an external metric has; an object has one."""
        job = self._index.external(info.metric, namespace) if isinstance(info, ExternalMetricInfo) else None
        sample = job.outcome.content if job is not None else None
        return len(sample.series) if isinstance(sample, Sample) else 1

    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        """Return the base value, or the label sets that match; the namespace `*` sees what answers in every one."""
        job = self._index.external(info.metric, namespace)
        if job is None:
            return []
        if job.declaration.when_asked:
            sample: Content = _asked(job, lambda: self._call_external(job, ctx, namespace))
        else:
            sample = job.content(self.context.clock)
        assert isinstance(sample, Sample)
        return tuple(
            ExternalMetricValue(info.metric, sample.timestamp, number, metric_labels=labels)
            for labels, number in sample.select(metric_selector)
        )

    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        """Return the value of one object, whether the cluster has it or not."""
        values = self._values(ctx, [name], info, metric_selector)
        if not values:
            raise MetricNotFoundError(info.group_resource, info.metric, name.name, metric_selector)
        return values[0]

    def get_metric_by_selector(
        self,
        ctx: RequestContext,
        namespace: str,
        selector: Selector,
        info: CustomMetricInfo,
        metric_selector: Selector,
    ) -> Sequence[MetricValue]:
        """Return the values of the matching objects; a function that is called when asked is called once for all."""
        if not self._index.knows(info):
            return []
        return self._values(ctx, list_object_names(self.context, ctx, namespace, selector, info), info, metric_selector)

    def _values(
        self, ctx: RequestContext, names: Sequence[NamespacedName], info: CustomMetricInfo, metric_selector: Selector
    ) -> list[MetricValue]:
        samples: dict[NamespacedName, Sample] = {}
        # A list over all namespaces may have several answerers.
        answering: dict[Job, list[NamespacedName]] = {}
        for name in names:
            if job := self._index.custom(info, name.namespace):
                answering.setdefault(job, []).append(name)
        for job, asked in answering.items():
            content = self._custom_content(job, ctx, tuple(asked))
            samples.update((name, content[name]) for name in asked if name in content)
        found = [self._value(name, samples[name], info, metric_selector) for name in names if name in samples]
        return [value for value in found if value is not None]

    def _custom_content(
        self, job: Job, ctx: RequestContext, asked: Sequence[NamespacedName]
    ) -> Mapping[NamespacedName, Sample]:
        if job.declaration.when_asked:
            content: Content = _asked(job, lambda: self._call_custom(job, ctx, asked, _only_namespace(asked)))
        else:
            content = job.content(self.context.clock)
        assert isinstance(content, Mapping)
        return content

    def _value(
        self, name: NamespacedName, sample: Sample, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue | None:
        found = sample.select(metric_selector)
        if len(found) > 1:
            # To add them up, or to take one, would be a guess.
            which = f"match {metric_selector}" if not metric_selector.empty else "are there, and no base value"
            raise BadRequestError(
                f"{len(found)} series of the metric {info.metric} for {info.group_resource} {name.name} {which}:"
                " an object has one value, so the metricLabelSelector has to select one"
            )
        return metric_value(self.context, name, info, found[0][1], timestamp=sample.timestamp) if found else None

    def _poll(self, job: Job, ctx: RequestContext) -> Content:
        """Call a function for all there is. What it says is not found has no data."""
        try:
            if job.declaration.resource is None:
                return self._call_external(job, ctx, job.namespace)
            return self._poll_custom(job, job.declaration.resource, ctx)
        except MetricNotFoundError:
            return (
                Sample(self.context.clock.now(), has_base=True, base=None) if job.declaration.resource is None else {}
            )

    def _poll_custom(self, job: Job, resource: GroupResource, ctx: RequestContext) -> Content:
        mapping = self.context.mapper.mapping_for(resource)
        info = CustomMetricInfo(mapping.group_resource, job.declaration.name, mapping.namespaced)
        namespace = "" if job.namespace == NAMESPACE_ALL else job.namespace
        # Bare names are of the one namespace that there is, if there is one.
        several = mapping.namespaced and not namespace
        objects = list_object_names(self.context, ctx, namespace, Selector(), info)
        return self._call_custom(job, ctx, objects, None if several else namespace)

    def _call_external(self, job: Job, ctx: RequestContext, namespace: str) -> Sample:
        declaration = job.declaration
        result = declaration.function(*(ctx, namespace, declaration.name)[: declaration.arguments])
        sample = external_sample(result, self.context.clock.now())
        self._warn(job, [sample])
        return sample

    def _call_custom(
        self, job: Job, ctx: RequestContext, objects: Sequence[NamespacedName], namespace: str | None
    ) -> Mapping[NamespacedName, Sample]:
        declaration = job.declaration
        result = declaration.function(*(ctx, objects)[: declaration.arguments])
        samples = custom_samples(result, self.context.clock.now(), namespace=namespace, objects=objects)
        self._warn(job, samples.values())
        return samples

    def _warn(self, job: Job, samples: Iterable[Sample]) -> None:
        """Say once a minute that there is a series that no selector can name: it counts in the sum alone."""
        complaint = next((sample.unselectable for sample in samples if sample.unselectable), "")
        if complaint and self._warned.allows(job):
            self.context.logger.warning("%s: no selector can name one of its series: %s", job, complaint)


def _asked(job: Job, call: Callable[[], Content]) -> Content:
    """Call a function for a read; what it raises is the read's failure."""
    try:
        return call()
    except ResultError as error:
        raise BadGatewayError(f"{job}: {error}") from error


def _only_namespace(names: Sequence[NamespacedName]) -> str | None:
    """Return the namespace that all of them are in; None if there are several."""
    namespaces = {name.namespace for name in names}
    return namespaces.pop() if len(namespaces) == 1 else None
