"""One watch: the changes of a resource's objects, from the lines of an answer that does not end for minutes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import orjson
from urllib3.exceptions import HTTPError

from metrics_apiserver.bounded_http import AnswerTooLargeError, bounds_of
from metrics_apiserver.kube.client import ClusterClient, ClusterError
from metrics_apiserver.kube.shapes import ShapeError, metadata_of, object_of, text_of

__all__ = ["Bookmarks", "Watch"]

# The second is for servers that know no partial objects; what is read of an object is the same in both.
_ACCEPT = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
# The cluster ends a watch when its time is over; one that lasts longer, in silence or not, is broken off.
_GRACE_SECONDS = 15.0
# kube-apiserver sends a bookmark about once a minute: after silence of this length it is gone, or sends none.
_QUIET_SECONDS = 180.0
_CHUNK = 64 * 1024
_TYPES = frozenset(("ADDED", "MODIFIED", "DELETED", "BOOKMARK"))


class Bookmarks:
    """Return whether the server of a resource is known to send bookmarks: some aggregated ones send none."""

    def __init__(self) -> None:
        self.known = False


class Watch:
    """An open watch on the objects of a resource after the version `version`, for about `seconds`.

    With a field selector, of those that it fits. Iterating gives each event's type and the object's metadata,
    bookmarks included. The iteration ends when the cluster ends the watch, and raises ClusterError for everything
    else: a broken connection, a watch or an event that lasts too long, and what is not an event have no status, an
    ERROR event has the status that it names (410: the version is too old).

    Three minutes of silence after a bookmark are an error. With `bookmarks`, which the watches of a resource share, it
    counts from the beginning: as an error where the server is known to send bookmarks, else as the watch's end, so that
    the next one shows whether the server is there.
    """

    def __init__(
        self,
        client: ClusterClient,
        path: str,
        *,
        version: str,
        seconds: float,
        field_selector: str = "",
        bookmarks: Bookmarks | None = None,
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
        # How long it may last, from now.
        self.lasts = seconds + _GRACE_SECONDS
        self._response = client.open(path, accept=_ACCEPT, query=query, seconds=self.lasts)
        self._bounds = bounds_of(self._response)
        self._bookmarks = bookmarks or Bookmarks()
        if bookmarks is not None:
            self._bounds.quiet = _QUIET_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._response.close()

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for line in self._lines():
            kind, metadata = self._event(line)
            if kind == "BOOKMARK":
                self._bounds.quiet, self._bookmarks.known = _QUIET_SECONDS, True
            yield kind, metadata

    def shutdown(self) -> None:
        """Break it, from another thread: the one that reads it is woken, which closing alone would not do."""
        # It may have ended by itself in this moment, in one of these ways.
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            self._response.shutdown()

    def _lines(self) -> Iterator[bytes]:
        """Return each line that is not empty; each has a time and a number of bytes, which it shares with blanks."""
        pending = bytearray()
        try:
            while chunk := self._response.read1(_CHUNK, decode_content=False):
                pending += chunk
                # Looked at only as often as there is something to find, so that a long line costs what its length is.
                if b"\n" not in chunk:
                    continue
                *lines, rest = bytes(pending).split(b"\n")
                pending = bytearray(rest)
                found = [line for line in lines if line.strip()]
                yield from found
                if found:
                    self._bounds.renew(begun=bool(rest))
        except AnswerTooLargeError as error:
            raise self._error("an event does not end") from error
        # The last two are what a TLS socket raises when `shutdown` takes it away between two reads.
        except (HTTPError, OSError, ValueError, AttributeError) as error:
            if self._bounds.silent and not pending:
                known, self._bookmarks.known = self._bookmarks.known, False
                if not known:
                    return
            raise self._error(str(error)[:256]) from error
        if pending:
            raise self._error("the connection broke inside a line")

    def _event(self, line: bytes) -> tuple[str, Mapping[str, Any]]:
        try:
            document = object_of(orjson.loads(line))
            kind = text_of(document, "type")
            if kind == "ERROR":
                raise self._refusal(object_of(document.get("object")))
            metadata = metadata_of(document.get("object"))
            text_of(metadata, "resourceVersion")
        except (orjson.JSONDecodeError, ShapeError) as error:
            raise self._error("a line is not an event") from error
        if kind not in _TYPES:
            raise self._error("a line is not an event")
        return kind, metadata

    def _refusal(self, status: Mapping[str, Any]) -> ClusterError:
        code, message = status.get("code"), status.get("message")
        sentence = " ".join(message.split()) if isinstance(message, str) else ""
        known = isinstance(code, int) and not isinstance(code, bool) and 100 <= code < 1000
        return self._error(sentence[:256] or "no reason is given", code if known else HTTPStatus.INTERNAL_SERVER_ERROR)

    def _error(self, sentence: str, status: int | None = None) -> ClusterError:
        return ClusterError(f"WATCH {self._path}: {sentence}", status=status)
