"""`metrics-apiserver get`: reads metrics as the autoscaler does, and prints them as kubectl would."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO
from urllib.parse import quote, urlencode

import orjson
import yaml

from metrics_apiserver.commands.table import table
from metrics_apiserver.errors import StatusError, default_status
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.config import ClusterConfigError, load_client
from metrics_apiserver.provider.http import Credentials, HTTPClient
from metrics_apiserver.settings.durations import in_words

__all__ = ["Asked", "GetError", "Server", "get"]

_CUSTOM, _EXTERNAL = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/external.metrics.k8s.io/v1beta1"
_SECONDS = 30.0

# Returns the object at a path. Raises GetError.
Fetch = Callable[[str], dict[str, Any]]


class GetError(Exception):
    """There is no answer; the sentence is kubectl's, with the server's own words."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read: `resource` is `external`, or that of a custom metric; `name` is "*" for all that match."""

    resource: str
    metric: str
    name: str = "*"
    namespace: str = "default"
    selector: str = ""
    metric_selector: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to ask: a kubeconfig, or the address of a server with its CA and perhaps a token."""

    url: str
    ca_file: str | None = None
    token_file: str | None = None
    kubeconfig: str = ""

    def connect(self) -> Fetch:
        """Return what asks it. Raises GetError."""
        if not self.kubeconfig:
            return self._ask_directly()
        try:
            client = ClusterClient(load_client(self.kubeconfig))
        except ClusterConfigError as error:
            raise GetError(f"error: {error}") from error

        def fetch(path: str) -> dict[str, Any]:
            try:
                return client.get_json(path)[1]
            except ClusterError as error:
                raise GetError(f"Error from server: {error}") from error

        return fetch

    def _ask_directly(self) -> Fetch:
        client = HTTPClient(
            self.url,
            logger=logging.getLogger("metrics_apiserver"),
            ca_file=self.ca_file,
            credentials=Credentials(self.token_file),
            what=self.url,
        )

        def fetch(path: str) -> dict[str, Any]:
            try:
                answer = client.get(path, {"Accept": "application/json"}, timeout=_SECONDS)
            except StatusError as error:
                raise GetError(f"error: {error.whole}") from error
            return _object_of(answer.status, answer.body)

        return fetch


def get(asked: Asked, fetch: Fetch, *, output: str, out: TextIO, previous: Sequence[str] = ()) -> list[str]:
    """Read once, and print it: as a table, `wide`, `json` or `yaml`; of a table the rows that were not there before.

    Returns the rows of the table. Raises GetError.
    """
    document = fetch(_path(asked, fetch))
    if output in ("json", "yaml"):
        out.write(_dumped(document, output))
        return []
    external = asked.resource == "external"
    head, rows = (_external_rows if external else _custom_rows)(document.get("items") or [], wide=output == "wide")
    if not rows and not previous:
        out.write("No resources found\n")
        return []
    first, *lines = table(head, rows)
    # Ages grow: a row is the same as long as its value and its time are.
    keys = ["\t".join(row[:-1]) for row in rows]
    new = [line for line, key in zip(lines, keys, strict=True) if key not in previous]
    if not previous:
        new.insert(0, first)
    out.writelines(f"{line}\n" for line in new)
    return keys


def _dumped(document: Mapping[str, Any], output: str) -> str:
    if output == "yaml":
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def _path(asked: Asked, fetch: Fetch) -> str:
    metric = quote(asked.metric, safe="")
    if asked.resource == "external":
        place = f"{_EXTERNAL}/namespaces/{quote(asked.namespace, safe='*')}/{metric}"
        return place + _query(labelSelector=asked.metric_selector or asked.selector)
    query = _query(labelSelector=asked.selector, metricLabelSelector=asked.metric_selector)
    resource, name = quote(asked.resource, safe=""), quote(asked.name, safe="*")
    if _is_root_scoped(asked, fetch):
        return f"{_CUSTOM}/{resource}/{name}/{metric}{query}"
    if asked.resource in ("namespaces", "namespace"):
        return f"{_CUSTOM}/namespaces/{name}/metrics/{metric}{query}"
    return f"{_CUSTOM}/namespaces/{quote(asked.namespace, safe='*')}/{resource}/{name}/{metric}{query}"


def _is_root_scoped(asked: Asked, fetch: Fetch) -> bool:
    """Return what the server lists; what it does not list is namespaced, as most things are."""
    if asked.resource in ("namespaces", "namespace"):
        return False
    listed = {each["name"]: each["namespaced"] for each in fetch(_CUSTOM).get("resources") or []}
    return listed.get(f"{asked.resource}/{asked.metric}", asked.resource not in ("nodes", "node")) is False


def _query(**selectors: str) -> str:
    given = {name: text for name, text in selectors.items() if text}
    return f"?{urlencode(given)}" if given else ""


def _custom_rows(items: Sequence[Mapping[str, Any]], *, wide: bool) -> tuple[list[str], list[list[str]]]:
    head = ["NAMESPACE", "NAME", *(("KIND", "METRIC", "WINDOW", "TIMESTAMP") if wide else ()), "VALUE", "AGE"]
    rows = []
    for item in items:
        described = item["describedObject"]
        more = [described["kind"], item["metric"]["name"], _window(item.get("windowSeconds")), str(item["timestamp"])]
        name = [described.get("namespace", ""), described["name"]]
        rows.append([*name, *(more if wide else ()), item["value"], _age(item["timestamp"])])
    return head, rows


def _external_rows(items: Sequence[Mapping[str, Any]], *, wide: bool) -> tuple[list[str], list[list[str]]]:
    head = ["LABELS", *(("METRIC", "WINDOW", "TIMESTAMP") if wide else ()), "VALUE", "AGE"]
    rows = []
    for item in items:
        labels = ",".join(f"{key}={value}" for key, value in sorted((item.get("metricLabels") or {}).items()))
        more = [item["metricName"], _window(item.get("window")), str(item["timestamp"])]
        rows.append([labels or "<none>", *(more if wide else ()), item["value"], _age(item["timestamp"])])
    return head, rows


def _window(seconds: int | None) -> str:
    return "<none>" if seconds is None else f"{seconds}s"


def _age(time: str | None) -> str:
    if not time:
        return "<unknown>"
    return in_words(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()))


def _object_of(status: int, content: bytes) -> dict[str, Any]:
    """Return the object of an answer. Raises GetError with the Status of one that is a failure."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    if status == 200 and isinstance(body, dict):
        return body
    reason, message = default_status(status)
    if isinstance(body, dict) and body.get("kind") == "Status":
        reason, message = body.get("reason") or reason, body.get("message") or message
    raise GetError(f"Error from server ({reason}): {message}")
