"""A request to another server: an answer that came in time and in bounds, or one exception with a sentence."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, IncompleteRead
from typing import Any

import urllib3
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import ConnectTimeoutError, DecodeError, HTTPError, NewConnectionError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.util import parse_url

from metrics_apiserver.bounded_http import AnswerTooLargeError, BoundedConnection, BoundedHTTPSConnection, read_body
from metrics_apiserver.errors import BackendUnavailableError, BadGatewayError, GatewayTimeoutError
from metrics_apiserver.provider.http.credentials import Credentials, TLSFiles

__all__ = ["HTTPAnswer", "HTTPClient"]

# Of an answer, unpacked.
_MOST_BYTES = 32 * 1024 * 1024
# How many idle connections are kept: more reads than these at once open and close their own.
_CONNECTIONS = 32
_CAUSE_LENGTH = 256


@dataclass(frozen=True, slots=True)
class HTTPAnswer:
    """The status, the body, whole and unpacked, and the header fields, whose names may be written in any case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=HTTPHeaderDict)


class _StaleConnectionError(ConnectionError):
    """A kept connection had been closed: the server has not answered on it, and may be asked on another."""


class _NoticesStaleness:
    """What a connection does to know whether it was kept."""

    _answered = False

    def connect(self) -> None:
        self._answered = False
        super().connect()  # type: ignore[misc]  # of the connection that this is mixed into

    def request(self, *args: Any, **keywords: Any) -> None:
        with self._noticing_staleness():
            super().request(*args, **keywords)  # type: ignore[misc]

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        # TLS has the same time again, as `connectTimeout` says.
        self.timeout: Any = self.timeout
        return sock

    def getresponse(self) -> Any:
        with self._noticing_staleness():
            response = super().getresponse()  # type: ignore[misc]
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


class _PlainConnection(_NoticesStaleness, BoundedConnection):
    pass


class _TLSConnection(_NoticesStaleness, BoundedHTTPSConnection):
    pass


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_Pool = urllib3.HTTPConnectionPool


class HTTPClient:
    """Asks one server, on connections that are kept; TLS is verified always.

    `url` names the server and, where everything is below one, a path (`prefix`) and a query (`query`), which the caller
    puts into its targets. New connections are made once the CA or the client certificate is another. Sentences call the
    server `what`; where it is, only their causes tell.
    """

    def __init__(
        self,
        url: str,
        *,
        logger: logging.Logger,
        server_name: str | None = None,
        connect_timeout: float = 1.0,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        credentials: Credentials | None = None,
        headers: Mapping[str, str] | None = None,
        what: str = "the other server",
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        """Connect to nobody yet.

        `connect_timeout` is in seconds; `credentials` and `headers` go with every request that does not have such a
        field itself; `most_bytes` bounds an answer, unpacked.
        """
        parsed = parse_url(url)
        assert parsed.host is not None
        self._tls = parsed.scheme != "http"
        self._host, self._port = parsed.host, parsed.port or (443 if self._tls else 80)
        self.prefix = (parsed.path or "").rstrip("/")
        self.query = parsed.query or ""
        self.most_bytes = most_bytes
        self._server_name = server_name
        self._connect_timeout = connect_timeout
        self._files = TLSFiles(ca_file=ca_file, cert_file=cert_file, key_file=key_file, logger=logger)
        self._credentials = credentials or Credentials()
        self._headers = dict(headers or {})
        self._what = what
        self._lock = threading.Lock()
        self._pool: tuple[ssl.SSLContext | None, _Pool] | None = None
        self.address = f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @classmethod
    def from_options(cls, options: Mapping[str, Any], *, logger: logging.Logger, **more: Any) -> HTTPClient:
        """Make the client of loaded `ServerOptions`; `more` are further arguments of the client, which go first."""
        credentials = Credentials(options["token_file"], options.get("username"), options.get("password_file"))
        arguments = {
            "server_name": options["server_name"],
            "connect_timeout": options["connect_timeout"],
            "ca_file": options["ca_file"],
            "cert_file": options["client_cert_file"],
            "key_file": options["client_key_file"],
            "credentials": credentials,
            "headers": options.get("headers"),
            **more,
        }
        return cls(options["url"], logger=logger, **arguments)

    def close(self) -> None:
        """Close the idle connections; those in use are closed after their answer."""
        with self._lock:
            self._pool = None

    def get(self, target: str, headers: Mapping[str, str], *, timeout: float) -> HTTPAnswer:
        """GET a path with its query. Raises as `request` does."""
        return self.request("GET", target, headers, timeout=timeout)

    def request(
        self, method: str, target: str, headers: Mapping[str, str], *, timeout: float, body: bytes | None = None
    ) -> HTTPAnswer:
        """Ask for a path with its query; `timeout` is for all of it, from connecting to the last byte, in seconds.

        A request that met a kept connection which the server had closed is sent once more: send none whose effect
        must not happen twice. Redirects are answers, since following one would carry the credentials elsewhere.
        Raises BackendUnavailableError where there is no connection, ServiceUnavailableError where there is no
        credential, GatewayTimeoutError, or BadGatewayError.
        """
        deadline = time.monotonic() + timeout
        headers = self._with_own(headers)
        what = self._what
        try:
            try:
                return self._request(method, target, headers, body, deadline)
            except ProtocolError as error:
                if not isinstance(error.args[-1], _StaleConnectionError):
                    raise
                # Others that were kept are as old as this one.
                self.close()
                return self._request(method, target, headers, body, deadline)
        except (NewConnectionError, SSLError) as error:
            raise BackendUnavailableError(f"{what} cannot be reached", cause=self._caused(_cause(error))) from error
        except ConnectTimeoutError as error:
            cause = self._caused("no connection in time")
            raise BackendUnavailableError(f"{what} cannot be reached", cause=cause) from error
        except (HTTPTimeoutError, TimeoutError) as error:
            raise GatewayTimeoutError(f"{what} did not answer in time", cause=self.address) from error
        except (HTTPError, OSError) as error:
            raise BadGatewayError(f"{what} broke off its answer", cause=self._caused(_cause(error))) from error
        except ValueError:
            # http.client quotes the header field that it refuses, and that may be the token: nothing is chained.
            raise BadGatewayError("a header field of the request cannot be sent") from None

    def _with_own(self, headers: Mapping[str, str]) -> HTTPHeaderDict:
        whole = HTTPHeaderDict(headers)
        for name, value in self._headers.items():
            whole.setdefault(name, value)
        if "Authorization" not in whole and (authorization := self._credentials.authorization()) is not None:
            whole["Authorization"] = authorization
        return whole

    def _caused(self, cause: str) -> str:
        return f"{self.address}: {cause}"

    def _request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> HTTPAnswer:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        response = self._current_pool().urlopen(
            method,
            target,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(total=left, connect=self._connect_timeout),
            redirect=False,
            retries=False,
            preload_content=False,
        )
        try:
            content = read_body(response, most=self.most_bytes, decode=True)
        except AnswerTooLargeError:
            response.close()
            raise ProtocolError(f"it has more than {self.most_bytes // 2**20} MiB") from None
        except BaseException:
            # Half an answer is still on that connection.
            response.close()
            raise
        response.release_conn()
        return HTTPAnswer(response.status, bytes(content), response.headers)

    def _current_pool(self) -> _Pool:
        context = self._files.context() if self._tls else None
        with self._lock:
            if self._pool is None or self._pool[0] is not context:
                # The old one closes what is idle when its last request is over and nobody holds it.
                self._pool = context, self._make_pool(context)
            return self._pool[1]

    def _make_pool(self, context: ssl.SSLContext | None) -> _Pool:
        if context is None:
            return _PlainPool(self._host, self._port, maxsize=_CONNECTIONS)
        return _TLSPool(
            self._host, self._port, maxsize=_CONNECTIONS, ssl_context=context, server_hostname=self._server_name
        )


def _cause(error: BaseException) -> str:
    """Return what happened, without the objects that urllib3 wraps it in, and without what the server may have sent."""
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
