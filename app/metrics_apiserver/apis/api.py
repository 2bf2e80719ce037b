"""What an API is, and what a read of it is, to everybody who goes through the table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, Self

from metrics_apiserver.apis.checking import Checked
from metrics_apiserver.errors import NotFoundError
from metrics_apiserver.logs import HIDDEN, shown_selector
from metrics_apiserver.model.metrics import CustomMetricInfo, ExternalMetricInfo, ExternalMetricValue, MetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import GroupResource, NamespacedName, RESTMapping
from metrics_apiserver.model.selectors import Selector
from metrics_apiserver.provider import Provider, RequestContext, RESTMapper
from metrics_apiserver.schemas.table import APIVersion

__all__ = [
    "API",
    "Info",
    "ListNames",
    "Mapper",
    "PathForm",
    "Query",
    "Read",
    "Value",
    "Values",
    "namespace_part",
    "selector_part",
    "shown_sentence",
]

Info = CustomMetricInfo | ExternalMetricInfo
Value = MetricValue | ExternalMetricValue
Values = Sequence[Value]


class Mapper(RESTMapper, Protocol):
    """The cluster's resources, also for one who may not wait for it."""

    def mapping_for(self, resource: GroupResource, *, may_wait: bool = True) -> RESTMapping:
        """Return the mapping of a resource.

        Raises ResourceNotFoundError, ServiceUnavailableError, and WouldWaitError where only the cluster knows.
        """


class ListNames(Protocol):
    """Lists the objects that a read is about, within the time that it has."""

    def __call__(self, mapping: RESTMapping, *, namespace: str, selector: Selector) -> Sequence[NamespacedName]:
        """Return their names. Raises ServiceUnavailableError."""


class Query(Protocol):
    """A read as a path and its query string name it; resources are still as they were written."""

    @property
    def api(self) -> API:
        """The API that is asked."""


class Read(Hashable, Protocol):
    """What providers are asked: hashable, and equal to another that asks the same.

    Its text is for sentences, and these are for clients, the log and `/debug/reads` alike: a selector by a label that
    is called like a secret is hidden in it.
    """

    @property
    def api(self) -> API:
        """The API that it is a read of."""

    @property
    def info(self) -> Info:
        """The metric."""

    @property
    def namespace(self) -> str:
        """The namespace of the path."""

    @property
    def metric_selector(self) -> Selector:
        """Which series of the metric are meant."""

    @property
    def by_name(self) -> bool:
        """Whether one object is asked for, so that nothing is an error."""

    @property
    def matched_namespace(self) -> str:
        """The namespace that a provider's `match` is held against."""

    @property
    def resource(self) -> GroupResource | None:
        """Whose metric it is; None where it belongs to no object."""

    @property
    def objects(self) -> str:
        """The objects that are meant, for people; "" where it belongs to none."""

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """Every selector of it."""

    def unknown(self) -> NotFoundError:
        """Return the error for a read that no provider is asked for."""

    def wider(self) -> Self:
        """Return the same read of every series."""

    def ask(self, provider: Provider, context: RequestContext) -> object:
        """Ask a provider, which has the API's interface; what it gives is not checked yet."""


class PathForm(NamedTuple):
    """One form of an API's paths, as OpenAPI shows it; `name` tells it from the others in the operation's id."""

    name: str
    template: str
    description: str
    parameters: tuple[str, ...]


class API(ABC):
    """One API group. `name` is what the configuration, labels of metrics and `/debug/reads` call it."""

    name: str
    group: str
    interface: type[Provider]
    path_forms: tuple[PathForm, ...]
    # What two values of one answer must not have in common, in the plural.
    duplicated: str

    @abstractmethod
    def parse(self, segments: Sequence[str], parameters: Mapping[str, str]) -> Query:
        """Read what follows `/apis/GROUP/VERSION/`.

        Raises NotFoundError for what is not a path of the API, BadRequestError for a wrong selector.
        """

    @abstractmethod
    def read_of(self, query: Query, mapper: Mapper, *, may_wait: bool) -> Read:
        """Return what providers are asked for a query, its resource normalised.

        Raises ResourceNotFoundError, ServiceUnavailableError, and WouldWaitError where to answer may have to wait.
        """

    @abstractmethod
    def check(self, given: object) -> Checked[Value]:
        """Check what a provider gave. Raises WrongAnswerError."""

    @abstractmethod
    def substitutes(self, read: Read, quantity: Quantity, *, now: datetime, mapper: Mapper, names: ListNames) -> Values:
        """Return the values that stand in for what no provider gave, all of this quantity, sampled now."""

    def echoed(self, query: Query, values: Values) -> Values:
        """Return the values with what an answer repeats of the query."""
        return values

    @abstractmethod
    def list_metrics(self, provider: Provider, mapper: RESTMapper, most: int) -> tuple[Info, ...]:
        """Return what a provider lists, sorted, read up to `most` items. Raises what the provider raises."""

    @abstractmethod
    def example(self, info: Info) -> str:
        """Return the path below the version of a read of this metric: in the namespace `default`, of any object."""

    @abstractmethod
    def merge(self, listings: Iterable[Sequence[Info]]) -> list[Info]:
        """Return the metrics of several providers, sorted; of one that several list the first counts."""

    @abstractmethod
    def resources(self, row: APIVersion, infos: Sequence[Info]) -> list[dict[str, object]]:
        """Return the entries of an APIResourceList."""

    @abstractmethod
    def discovery_entries(self, row: APIVersion, infos: Sequence[Info]) -> list[dict[str, object]]:
        """Return the resources of an APIVersionDiscovery."""


def namespace_part(namespace: str) -> str:
    """Return the words that name a read's namespace; none where it is every one."""
    return f" in the namespace {namespace}" if namespace and namespace != "*" else ""


def selector_part(selector: Selector) -> str:
    """Return the words that name a read's selector."""
    return f" with {shown_selector(str(selector))}" if selector.requirements else ""


def shown_sentence(sentence: str, read: Read) -> str:
    """Return what a provider says of a read as a line may show it: without what a selector of the read hides."""
    for selector in read.selectors:
        if not selector.requirements or shown_selector(str(selector)) != HIDDEN:
            continue
        values = (value for requirement in selector.requirements for value in requirement.values)
        if any(value and value in sentence for value in values):
            return HIDDEN
    return sentence
