"""Whom a client trusts, and who it is: files that are read again when they change."""

from __future__ import annotations

import base64
import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics_apiserver.errors import ServiceUnavailableError
from metrics_apiserver.verification import client_context

__all__ = ["POD_TOKEN", "Credentials", "TLSFiles", "bearer_token"]

_UNUSABLE = "its TLS files cannot be used"
# Where a pod finds its own.
POD_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

# Of each file; a swapped mount is another file behind the same path.
_Signature = tuple[tuple[int, int, int] | None, ...]


class TLSFiles:
    """The CA and the client certificate, as the context of new connections.

    Files that were swapped for wrong ones change nothing: the last good context stays.
    """

    def __init__(
        self,
        *,
        ca_file: str | None,
        cert_file: str | None,
        key_file: str | None,
        logger: logging.Logger,
    ) -> None:
        self._ca_file = ca_file
        self._cert_file = cert_file
        self._key_file = key_file
        self._logger = logger
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._tried: _Signature | None = None
        self._problem = ""

    def context(self) -> ssl.SSLContext:
        """Return the context of the files as they are; another object when they have changed.

        Raises ServiceUnavailableError as long as they never were right.
        """
        signature = self._signature()
        with self._lock:
            if signature != self._tried:
                self._load()
                self._tried = signature
            if self._context is None:
                raise ServiceUnavailableError(_UNUSABLE, cause=self._problem)
            return self._context

    def _load(self) -> None:
        try:
            self._context, self._problem = self._make(), ""
        except (OSError, ValueError) as error:
            # OSError is every ssl.SSLError, too.
            self._problem = str(error)
            stays = "" if self._context is None else "; the last good ones stay"
            self._logger.warning("%s: %s%s", _UNUSABLE, self._problem, stays)

    def _make(self) -> ssl.SSLContext:
        if self._ca_file is not None and not Path(self._ca_file).is_file():
            raise FileNotFoundError(f"there is no file {self._ca_file}")
        context = client_context(self._ca_file)
        if self._cert_file is not None:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self._cert_file, self._key_file, password="")
        return context

    def _signature(self) -> _Signature:
        return tuple(_stat(path) for path in (self._ca_file, self._cert_file, self._key_file))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says of who sends it: a bearer token, or a user's name and password; neither: nothing."""

    token_file: str | None = None
    username: str | None = None
    password_file: str | None = None

    def authorization(self) -> str | None:
        """Return the value of `Authorization`, of what the file holds now; None where nothing is said.

        Raises ServiceUnavailableError where the file cannot be used.
        """
        if self.token_file:
            return f"Bearer {bearer_token(self.token_file)}"
        if self.username is None or self.password_file is None:
            return None
        pair = f"{self.username}:{_password(self.password_file)}"
        return f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"


def bearer_token(token_file: str) -> str:
    """Return the token that a file has now, without the white space around it. Raises ServiceUnavailableError."""
    try:
        token = Path(token_file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        # Not chained: a decoding error holds the token.
        cause = error.strerror if isinstance(error, OSError) else "not ASCII"
        raise ServiceUnavailableError("its token cannot be read", cause=f"{token_file}: {cause}") from None
    if not token or not token.isprintable() or " " in token:
        raise ServiceUnavailableError("its token cannot be sent", cause=f"{token_file} does not hold one")
    return token


def _password(file: str) -> str:
    """Return the password that a file has now, without the line's end."""
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        # Not chained: a decoding error holds the password.
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ServiceUnavailableError("its password cannot be read", cause=f"{file}: {cause}") from None


def _stat(path: Any) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
