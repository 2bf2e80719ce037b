"""Which registration answers a read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from metrics_apiserver.provider import (
    CustomMetricInfo,
    ExternalMetricInfo,
    GroupResource,
    NotFoundError,
    RESTMapper,
    Seldom,
)
from metrics_apiserver.provider.functions import NAMESPACE_ALL
from metrics_apiserver_providers.functions.jobs import Job

__all__ = ["Index"]

# How often it is said that the cluster does not have a resource.
_UNKNOWN_SECONDS = 600.0


class Index:
    """Finds a job by its metric and namespace; one of the namespace itself wins over one of every namespace.

    Readers take no lock: what they look at is replaced as a whole.
    """

    def __init__(self, mapper: RESTMapper, logger: logging.Logger) -> None:
        self._mapper = mapper
        self._logger = logger
        # It may be installed later: said at the start, and again as long as it stays so.
        self._unknown = Seldom(_UNKNOWN_SECONDS)
        self._lock = threading.Lock()
        # By the name in lower case: an external name has no case.
        self._external: dict[str, dict[str, Job]] = {}
        # By the metric's name alone: the resource may be written in the singular, which only the mapper knows.
        self._custom: dict[str, tuple[Job, ...]] = {}
        self._resources: dict[GroupResource, GroupResource] = {}
        # Those whose functions are called by reads.
        self._when_asked: set[Job] = set()

    def add(self, jobs: Iterable[Job]) -> None:
        """Find these jobs from now on. Raises ValueError, and adds none, where one is there already."""
        with self._lock:
            for job in jobs:
                if any(_same(job, other) for other in self._named(job)):
                    raise ValueError(f"{job} is registered already, in other Metrics of this provider")
            for job in jobs:
                if job.declaration.when_asked:
                    self._when_asked.add(job)
                if job.declaration.resource is None:
                    lower = job.declaration.name.lower()
                    self._external[lower] = {**self._external.get(lower, {}), job.namespace: job}
                else:
                    self._custom[job.declaration.name] = (*self._custom.get(job.declaration.name, ()), job)

    def remove(self, jobs: Iterable[Job]) -> None:
        """Find these jobs no more."""
        gone = set(jobs)
        with self._lock:
            self._when_asked -= gone
            for name in {job.declaration.name for job in gone}:
                lower = name.lower()
                series = {place: job for place, job in self._external.get(lower, {}).items() if job not in gone}
                self._external[lower] = series
                self._custom[name] = tuple(job for job in self._custom.get(name, ()) if job not in gone)
                if not series:
                    del self._external[lower]
                if not self._custom[name]:
                    del self._custom[name]

    def external(self, metric: str, namespace: str) -> Job | None:
        """Find who answers a read in this namespace; a read of all namespaces (`*`) is answered from there alone."""
        jobs = self._external.get(metric.lower(), {})
        return jobs.get(namespace) or jobs.get(NAMESPACE_ALL)

    def custom(self, info: CustomMetricInfo, namespace: str) -> Job | None:
        """Find who answers for an object in this namespace ("" for one in none)."""
        jobs = [job for job in self._custom.get(info.metric, ()) if self._resource(job) == info.group_resource]
        for wanted in (namespace, NAMESPACE_ALL):
            for job in jobs:
                if job.namespace == wanted:
                    return job
        return None

    def knows(self, info: CustomMetricInfo) -> bool:
        """Return whether anybody answers for this metric, of whatever namespace."""
        return any(self._resource(job) == info.group_resource for job in self._custom.get(info.metric, ()))

    def custom_infos(self) -> set[CustomMetricInfo]:
        """List the custom metrics, as far as the cluster has their resources."""
        infos = set()
        for job in [job for jobs in list(self._custom.values()) for job in jobs]:
            resource = job.declaration.resource
            assert resource is not None
            try:
                mapping = self._mapper.mapping_for(resource)
            except NotFoundError as error:
                if self._unknown.allows(resource):
                    meant = getattr(error, "meant", "")
                    guess = f"; did you mean {meant}?" if meant and meant != str(resource) else ""
                    self._logger.warning("%s: the cluster has no resource %s%s", job, resource, guess)
                continue
            infos.add(CustomMetricInfo(mapping.group_resource, job.declaration.name, mapping.namespaced))
        return infos

    def external_infos(self) -> list[ExternalMetricInfo]:
        """List the external metrics."""
        names = (job.declaration.name for jobs in list(self._external.values()) for job in jobs.values())
        return [ExternalMetricInfo(name) for name in dict.fromkeys(names)]

    @property
    def from_memory(self) -> bool:
        """Whether every read is answered from memory: for the objects of a custom metric the cluster is asked."""
        return not self._custom and not self._when_asked

    def _resource(self, job: Job) -> GroupResource | None:
        """Return the plural with its group, as reads name it; None where the cluster has no such resource (yet)."""
        written = job.declaration.resource
        assert written is not None
        if written not in self._resources:
            try:
                self._resources[written] = self._mapper.mapping_for(written).group_resource
            except NotFoundError:
                return None
        return self._resources[written]

    def _named(self, job: Job) -> Iterable[Job]:
        if job.declaration.resource is None:
            return self._external.get(job.declaration.name.lower(), {}).values()
        return self._custom.get(job.declaration.name, ())


def _same(job: Job, other: Job) -> bool:
    return (job.declaration.resource, job.namespace) == (other.declaration.resource, other.namespace)
