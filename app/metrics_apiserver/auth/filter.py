"""The one step before every view: who asks, may they. The only module of this package that knows Flask."""

from __future__ import annotations

from flask import request

from metrics_apiserver.auth.authenticator import Authenticator
from metrics_apiserver.auth.authorizer import Authorizer
from metrics_apiserver.auth.front_proxy import HeaderPairs
from metrics_apiserver.auth.impersonation import impersonates
from metrics_apiserver.auth.request_info import RequestInfo, request_info
from metrics_apiserver.auth.user import User
from metrics_apiserver.environ import HEADER_PAIRS, PEER_CERTIFICATE, TARGET, USER, USER_INFO
from metrics_apiserver.errors import (
    ForbiddenError,
    NotFoundError,
    ServiceUnavailableError,
    StatusError,
    UnauthorizedError,
)
from metrics_apiserver.logs import DECISIONS, HIDDEN, get_logger, shown_target

__all__ = ["AccessFilter"]


class AccessFilter:
    """Lets a request pass, or raises a StatusError; a Flask `before_request`, after the target was read."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._log = get_logger("metrics_apiserver.auth")

    def __call__(self) -> None:
        """Judge the request under way."""
        environ = request.environ
        info = request_info(request.method, environ[TARGET])
        user = None
        try:
            pairs = environ[HEADER_PAIRS]
            user = self._user(pairs, environ.get(PEER_CERTIFICATE), info)
            if user is not None:
                environ[USER] = user.name
                environ[USER_INFO] = user
                _refuse_impersonation(pairs)
                self._authorizer.authorize(user, info)
            if info.misleading:
                raise NotFoundError.for_path()
        except StatusError as error:
            self._decided(user, info, error)
            raise
        self._decided(user, info, None)

    def _user(self, pairs: HeaderPairs, certificate: bytes | None, info: RequestInfo) -> User | None:
        """Say who asks; None where nobody can tell, and it does not matter."""
        try:
            return self._authenticator.authenticate(pairs, certificate)
        except ServiceUnavailableError:
            if self._authorizer.always_allows(info):
                return None
            raise

    def _decided(self, user: User | None, info: RequestInfo, error: StatusError | None) -> None:
        if not self._log.enabled_for(DECISIONS):
            return
        fields: dict[str, object] = {
            "user": user.name if user else "-",
            "groups": ",".join(user.groups) if user else "-",
            "verb": info.verb,
            "path": (path := shown_target(info.path)),
            "code": error.code if error else "-",
        }
        if error is not None:
            # A refusal quotes the path.
            reason = error.whole if path == info.path else HIDDEN
            fields["reason"] = error.cause if isinstance(error, UnauthorizedError) else reason
        self._log.log(DECISIONS, "refused" if error else "allowed", **fields)


def _refuse_impersonation(pairs: HeaderPairs) -> None:
    if impersonates(pairs):
        raise ForbiddenError(
            "this server does not impersonate: the kube-apiserver does that before it forwards a request;"
            " leave the Impersonate-* header fields out"
        )
