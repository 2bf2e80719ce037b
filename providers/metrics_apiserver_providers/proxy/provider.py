"""Reads metrics of another metrics API server, and lists what it lists."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from urllib3 import HTTPHeaderDict

from metrics_apiserver.provider import (
    BadGatewayError,
    CustomMetricInfo,
    CustomMetricsProvider,
    ExternalMetricInfo,
    ExternalMetricsProvider,
    ExternalMetricValue,
    GatewayTimeoutError,
    GroupResource,
    MetricNotFoundError,
    MetricValue,
    NamespacedName,
    NotFoundError,
    ProviderContext,
    RequestContext,
    Selector,
    ServiceUnavailableError,
    StatusError,
    reference_for,
)
from metrics_apiserver.provider.http import POD_TOKEN, Credentials, HTTPAnswer, HTTPClient
from metrics_apiserver_providers.proxy.failures import MissingPathError, refusal
from metrics_apiserver_providers.proxy.listing import Listing
from metrics_apiserver_providers.proxy.options import CUSTOM, EXTERNAL, ProxyOptions
from metrics_apiserver_providers.proxy.users import ANONYMOUS, LISTER, user_headers
from metrics_apiserver_providers.proxy.wire import (
    CUSTOM_GROUP,
    EXTERNAL_GROUP,
    Asked,
    WireError,
    read_custom_values,
    read_external_values,
)

__all__ = ["ProxyProvider"]

_ANY = "*"
_NAMESPACES = GroupResource("namespaces")
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "metrics-apiserver-proxy"}
_LISTING_SECONDS = 10.0


class ProxyProvider(CustomMetricsProvider, ExternalMetricsProvider):
    """Forwards reads to another metrics API server (KEDA, prometheus-adapter, …), and passes on what it says."""

    Options = ProxyOptions

    def __init__(self, context: ProviderContext, options: Mapping[str, Any]) -> None:
        super().__init__(context, options)
        self.per_user = options["forward_user"]
        credentials = Credentials() if self.per_user else Credentials(_token_file(options))
        self._named_itself = credentials.token_file is not None or options["client_cert_file"] is not None
        self._client = HTTPClient.from_options(
            options, logger=context.logger, credentials=credentials, headers=_HEADERS
        )
        self._listing = Listing(
            self._fetch_listing,
            address=self._client.address,
            apis=options["apis"],
            interval=options["list_interval"],
            logger=context.logger,
            name=context.name,
        )

    def start(self) -> None:
        """Start reading the other server's listing."""
        self._listing.start()

    def stop(self) -> None:
        """Stop that, and close the connections."""
        self._listing.stop()
        self._client.close()

    def list_all_metrics(self) -> Iterable[CustomMetricInfo]:
        """Name what the other server listed last."""
        return self._listing.custom

    def list_all_external_metrics(self) -> Iterable[ExternalMetricInfo]:
        """Name what the other server listed last."""
        return self._listing.external

    def get_metric_by_name(
        self, ctx: RequestContext, name: NamespacedName, info: CustomMetricInfo, metric_selector: Selector
    ) -> MetricValue:
        """Return the other server's value of this object."""
        values = self._read_custom(ctx, info, name, {"metricLabelSelector": metric_selector})
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
        """Return the other server's values; it selects the objects, too."""
        if not self._listing.versions(CUSTOM):
            return []
        selectors = {"labelSelector": selector, "metricLabelSelector": metric_selector}
        return self._read_custom(ctx, info, NamespacedName(namespace, _ANY), selectors)

    def get_external_metric(
        self, ctx: RequestContext, namespace: str, metric_selector: Selector, info: ExternalMetricInfo
    ) -> Sequence[ExternalMetricValue]:
        """Return the other server's series."""
        path = _path("namespaces", namespace, info.metric)
        for version in self._listing.versions(EXTERNAL):
            with self._named():
                target = f"/apis/{EXTERNAL_GROUP}/{version}/{path}{_query({'labelSelector': metric_selector})}"
                return read_external_values(self._ask(ctx, target), now=self.context.clock.now(), metric=info.metric)
        return []

    def _read_custom(
        self, ctx: RequestContext, info: CustomMetricInfo, name: NamespacedName, selectors: Mapping[str, Selector]
    ) -> list[MetricValue]:
        """Ask in the version that the server has; in each, as long as that is not known. Raises StatusError."""
        problem: StatusError | None = None
        asked = self._asked(info, name)
        path = _custom_path(info, name) + _query(selectors)
        for version in self._listing.versions(CUSTOM):
            try:
                with self._named():
                    content = self._ask(ctx, f"/apis/{CUSTOM_GROUP}/{version}/{path}")
                    values = read_custom_values(content, version=version, now=self.context.clock.now(), asked=asked)
            except NotFoundError as error:
                # Some servers say this of a version that they do not have, too.
                problem = error
            except MissingPathError as error:
                problem = problem if isinstance(problem, NotFoundError) else error
            else:
                return self._checked(values, asked.described.kind, info, name)
        raise problem or MetricNotFoundError(info.group_resource, info.metric)

    def _asked(self, info: CustomMetricInfo, name: NamespacedName) -> Asked:
        mapping = self.context.mapper.mapping_for(info.group_resource)
        known = NamespacedName(*("" if part == _ANY else part for part in (name.namespace, name.name)))
        described = reference_for(self.context.mapper, known, info)
        kinds = (mapping.kind.lower(), mapping.singular, mapping.resource.resource)
        return Asked(info.metric, described, kinds)

    def _checked(
        self, values: list[MetricValue], kind: str, info: CustomMetricInfo, asked: NamespacedName
    ) -> list[MetricValue]:
        """Leave out values of objects that were not asked for: an autoscaler would take them for its own."""
        fitting = []
        for value in values:
            found = value.described_object
            # A read of the root scope gives objects of every namespace.
            in_place = not info.namespaced or asked.namespace in (_ANY, found.namespace)
            if found.kind == kind and in_place and asked.name in (_ANY, found.name):
                fitting.append(value)
        if len(fitting) < len(values):
            left_out = len(values) - len(fitting)
            self.context.logger.warning(
                "%s: %d values of objects that were not asked for are left out: %s is expected", info, left_out, asked
            )
        return fitting

    def _ask(self, ctx: RequestContext, target: str) -> bytes:
        headers = user_headers(ctx.user or ANONYMOUS) if self.per_user else HTTPHeaderDict()
        headers["Audit-ID"] = ctx.audit_id
        answer = self._client.get(target, headers, timeout=ctx.remaining())
        if answer.status != HTTPStatus.OK:
            raise refusal(self._client.address, answer, named=self._named_itself)
        return answer.body

    def _fetch_listing(self, path: str) -> HTTPAnswer:
        headers = user_headers(LISTER) if self.per_user else HTTPHeaderDict()
        return self._client.get(path, headers, timeout=_LISTING_SECONDS)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Put the provider's name before what went wrong on its side."""
        name = self.context.name
        try:
            yield
        except WireError as error:
            sentence = f"provider {name}: the other server answers what cannot be read: {error}"
            raise BadGatewayError(sentence, cause=self._client.address) from error
        except (BadGatewayError, GatewayTimeoutError, ServiceUnavailableError) as error:
            raise type(error)(f"provider {name}: {error.message}", cause=error.cause) from error


def _token_file(options: Mapping[str, Any]) -> str | None:
    """Return the file of the token to show; by default the pod's, unless something else says who we are."""
    if options["token_file"] is not None or options["client_cert_file"] is not None:
        return options["token_file"] or None
    return str(POD_TOKEN) if POD_TOKEN.exists() else None


def _custom_path(info: CustomMetricInfo, name: NamespacedName) -> str:
    resource = str(info.group_resource)
    if info.namespaced:
        return _path("namespaces", name.namespace, resource, name.name, info.metric)
    if info.group_resource == _NAMESPACES:
        return _path("namespaces", name.name, "metrics", info.metric)
    return _path(resource, name.name, info.metric)


def _path(*segments: str) -> str:
    return "/".join(quote(segment, safe=_ANY) for segment in segments)


def _query(selectors: Mapping[str, Selector]) -> str:
    """Return the query with those selectors that select something."""
    given = {name: str(selector) for name, selector in selectors.items() if not selector.empty}
    return f"?{urlencode(given)}" if given else ""
