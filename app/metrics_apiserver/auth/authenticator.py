"""Who asks: front proxy, then client certificate, then bearer token, and anonymous where nothing was presented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from cachetools import LRUCache

from metrics_apiserver.auth.bearer_token import BearerTokens, bearer_token
from metrics_apiserver.auth.certificates import CertificateRefusedError, Subject, load_certificate, subject_of
from metrics_apiserver.auth.client_cas import ClientCAs, ClientCAsInForce
from metrics_apiserver.auth.front_proxy import HeaderPairs
from metrics_apiserver.auth.user import ANONYMOUS, authenticated
from metrics_apiserver.errors import ServiceUnavailableError, UnauthorizedError, WouldWaitError
from metrics_apiserver.model.users import UserInfo

__all__ = ["Authenticator"]

# All good certificates together, all others, and what each costs besides itself, in bytes. Anybody can make up others.
_GOOD_BYTES, _REFUSED_BYTES = 3 << 20, 1 << 20
_OVERHEAD = 1024
# A certificate that was refused may be good later: it may not have begun.
_REFUSED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Judgement:
    """What a certificate is good for, from `begin` until `end`, while the CAs of `generation` are in force."""

    generation: int
    begin: float
    end: float
    size: int
    proxy: bool
    user: UserInfo | None
    problem: str

    @property
    def good(self) -> bool:
        """Whether it is good for anything."""
        return self.proxy or self.user is not None

    def holds(self, generation: int, now: float) -> bool:
        return self.generation == generation and self.begin <= now <= self.end


class Authenticator:
    """Says who sent a request, from its header fields and the certificate that its connection was opened with.

    `unknown` says why a CA is still to come from the cluster; until then a certificate that nobody signed may be good.
    """

    def __init__(
        self, cas: ClientCAs, tokens: BearerTokens, *, unknown: Callable[[], str | None], now: Callable[[], datetime]
    ) -> None:
        self._cas = cas
        self._tokens = tokens
        self._unknown = unknown
        self._now = now
        self._good: LRUCache[bytes, _Judgement] = LRUCache(_GOOD_BYTES, getsizeof=lambda each: each.size)
        self._refused: LRUCache[bytes, _Judgement] = LRUCache(_REFUSED_BYTES, getsizeof=lambda each: each.size)
        self._lock = Lock()

    def authenticate(self, pairs: HeaderPairs, certificate: bytes | None, *, may_wait: bool = True) -> UserInfo:
        """Return the user of a request.

        Raises UnauthorizedError where what was presented was refused, ServiceUnavailableError while nobody can tell
        whether it is good, and WouldWaitError where that takes the cluster or the verification of a certificate, and
        this must not wait.
        """
        problems: list[str] = []
        undecided = None
        if certificate is not None:
            undecided = self._unknown()
            cas = self._cas.in_force
            user = _user_of(self._judge(certificate, cas, may_wait=may_wait), cas, pairs, problems)
            if user is not None:
                return user
        token = _token(pairs, problems)
        if token is not None:
            user = self._tokens.user(token, may_wait=may_wait)
            if user is not None:
                return user
            problems.append("the cluster refused the token")
        if undecided:
            sentence = "nobody can tell yet whether the client certificate is good"
            raise ServiceUnavailableError(sentence, cause=undecided)
        if problems:
            raise UnauthorizedError("; ".join(problems))
        return ANONYMOUS

    def _judge(self, der: bytes, cas: ClientCAsInForce, *, may_wait: bool) -> _Judgement:
        now = self._now()
        judgement = self._known(der, cas.generation, now.timestamp())
        if judgement is None:
            if not may_wait:
                raise WouldWaitError
            judgement = _judge(der, cas, now)
            kept, other = (self._good, self._refused) if judgement.good else (self._refused, self._good)
            with self._lock:
                other.pop(der, None)
                # One that is larger than the cache has been refused for that.
                if judgement.size <= kept.maxsize:
                    kept[der] = judgement
        return judgement

    def _known(self, der: bytes, generation: int, now: float) -> _Judgement | None:
        with self._lock:
            judgement = self._good.get(der) or self._refused.get(der)
        return judgement if judgement is not None and judgement.holds(generation, now) else None


def _user_of(judgement: _Judgement, cas: ClientCAsInForce, pairs: HeaderPairs, problems: list[str]) -> UserInfo | None:
    """Return the user whom a certificate proves, or say why there is none."""
    if judgement.proxy:
        try:
            user = cas.headers.user(pairs)
        except ValueError:
            problems.append("the front proxy's header fields are not UTF-8")
        else:
            if user is not None:
                return user
            problems.append("the front proxy names no user")
    if judgement.user is None:
        problems.append(judgement.problem)
    return judgement.user


def _token(pairs: HeaderPairs, problems: list[str]) -> str | None:
    try:
        return bearer_token(pairs)
    except ValueError:
        problems.append("the token is not UTF-8")
        return None


def _judge(der: bytes, cas: ClientCAsInForce, now: datetime) -> _Judgement:
    """Hold a certificate against both CAs, each by itself."""
    size = len(der) + _OVERHEAD
    begin, end = now.timestamp(), now.timestamp() + _REFUSED_SECONDS
    proxy, user, problems = False, None, []
    try:
        certificate = load_certificate(der)
        subject = subject_of(certificate)
    except CertificateRefusedError as error:
        return _Judgement(cas.generation, begin, end, size, proxy, user, f"the certificate is refused: {error}")
    spans = []
    try:
        span = cas.proxy.verify(certificate, now)
        proxy = cas.headers.allows(subject.common_name)
        if proxy:
            spans.append(span)
        else:
            problems.append("for the front proxy's CA its name is not allowed")
    except CertificateRefusedError as error:
        problems.append(f"for the front proxy's CA: {error}")
    try:
        span = cas.client.verify(certificate, now)
        user = _user(subject)
        spans.append(span)
    except CertificateRefusedError as error:
        problems.append(f"for the client CA: {error}")
    if spans:
        begin, end = max(begin for begin, _ in spans), min(end for _, end in spans)
    problem = f"the certificate is refused: {', and '.join(problems)}"
    return _Judgement(cas.generation, begin, end, size, proxy, user, problem)


def _user(subject: Subject) -> UserInfo:
    if not subject.common_name:
        raise CertificateRefusedError("it names no user")
    return authenticated(subject.common_name, groups=subject.organizations)
