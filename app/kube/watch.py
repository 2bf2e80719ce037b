"""One watch: the changes of a resource's objects, from the lines of an answer that does not end for minutes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import orjson
from urllib3.exceptions import HTTPError

from app.kube.client import ClusterClient, ClusterError

__all__ = ["Watch"]

# The second is for servers that know no partial objects; what is read of an object is the same in both.
_ACCEPT = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
# The cluster ends a watch when its time is over; silence that lasts longer means that nobody is there.
_GRACE_SECONDS = 15.0
_CHUNK = 64 * 1024
# etcd holds no object as large as this: whatever sends it is no watch.
_MAX_LINE = 16 * 1024 * 1024
_TYPES = frozenset(("ADDED", "MODIFIED", "DELETED", "BOOKMARK"))


class Watch:
    """An open watch on the objects of a resource after the version `version`, for about `seconds`.

    With a field selector, of those that it fits. Iterating gives each event's type and the object's metadata,
    bookmarks included. The iteration ends when the cluster ends the watch, and raises ClusterError for everything
    else: a broken connection and what is no event have no status, an ERROR event has the status that it names (410:
    the version is too old).
    """

    def __init__(
        self, client: ClusterClient, path: str, *, version: str, seconds: float, field_selector: str = ""
    ) -> None:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        if field_selector:
            query["fieldSelector"] = field_selector
        self._path = path
        self._response = client.open(path, accept=_ACCEPT, query=query, silence=seconds + _GRACE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._response.close()

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for line in self._lines():
            if line:
                yield self._event(line)

    def shutdown(self) -> None:
        """Break it, from another thread: the one that reads it is woken, which closing alone would not do."""
        # It may have ended by itself in this moment, in one of these ways.
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            self._response.shutdown()

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        try:
            for chunk in self._response.stream(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
                if len(rest) > _MAX_LINE:
                    raise self._error("a line does not end")
        # The last two are what a TLS socket raises when `shutdown` takes it away between two reads.
        except (HTTPError, OSError, ValueError, AttributeError) as error:
            raise self._error(str(error)[:256]) from error
        if rest:
            raise self._error("the connection broke inside a line")

    def _event(self, line: bytes) -> tuple[str, Mapping[str, Any]]:
        try:
            document = orjson.loads(line)
            kind, item = document["type"], document["object"]
            if kind == "ERROR":
                raise self._refusal(item)
            metadata = item["metadata"]
            if kind in _TYPES and isinstance(metadata, dict) and isinstance(metadata["resourceVersion"], str):
                return kind, metadata
        except (orjson.JSONDecodeError, LookupError, TypeError) as error:
            raise self._error("a line is no event") from error
        raise self._error("a line is no event")

    def _refusal(self, status: Mapping[str, Any]) -> ClusterError:
        code = status.get("code")
        message = str(status.get("message") or "no reason is given")[:256]
        return self._error(message, code if isinstance(code, int) else HTTPStatus.INTERNAL_SERVER_ERROR)

    def _error(self, sentence: str, status: int | None = None) -> ClusterError:
        return ClusterError(f"WATCH {self._path}: {sentence}", status=status)
