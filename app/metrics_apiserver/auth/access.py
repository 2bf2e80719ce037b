"""Who asks, and may they: the one judgement of a request, before anything else of it is looked at."""

from __future__ import annotations

from typing import NamedTuple

from metrics_apiserver.auth.authenticator import Authenticator
from metrics_apiserver.auth.authorizer import Authorizer
from metrics_apiserver.auth.front_proxy import HeaderPairs
from metrics_apiserver.auth.impersonation import impersonates
from metrics_apiserver.auth.request_info import RequestInfo
from metrics_apiserver.errors import (
    ForbiddenError,
    NotFoundError,
    ServiceUnavailableError,
    StatusError,
    UnauthorizedError,
)
from metrics_apiserver.logs import DECISIONS, HIDDEN, get_logger, shown_target
from metrics_apiserver.model.users import UserInfo

__all__ = ["Access", "Judgement"]


class Judgement(NamedTuple):
    """What came of judging a request: who asks, if anybody can tell, and the error that refuses the request."""

    user: UserInfo | None
    info: RequestInfo
    error: StatusError | None


class Access:
    """Judges requests; a request that is not refused may be answered."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._log = get_logger("metrics_apiserver.auth")

    def judge(
        self, pairs: HeaderPairs, certificate: bytes | None, info: RequestInfo, *, may_wait: bool = True
    ) -> Judgement:
        """Judge a request by its header fields, the client's certificate, and what is asked for.

        Raises WouldWaitError where the cluster would have to be asked, or a certificate to be verified, and this must
        not wait.
        """
        user = None
        try:
            user = self._user(pairs, certificate, info, may_wait=may_wait)
            if user is not None:
                _refuse_impersonation(pairs)
                self._authorizer.authorize(user, info, may_wait=may_wait)
            if info.misleading:
                raise NotFoundError.for_path()
        except StatusError as error:
            return Judgement(user, info, error.with_traceback(None))
        return Judgement(user, info, None)

    def note(self, judgement: Judgement) -> None:
        """Log a judgement, where decisions are logged: once for each request."""
        if not self._log.enabled_for(DECISIONS):
            return
        user, info, error = judgement
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

    def _user(
        self, pairs: HeaderPairs, certificate: bytes | None, info: RequestInfo, *, may_wait: bool
    ) -> UserInfo | None:
        """Return who asks; None where nobody can tell, and it does not matter."""
        try:
            return self._authenticator.authenticate(pairs, certificate, may_wait=may_wait)
        except ServiceUnavailableError:
            if self._authorizer.always_allows(info):
                return None
            raise


def _refuse_impersonation(pairs: HeaderPairs) -> None:
    if impersonates(pairs):
        raise ForbiddenError(
            "this server does not impersonate: the kube-apiserver does that before it forwards a request;"
            " leave the Impersonate-* header fields out"
        )
