"""Reads metrics as the autoscaler of Kubernetes does, and makes of the answers what it makes of them.

After kube-controller-manager's `pkg/controller/podautoscaler/metrics/client.go` and the clients of k8s.io/metrics.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from metrics_apiserver.model.quantity import Quantity

if TYPE_CHECKING:
    from metrics_apiserver.server import MetricsServer

__all__ = ["Autoscaler", "AutoscalerError"]

_CUSTOM, _EXTERNAL = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/external.metrics.k8s.io/v1beta1"
_quoted = partial(quote, safe="")
# It prefers protobuf, which no metrics adapter speaks, and takes JSON.
_ACCEPT = "application/vnd.kubernetes.protobuf, */*"


class AutoscalerError(Exception):
    """What the autoscaler would say in the events of a HorizontalPodAutoscaler; `status` is the answer's code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Autoscaler:
    """A client of a server in this process. Values are in thousandths, rounded up, as the autoscaler counts."""

    def __init__(self, server: MetricsServer) -> None:
        self.server = server
        self._client = server.test_client()

    def pods_metric(
        self, namespace: str, metric: str, selector: str = "", metric_selector: str = ""
    ) -> dict[str, Quantity]:
        """Read a `Pods` metric of the pods whose labels match: pod → value. Raises AutoscalerError, also for none."""
        path = f"/namespaces/{_quoted(namespace)}/pods/%2A/{_quoted(metric)}"
        items = self._items("custom", _CUSTOM + path, labelSelector=selector, metricLabelSelector=metric_selector)
        return {item["describedObject"]["name"]: _thousandths(item) for item in items}

    def object_metric(
        self, namespace: str, resource: str, name: str, metric: str, metric_selector: str = ""
    ) -> Quantity:
        """Read an `Object` metric of one object; resource `namespaces` is the namespace itself."""
        path = f"/namespaces/{_quoted(namespace)}/{_quoted(resource)}/{_quoted(name)}/{_quoted(metric)}"
        if resource == "namespaces":
            path = f"/namespaces/{_quoted(name)}/metrics/{_quoted(metric)}"
        items = self._items("custom", _CUSTOM + path, metricLabelSelector=metric_selector)
        if len(items) != 1:
            sentence = f"the custom metrics API server returned {len(items)} results when we asked for exactly one"
            raise AutoscalerError(sentence, 200)
        return _thousandths(items[0])

    def external_metric(self, namespace: str, metric: str, selector: str = "") -> Quantity:
        """Read an `External` metric: the sum of all its series that match. Raises AutoscalerError, also for none."""
        # Its client has resources in lower case, and takes an external metric's name for one.
        path = f"{_EXTERNAL}/namespaces/{_quoted(namespace)}/{_quoted(metric.lower())}"
        items = self._items("external", path, labelSelector=selector)
        return Quantity.from_milli(sum(_thousandths(item).milli_value() for item in items))

    def get(self, path: str) -> Any:
        """Read a path as it stands; the answer is Werkzeug's, with `status_code` and `json`."""
        # As gunicorn has it: the target as it came, and the path decoded from it.
        raw, _, query = path.partition("?")
        target = {"RAW_URI": path, "PATH_INFO": unquote(raw, "latin-1"), "QUERY_STRING": query}
        return self._client.get("/", headers={"Accept": _ACCEPT}, environ_overrides=target)

    def _items(self, api: str, path: str, **selectors: str) -> list[dict[str, Any]]:
        # It leaves out what selects everything, but for the selector of pods.
        query = urlencode({name: text for name, text in selectors.items() if text})
        response = self.get(f"{path}?{query}" if query else path)
        if response.status_code != 200:
            reason = (response.get_json(silent=True) or {}).get("message", response.get_data(as_text=True))
            sentence = f"unable to fetch metrics from {api} metrics API: {reason}"
            raise AutoscalerError(sentence, response.status_code)
        items: list[dict[str, Any]] = response.json["items"]
        if not items:
            raise AutoscalerError(f"no metrics returned from {api} metrics API", 200)
        return items


def _thousandths(item: dict[str, Any]) -> Quantity:
    return Quantity.from_milli(Quantity.parse(item["value"]).milli_value())
