"""The body of a request as the application reads it: what goes wrong on the way is a `Status`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gunicorn.http.body import Body as GunicornBody
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import InvalidChunkExtension, InvalidChunkSize, NoMoreData, ParseException

from metrics_apiserver.errors import BadRequestError, RequestTimeoutError, ServiceUnavailableError
from metrics_apiserver.serving.refusals import status_error
from metrics_apiserver.serving.waits import CrowdedError, PeerTooSlowError

__all__ = ["Body"]

# The bounds of Go's reader of chunks: the line before one, the bits of a size, and how much of a body may be none of
# its data, beyond 16 bytes for a chunk and two for each byte in it. Nobody here reads what chunks say of themselves.
_CHUNK_LINE_BYTES = 4096
_CHUNK_SIZE = 1 << 64
_EXCESS_BYTES = 16384
_CHUNK_FRAME_BYTES = 16
# Each chunk costs the parser as much as a few hundred bytes do: so many are free, and one more for so much data.
_FREE_CHUNKS = 256
_FAIR_CHUNK_BYTES = 128
# The fields after the last chunk, which nobody reads either.
_TRAILER_BYTES = 8190
_RETRY_SECONDS = 1


class _Chunks(ChunkedReader):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's reader of chunks, within bounds."""

    def __init__(self, req: Any, unreader: Any) -> None:
        super().__init__(req, unreader)
        self.limit_chunk_size_line = _CHUNK_LINE_BYTES
        self.limit_trailer_section = _TRAILER_BYTES
        self._seen = self._excess = self._chunks = self._data = 0

    def read_into(self, unreader: Any, buf: bytearray) -> None:
        """Read on."""
        before = len(buf)
        super().read_into(unreader, buf)
        self._seen += len(buf) - before

    def parse_chunk_size(self, unreader: Any, data: bytes | None = None) -> Any:
        """Read the line before a chunk, and return its size and what came after."""
        self._seen = len(data or b"")
        size, rest = super().parse_chunk_size(unreader, data)
        if size >= _CHUNK_SIZE:
            raise InvalidChunkSize(b"too large for any body")
        # What came before this one: a chunk's size is no more than a promise of its data.
        if self._chunks > _FREE_CHUNKS + self._data // _FAIR_CHUNK_BYTES:
            raise InvalidChunkExtension("too many small chunks")
        self._chunks += 1
        self._data += size
        if rest is not None:
            line = self._seen - len(rest)
            self._excess = max(0, self._excess + line - _CHUNK_FRAME_BYTES - 2 * size)
            if line > _CHUNK_LINE_BYTES or self._excess > _EXCESS_BYTES:
                raise InvalidChunkExtension("too much besides the data")
        return size, rest


class Body(GunicornBody):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's body, whose every read goes through one method.

    Raises BadRequestError for what cannot be read, RequestTimeoutError where the peer took too long, and
    ServiceUnavailableError where too many threads wait for their peers already.
    """

    def __init__(self, req: Any) -> None:
        reader = req.body.reader
        super().__init__(_Chunks(req, req.unreader) if isinstance(reader, ChunkedReader) else reader)
        self._request = req

    def _read_reader(self, size: int) -> bytes:
        with _told():
            try:
                data: bytes = super()._read_reader(size)
            except BaseException:
                # Where the next request begins nobody knows.
                self._request.force_close()
                raise
        return data


@contextmanager
def _told() -> Iterator[None]:
    """Tell in the application's words what went wrong. A peer that is gone is told nothing."""
    try:
        yield
    except NoMoreData as error:
        raise BadRequestError("the body ends before its last chunk") from error
    except ParseException as error:
        raise status_error(error) from error
    except PeerTooSlowError as error:
        raise RequestTimeoutError("the request's body did not arrive in time") from error
    except CrowdedError as error:
        raise ServiceUnavailableError(
            "too many requests wait for the rest of their bodies; send this one again, with its body at once",
            details={"retryAfterSeconds": _RETRY_SECONDS},
        ) from error
