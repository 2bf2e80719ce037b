"""One GET of the other server: an answer that came in time and in bounds, or one exception with a sentence."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead
from typing import Any

import urllib3
from urllib3.exceptions import ConnectTimeoutError, DecodeError, HTTPError, NewConnectionError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.util import parse_url

from metrics_apiserver.provider import BadGatewayError, GatewayTimeoutError, ServiceUnavailableError
from metrics_apiserver.provider.http import AnswerTooLargeError, BoundedHTTPSConnection, read_body
from metrics_apiserver_providers.proxy.credentials import TLSFiles

__all__ = ["MOST_BYTES", "Answer", "Transport"]

# Of an answer, unpacked.
MOST_BYTES = 32 * 1024 * 1024
# How many idle connections are kept: more reads than these at once open and close their own.
_CONNECTIONS = 32
_CAUSE_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the body, whole and unpacked."""

    status: int
    body: bytes


class _StaleConnectionError(ConnectionError):
    """A kept connection had been closed: the server has not answered on it, and may be asked on another."""


class _Connection(BoundedHTTPSConnection):
    """Knows whether it was kept."""

    _answered = False

    def connect(self) -> None:
        self._answered = False
        super().connect()

    def request(self, *args: Any, **keywords: Any) -> None:
        with self._noticing_staleness():
            super().request(*args, **keywords)

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # TLS has the same time again, as `connectTimeout` says.
        self.timeout = self.timeout
        return sock

    def getresponse(self) -> Any:
        with self._noticing_staleness():
            response = super().getresponse()
        self._answered = True
        return response

    @contextlib.contextmanager
    def _noticing_staleness(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            if self._answered:
                raise _StaleConnectionError(str(error)) from error
            raise


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


class Transport:
    """Connections to one server, verified always, and new ones once the CA or the client certificate is another."""

    def __init__(
        self,
        url: str,
        *,
        server_name: str | None,
        connect_timeout: float,
        ca_file: str | None,
        cert_file: str | None,
        key_file: str | None,
        logger: logging.Logger,
    ) -> None:
        parsed = parse_url(url)
        assert parsed.host is not None
        self._host, self._port = parsed.host, parsed.port or 443
        self._server_name = server_name
        self._connect_timeout = connect_timeout
        self._files = TLSFiles(ca_file=ca_file, cert_file=cert_file, key_file=key_file, logger=logger)
        self._lock = threading.Lock()
        self._pool: tuple[ssl.SSLContext, _Pool] | None = None
        self.address = f"https://{self._host}:{self._port}"

    def close(self) -> None:
        """Close the idle connections; those in use are closed after their answer."""
        with self._lock:
            self._pool = None

    def get(self, target: str, headers: Mapping[str, str], *, timeout: float) -> Answer:
        """GET a path with its query; `timeout` is for all of it, from connecting to the last byte.

        Raises ServiceUnavailableError where there is no connection, GatewayTimeoutError, or BadGatewayError.
        """
        deadline = time.monotonic() + timeout
        try:
            try:
                return self._get(target, headers, deadline)
            except ProtocolError as error:
                if not isinstance(error.args[-1], _StaleConnectionError):
                    raise
                # Others that were kept are as old as this one.
                self.close()
                return self._get(target, headers, deadline)
        except (NewConnectionError, SSLError) as error:
            cause = f"{self.address}: {_cause(error)}"
            raise ServiceUnavailableError("the other server cannot be reached", cause=cause) from error
        except ConnectTimeoutError as error:
            cause = f"{self.address}: no connection in time"
            raise ServiceUnavailableError("the other server cannot be reached", cause=cause) from error
        except (HTTPTimeoutError, TimeoutError) as error:
            raise GatewayTimeoutError("the other server did not answer in time", cause=self.address) from error
        except (HTTPError, OSError) as error:
            cause = f"{self.address}: {_cause(error)}"
            raise BadGatewayError("the other server broke off its answer", cause=cause) from error
        except ValueError:
            # http.client quotes the header field that it refuses, and that may be the token: nothing is chained.
            raise BadGatewayError("a header field of the request cannot be sent") from None

    def _get(self, target: str, headers: Mapping[str, str], deadline: float) -> Answer:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        response = self._current_pool().urlopen(
            "GET",
            target,
            headers=headers,
            timeout=urllib3.Timeout(total=left, connect=self._connect_timeout),
            # A redirect would carry the credentials elsewhere.
            redirect=False,
            retries=False,
            preload_content=False,
        )
        try:
            body = read_body(response, most=MOST_BYTES, decode=True)
        except AnswerTooLargeError:
            response.close()
            raise ProtocolError(f"it has more than {MOST_BYTES // 2**20} MiB") from None
        except BaseException:
            # Half an answer is still on that connection.
            response.close()
            raise
        response.release_conn()
        return Answer(response.status, bytes(body))

    def _current_pool(self) -> _Pool:
        context = self._files.context()
        with self._lock:
            if self._pool is None or self._pool[0] is not context:
                # The old one closes what is idle when its last request is over and nobody holds it.
                self._pool = context, self._make_pool(context)
            return self._pool[1]

    def _make_pool(self, context: ssl.SSLContext) -> _Pool:
        return _Pool(
            self._host, self._port, maxsize=_CONNECTIONS, ssl_context=context, server_hostname=self._server_name
        )


def _cause(error: BaseException) -> str:
    """Say what happened, without the objects that urllib3 wraps it in, and without what the server may have sent."""
    if isinstance(error, NewConnectionError):
        error = error.__cause__ or error
    while error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, IncompleteRead):
        return "the connection was closed before its end"
    if isinstance(error, HTTPException) and not isinstance(error, ConnectionError):
        return "it is not HTTP"
    if isinstance(error, DecodeError) or not isinstance(error, (HTTPError, OSError)):
        return "it cannot be unpacked"
    return (getattr(error, "strerror", None) or str(error))[:_CAUSE_LENGTH]
