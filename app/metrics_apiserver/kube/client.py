"""One request to the cluster's API: JSON in, or one exception of ours out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import orjson
import urllib3
from kubernetes.client import ApiClient
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from metrics_apiserver.bounded_http import AnswerTooLargeError, bound_pools, bounds_of, read_body
from metrics_apiserver.kube.limits import TokenBucket

__all__ = ["ClusterClient", "ClusterError", "TooLargeError"]

# Connecting, TLS and sending; then the head; then all of the answer to a GET, from the request's beginning.
_CONNECT_SECONDS = 5.0
_HEAD_SECONDS = 10.0
_GET_SECONDS = 30.0
# How long a request may wait for its turn; longer, and whoever wanted the answer has gone.
_TURN_SECONDS = 10.0
# What the cluster writes may end in logs and in answers.
_MESSAGE_LENGTH = 256
# Of the answer to a GET. A cluster's discovery has some hundred KiB. As Python objects JSON may take thirty times its
# size, and the manifest's limit is 512 MiB.
_MOST_OF_GET = 8 * 1024 * 1024
# Of the answer to a POST; a review has a few hundred bytes, and a user's groups some thousand.
_MOST_OF_POST = 4 * 1024 * 1024
# Of one event of a watch, and how long one may take from its first byte to its last; etcd holds no larger object.
_MOST_OF_EVENT = 4 * 1024 * 1024
_EVENT_SECONDS = 30.0
# Of a refusal, of which one sentence is quoted.
_MOST_OF_REFUSAL = 64 * 1024
# The cluster refuses with these before it reads the body, which its words can therefore not quote.
_UNREAD = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class ClusterError(Exception):
    """The cluster did not answer, or refused; `status` is the HTTP status if there was an answer."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TooLargeError(ClusterError):
    """The answer has more bytes than are read of it: smaller pages may do."""


class ClusterClient:
    """Asks the cluster's API, with the connection pool and the credentials of an ApiClient.

    Every answer has a deadline in all and a number of bytes (`bounded_http`). None is unpacked: none is asked for
    in another encoding. Several clients may share one bucket, which then bounds them together.
    """

    def __init__(self, api: ApiClient, *, bucket: TokenBucket | None = None) -> None:
        self._api = api
        self._bucket = bucket
        bound_pools(api.rest_client.pool_manager)

    def get_json(
        self,
        path: str,
        *,
        accept: str = "application/json",
        query: Mapping[str, str] | None = None,
        most: int = _MOST_OF_GET,
    ) -> tuple[str, dict[str, Any]]:
        """GET a path and return the answer's media type and object.

        Raises ClusterError, also for an answer that is not here after half a minute, and TooLargeError for one of more
        than `most` bytes.
        """
        response, deadline = self._get(path, accept, query or {})
        with _failing(f"GET {path}"), _closing_when_broken(response):
            content = read_body(response, most=most, deadline=deadline)
        body = _json_object(content)
        if body is None:
            raise ClusterError(f"GET {path}: the answer is not a JSON object", status=response.status)
        return response.headers.get("Content-Type", ""), body

    def post_json(
        self, path: str, document: Mapping[str, Any], *, timeout: float = 5.0, secret: bool = False
    ) -> dict[str, Any]:
        """POST an object, such as a review, and return the answer's; the cluster may be asked twice.

        `timeout` is for all of it, from the wait for a turn to the last byte. With `secret` an error quotes nothing
        that the cluster can have read in the object. Raises ClusterError.
        """
        what, deadline = f"POST {path}", time.monotonic() + timeout
        content = _json_bytes(what, document)
        if self._bucket is not None and not self._bucket.take(timeout):
            raise ClusterError(f"{what}: no turn for this request within {timeout:g} s, or the server is stopping")
        with _failing(what):
            try:
                status, answer = self._post(path, content, deadline)
            except urllib3.exceptions.ProtocolError:
                # An idle connection that the cluster closed in this moment, more often than not.
                status, answer = self._post(path, content, deadline)
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            quoted = not secret or status in _UNREAD
            raise ClusterError(f"{what}: {_refusal(status, answer, quoted=quoted)}", status=status)
        body = _json_object(answer)
        if body is None:
            raise ClusterError(f"{what}: the answer is not a JSON object", status=status)
        return body

    def open(self, path: str, *, accept: str, query: Mapping[str, str], seconds: float) -> urllib3.BaseHTTPResponse:
        """GET a path and return the answer as soon as it begins; its body may go on for `seconds`, event by event.

        Whoever reads it says with `bounds_of(...).renew()` that one has come: each has a bound of its own, in bytes and
        in time. The caller closes it. Raises ClusterError.
        """
        response, _ = self._get(path, accept, query)
        bounds_of(response).allow(most=_MOST_OF_EVENT, deadline=time.monotonic() + seconds, within=_EVENT_SECONDS)
        return response

    def close(self) -> None:
        """Close the idle connections."""
        self._api.close()
        # The library leaves them to the garbage collector.
        self._api.rest_client.pool_manager.clear()

    def _get(self, path: str, accept: str, query: Mapping[str, str]) -> tuple[urllib3.BaseHTTPResponse, float]:
        """Send the request in its turn, and return its answer of status 200 and when its body has to be over."""
        if self._bucket is not None and not self._bucket.take(_TURN_SECONDS):
            raise ClusterError(f"GET {path}: no turn for this request within --client-qps, or the server is stopping")
        deadline = time.monotonic() + _GET_SECONDS
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_HEAD_SECONDS)
        with _failing(f"GET {path}"):
            response = self._send("GET", path, accept, timeout, fields=dict(query))
            if response.status == HTTPStatus.OK:
                return response, deadline
            content = _read_refusal(response)
        raise ClusterError(f"GET {path}: {_refusal(response.status, content)}", status=response.status)

    def _post(self, path: str, content: bytes, deadline: float) -> tuple[int, bytes | bytearray]:
        """Send the request and return its answer's status and body, which came in time."""
        timeout = urllib3.Timeout(total=_left(deadline))
        response = self._send("POST", path, "application/json", timeout, body=content)
        if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            return response.status, _read_refusal(response)
        with _closing_when_broken(response):
            return response.status, read_body(response, most=_MOST_OF_POST)

    def _send(
        self, method: str, path: str, accept: str, timeout: urllib3.Timeout, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        # The pool rather than the generated `call_api`: that one has another signature in every generator version.
        pool: urllib3.PoolManager = self._api.rest_client.pool_manager
        headers = self._headers(accept)
        if "body" in options:
            headers["Content-Type"] = "application/json"
        # Who asks repeats it; following a redirect would carry the token elsewhere.
        return pool.request(
            method,
            self._api.configuration.host + path,
            headers=headers,
            timeout=timeout,
            retries=False,
            preload_content=False,
            decode_content=False,
            **options,
        )

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": self._api.user_agent}
        # Runs the hook that reads a rotated token again.
        token = self._api.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            # http.client would send a line that is folded.
            if not token.isascii() or not token.isprintable():
                raise ValueError("not printable")
            headers["Authorization"] = token
        return headers


@contextlib.contextmanager
def _failing(what: str) -> Iterator[None]:
    """Turn what can go wrong with a request into a ClusterError."""
    try:
        yield
    except AnswerTooLargeError as error:
        raise TooLargeError(f"{what}: {error}") from error
    except (HTTPError, OSError, ConfigException) as error:
        raise ClusterError(f"{what}: {str(error)[:_MESSAGE_LENGTH]}") from error
    except ValueError:
        # http.client quotes the header it refuses, and that is the token: nothing of it may be chained.
        raise ClusterError(f"{what}: the credentials cannot be sent in a header") from None


@contextlib.contextmanager
def _closing_when_broken(response: urllib3.BaseHTTPResponse) -> Iterator[None]:
    """Close the connection where half an answer is still on it."""
    try:
        yield
    except BaseException:
        response.close()
        raise


def _read_refusal(response: urllib3.BaseHTTPResponse) -> bytes | bytearray:
    """Read the body of an answer that its status already decides; nothing where it is too long or too late."""
    try:
        return read_body(response, most=_MOST_OF_REFUSAL)
    except (HTTPError, OSError):
        return b""
    finally:
        response.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the cluster took too long to answer")
    return left


def _refusal(status: int, content: bytes | bytearray, *, quoted: bool = True) -> str:
    """Return why the cluster refused: its own words only from a Status, since a proxy may have written the rest."""
    try:
        text = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        text = str(status)
    body = (_json_object(content) if quoted else None) or {}
    message = body.get("message")
    if body.get("kind") != "Status" or not message or not isinstance(message, str):
        return text
    return f"{text}: {' '.join(message.split())[:_MESSAGE_LENGTH]}"


def _json_bytes(what: str, document: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:
        # Not chained: what cannot be encoded may be the secret.
        raise ClusterError(f"{what}: the request cannot be written as JSON") from None


def _json_object(content: bytes | bytearray) -> dict[str, Any] | None:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None
