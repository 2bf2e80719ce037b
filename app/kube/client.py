"""One request to the cluster's API: JSON in, or one exception of ours out."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import urllib3
from kubernetes.client import ApiClient
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from app.kube.limits import TokenBucket

__all__ = ["ClusterClient", "ClusterError"]

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 10.0
# How long a request may wait for its turn; longer, and whoever wanted the answer has gone.
_TURN_SECONDS = 10.0
# What the cluster writes may end in logs and in answers.
_MESSAGE_LENGTH = 256


class ClusterError(Exception):
    """The cluster did not answer, or refused; `status` is the HTTP status if there was an answer."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ClusterClient:
    """Asks the cluster's API, with the connection pool and the credentials of an ApiClient.

    Several clients may share one bucket, which then bounds them together.
    """

    def __init__(self, api: ApiClient, *, bucket: TokenBucket | None = None) -> None:
        self._api = api
        self._bucket = bucket

    def get_json(
        self, path: str, *, accept: str = "application/json", query: Mapping[str, str] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """GET a path and give the answer's media type and object. Raises ClusterError."""
        response = self._get(path, accept, query or {}, preload=True)
        body = _json_object(response)
        if body is None:
            raise ClusterError(f"GET {path}: the answer is not a JSON object", status=response.status)
        return response.headers.get("Content-Type", ""), body

    def open(self, path: str, *, accept: str, query: Mapping[str, str], silence: float) -> urllib3.BaseHTTPResponse:
        """GET a path and give the answer as soon as it begins; its body may pause for `silence` seconds.

        The caller closes it. Raises ClusterError.
        """
        response = self._get(path, accept, query, preload=False)
        # Only now: the head must come as fast as any answer. Without a socket (the server closes the connection
        # after this answer) the time of the head stays.
        sock = getattr(response.connection, "sock", None)
        if sock is not None:
            sock.settimeout(silence)
        return response

    def close(self) -> None:
        """Close the idle connections."""
        self._api.close()
        # The library leaves them to the garbage collector.
        self._api.rest_client.pool_manager.clear()

    def _get(self, path: str, accept: str, query: Mapping[str, str], *, preload: bool) -> urllib3.BaseHTTPResponse:
        """Send the request in its turn and give its answer of status 200."""
        if self._bucket is not None and not self._bucket.take(_TURN_SECONDS):
            raise ClusterError(f"GET {path}: no turn for this request within --client-qps, or the server is stopping")
        try:
            response = self._send(path, accept, query, preload=preload)
            if response.status == HTTPStatus.OK:
                return response
            try:
                raise ClusterError(f"GET {path}: {_refusal(response)}", status=response.status)
            finally:
                response.close()
        except (HTTPError, OSError, ConfigException) as error:
            raise ClusterError(f"GET {path}: {str(error)[:_MESSAGE_LENGTH]}") from error
        except ValueError:
            # http.client quotes the header it refuses, and that is the token: nothing of it may be chained.
            raise ClusterError(f"GET {path}: the credentials cannot be sent in a header") from None

    def _send(self, path: str, accept: str, query: Mapping[str, str], *, preload: bool) -> urllib3.BaseHTTPResponse:
        # The pool rather than the generated `call_api`: that one has another signature in every generator version.
        pool: urllib3.PoolManager = self._api.rest_client.pool_manager
        return pool.request(
            "GET",
            self._api.configuration.host + path,
            fields=dict(query),
            headers=self._headers(accept),
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            # Who asks repeats it; following a redirect would carry the token elsewhere.
            retries=False,
            preload_content=preload,
        )

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": self._api.user_agent}
        # Runs the hook that reads a rotated token again.
        token = self._api.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token
        return headers


def _refusal(response: urllib3.BaseHTTPResponse) -> str:
    """Say why the cluster refused: its own words only from a Status, since a proxy may have written the rest."""
    try:
        text = f"{response.status} {HTTPStatus(response.status).phrase}"
    except ValueError:
        text = str(response.status)
    body = _json_object(response) or {}
    if body.get("kind") != "Status" or not body.get("message"):
        return text
    return f"{text}: {str(body['message'])[:_MESSAGE_LENGTH]}"


def _json_object(response: urllib3.BaseHTTPResponse) -> dict[str, Any] | None:
    try:
        body = orjson.loads(response.data)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None
