"""Who asks: every kind of credential, in their order, and what is remembered of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.auth.authenticator import Authenticator
from metrics_apiserver.auth.bearer_token import BearerTokens, bearer_token
from metrics_apiserver.auth.client_cas import ClientCAs
from metrics_apiserver.auth.user import ANONYMOUS
from metrics_apiserver.auth.waiting import Waiting
from metrics_apiserver.errors import ServiceUnavailableError, UnauthorizedError, WouldWaitError
from metrics_apiserver.model.users import UserInfo
from metrics_apiserver.settings import AuthenticationSettings
from tests.auth.making import DAY, NOBODY, SERVER, FakeTokens, TokenUser, WallClock, der, make, named, root
from tests.controlplane.certificates import Certificate
from tests.fakes import LOGGER

CLIENT_CA, PROXY_CA, FOREIGN_CA = root("client-ca"), root("front-proxy-ca"), root("foreign-ca")
ALICE = make(named("alice", "dev", "ops"), by=CLIENT_CA)
PROXY = make(named("front-proxy-client"), by=PROXY_CA)
BOB = [("X-REMOTE-USER", "bob"), ("X-REMOTE-GROUP", "dev")]
GOOD, BAD = [("AUTHORIZATION", "Bearer good")], [("AUTHORIZATION", "Bearer bad")]
AUTHENTICATED = "system:authenticated"
AS_ALICE = UserInfo("alice", groups=("dev", "ops", AUTHENTICATED))
AS_BOB = UserInfo("bob", groups=("dev", AUTHENTICATED))
AS_NOBODY = UserInfo(NOBODY.name, NOBODY.uid, (*NOBODY.groups, AUTHENTICATED))


def config_map(client: Sequence[Certificate] = (CLIENT_CA,), proxy: Sequence[Certificate] = (PROXY_CA,), **more: str):
    return {
        "client-ca-file": "".join(each.certificate_pem.decode() for each in client),
        "requestheader-client-ca-file": "".join(each.certificate_pem.decode() for each in proxy),
        "requestheader-allowed-names": json.dumps(["front-proxy-client"]),
        "requestheader-username-headers": json.dumps(["X-Remote-User"]),
        "requestheader-group-headers": json.dumps(["X-Remote-Group"]),
        **more,
    }


class Parts:
    """An authenticator, and what it is made of."""

    def __init__(self, data: dict[str, str] | None = None, *, audiences: Sequence[str] = (), **settings: Any) -> None:
        self.clock, self.tokens = WallClock(), FakeTokens()
        self.cas = ClientCAs(AuthenticationSettings(**settings), LOGGER)
        self.bearer = BearerTokens(self.tokens, audiences=audiences, monotonic=self.clock.monotonic, waiting=Waiting())
        if data is not None:
            self.cas.use_config_map(data)
        self.unknown: str | None = None
        self.authenticator = Authenticator(self.cas, self.bearer, unknown=lambda: self.unknown, now=self.clock.now)

    def authenticate(self, pairs: Sequence[tuple[str, str]] = (), certificate: Certificate | None = None) -> UserInfo:
        """Authenticate, twice: what is remembered must be what was found."""
        shown = der(certificate) if certificate else None
        try:
            user = self.authenticator.authenticate(pairs, shown)
        except UnauthorizedError:
            with pytest.raises(UnauthorizedError):
                self.authenticator.authenticate(pairs, shown, may_wait=False)
            raise
        assert self.authenticator.authenticate(pairs, shown, may_wait=False) == user
        assert self.authenticator.authenticate(pairs, shown) == user
        return user


@pytest.fixture(name="parts")
def _parts() -> Parts:
    return Parts(config_map())


ACCEPTED = [
    pytest.param([], None, ANONYMOUS, id="nothing"),
    pytest.param(BOB, PROXY, AS_BOB, id="a front proxy"),
    pytest.param(BOB + GOOD, PROXY, AS_BOB, id="a front proxy outweighs a token"),
    pytest.param(BOB + BAD, PROXY, AS_BOB, id="a front proxy outweighs a bad token"),
    pytest.param(GOOD, PROXY, AS_NOBODY, id="a front proxy that names nobody, with a good token"),
    pytest.param([], ALICE, AS_ALICE, id="a client certificate"),
    pytest.param(BOB, ALICE, AS_ALICE, id="a client certificate is no front proxy's"),
    pytest.param(BAD, ALICE, AS_ALICE, id="a client certificate outweighs a bad token"),
    pytest.param(BOB, None, ANONYMOUS, id="header fields without a certificate"),
    pytest.param(BOB + GOOD, None, AS_NOBODY, id="header fields without a certificate, and a token"),
    pytest.param(GOOD, None, AS_NOBODY, id="a token"),
    pytest.param([("AUTHORIZATION", "bEaReR good")], None, AS_NOBODY, id="a scheme in any case"),
    pytest.param([("AUTHORIZATION", " Bearer good ")], None, AS_NOBODY, id="blanks around"),
    pytest.param([("AUTHORIZATION", "Bearer good more")], None, AS_NOBODY, id="what follows the token is nothing"),
    pytest.param(GOOD + BAD, None, AS_NOBODY, id="of two tokens the first counts"),
    pytest.param([("AUTHORIZATION", "Basic YTpi"), *GOOD], None, ANONYMOUS, id="of two schemes the first counts"),
    pytest.param([("AUTHORIZATION", "")], None, ANONYMOUS, id="an empty field"),
    pytest.param([("AUTHORIZATION", "Bearer")], None, ANONYMOUS, id="no token"),
    pytest.param([("AUTHORIZATION", "Bearer ")], None, ANONYMOUS, id="an empty token"),
    pytest.param([("AUTHORIZATION", "Bearer  good")], None, ANONYMOUS, id="a token after an empty one"),
    pytest.param([("AUTHORIZATION", "Bearergood")], None, ANONYMOUS, id="no blank"),
    pytest.param([("AUTHORIZATION", "Basic Ym9iOmJvYg==")], None, ANONYMOUS, id="another scheme"),
    pytest.param(GOOD, make(named("eve"), by=FOREIGN_CA), AS_NOBODY, id="a foreign certificate and a good token"),
    pytest.param(
        BOB, make(named("front-proxy-client"), by=PROXY_CA, usages=None), AS_BOB, id="a front proxy for any use"
    ),
    pytest.param([], make(named("alice", "dev", "ops"), by=CLIENT_CA, usages=None), AS_ALICE, id="a user for any use"),
    pytest.param(
        [],
        make(named("alice", AUTHENTICATED), by=CLIENT_CA),
        UserInfo("alice", groups=(AUTHENTICATED,)),
        id="authenticated once",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("pairs", "certificate", "user"), ACCEPTED)
def test_a_request_is_recognised(
    parts: Parts, pairs: list[tuple[str, str]], certificate: Certificate | None, user: UserInfo
) -> None:
    assert parts.authenticate(pairs, certificate) == user


REFUSED = [
    pytest.param(BAD, None, "refused the token", id="a bad token"),
    pytest.param([("AUTHORIZATION", "Bearer \xff")], None, "not UTF-8", id="a token that is not UTF-8"),
    pytest.param(BOB, make(named("eve"), by=FOREIGN_CA), "local issuer", id="a foreign certificate"),
    pytest.param(BAD, make(named("eve"), by=FOREIGN_CA), "refused the token", id="a foreign one and a bad token"),
    pytest.param(BOB, make(named("front-proxy-client"), by=CLIENT_CA, usages=[SERVER]), "client", id="for servers"),
    pytest.param(BOB, make(named("front-proxy-client"), by=PROXY_CA, usages=[SERVER]), "client", id="proxy, servers"),
    pytest.param(BOB, make(named("another"), by=PROXY_CA), "not allowed", id="a front proxy of another name"),
    pytest.param(BOB, make(x509.Name([]), by=PROXY_CA), "not allowed", id="a front proxy without a name"),
    pytest.param([], PROXY, "names no user", id="a front proxy without a user"),
    pytest.param([("X-REMOTE-USER", "")], PROXY, "names no user", id="a front proxy with an empty user"),
    pytest.param([("X_REMOTE_USER", "bob")], PROXY, "names no user", id="an underscore"),
    pytest.param([("X-REMOTE-USER", "\xff")], PROXY, "not UTF-8", id="a user that is not UTF-8"),
    pytest.param(BAD, PROXY, "names no user", id="a front proxy without a user, and a bad token"),
    pytest.param([], make(x509.Name([]), by=CLIENT_CA), "names no user", id="a client certificate without a name"),
    pytest.param([], make(named("alice"), by=CLIENT_CA, ends=-DAY / 2), "expired", id="expired"),
    pytest.param([], make(named("alice"), by=CLIENT_CA, begins=DAY / 2), "not yet valid", id="not valid yet"),
    pytest.param(BOB, make(named("front-proxy-client"), by=PROXY_CA, ends=-DAY / 2), "expired", id="expired proxy"),
    pytest.param([], make(named("alice")), "self-signed", id="signed by itself"),
]  # fmt: skip


@pytest.mark.parametrize(("pairs", "certificate", "cause"), REFUSED)
def test_a_refused_credential_is_never_anonymous(
    parts: Parts, pairs: list[tuple[str, str]], certificate: Certificate | None, cause: str
) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        parts.authenticate(pairs, certificate)
    assert (str(caught.value), caught.value.details) == ("Unauthorized", None)
    assert cause in caught.value.cause
    assert "bad" not in caught.value.cause


@pytest.mark.parametrize(
    ("data", "certificate"),
    [
        pytest.param(config_map(proxy=[]), PROXY, id="the front proxy's"),
        pytest.param(config_map(client=[]), ALICE, id="the clients'"),
        pytest.param({}, ALICE, id="both"),
    ],
)
def test_a_ca_that_is_off_recognises_nobody(data: dict[str, str], certificate: Certificate) -> None:
    parts = Parts(data)
    with pytest.raises(UnauthorizedError):
        parts.authenticate(BOB, certificate)
    assert parts.authenticate(BOB + GOOD, certificate) == AS_NOBODY


def test_one_ca_for_both_keeps_them_apart_by_name() -> None:
    parts = Parts(config_map(proxy=[CLIENT_CA]))
    assert parts.authenticate(BOB, ALICE) == AS_ALICE
    proxy = make(named("front-proxy-client"), by=CLIENT_CA)
    assert parts.authenticate(BOB, proxy) == AS_BOB
    # Of whom it speaks for nobody, it is a client as any other.
    assert parts.authenticate([], proxy) == UserInfo("front-proxy-client", groups=(AUTHENTICATED,))


def test_any_name_is_allowed_where_none_is_listed() -> None:
    parts = Parts(config_map() | {"requestheader-allowed-names": "[]"})
    assert parts.authenticate(BOB, make(named("whoever"), by=PROXY_CA)) == AS_BOB


def test_what_is_no_certificate_is_refused(parts: Parts) -> None:
    for content in (b"", b"garbage", der(ALICE)[:-1], der(ALICE) * 1000):
        with pytest.raises(UnauthorizedError):
            parts.authenticator.authenticate([], content)


class TestWhileTheConfigMapIsUnread:
    """Nobody can tell yet who signs clients' certificates."""

    @pytest.fixture(name="parts")
    def _parts(self) -> Parts:
        parts = Parts()
        parts.unknown = "the ConfigMap has not been read yet"
        return parts

    def test_a_certificate_may_still_be_good(self, parts: Parts) -> None:
        for pairs in ([], BOB, BAD):
            with pytest.raises(ServiceUnavailableError, match="the client certificate is good") as caught:
                parts.authenticate(pairs, ALICE)
            assert caught.value.cause == "the ConfigMap has not been read yet"

    def test_the_rest_is_as_ever(self, parts: Parts) -> None:
        assert parts.authenticate([], None) == ANONYMOUS
        assert parts.authenticate(GOOD, None) == AS_NOBODY
        assert parts.authenticate(GOOD, ALICE) == AS_NOBODY
        with pytest.raises(UnauthorizedError):
            parts.authenticate(BAD, None)

    def test_then_it_is_good(self, parts: Parts) -> None:
        with pytest.raises(ServiceUnavailableError):
            parts.authenticate([], ALICE)
        parts.cas.use_config_map(config_map())
        parts.unknown = None
        assert parts.authenticate([], ALICE) == AS_ALICE

    def test_tolerated_it_is_judged_by_what_is_there(self, parts: Parts) -> None:
        parts.unknown = None
        with pytest.raises(UnauthorizedError):
            parts.authenticate([], ALICE)

    def test_a_ca_of_a_flag_counts_already(self, tmp_path: Any) -> None:
        path = tmp_path / "ca.crt"
        path.write_bytes(CLIENT_CA.certificate_pem)
        parts = Parts(client_ca_file=str(path))
        parts.cas.read_files()
        parts.unknown = "unread"
        assert parts.authenticate([], ALICE) == AS_ALICE


def rotated(**changes: Sequence[Certificate]) -> Callable[[Parts], None]:
    return lambda parts: parts.cas.use_config_map(config_map(**changes))


@pytest.mark.parametrize(
    ("pairs", "certificate", "change"),
    [
        pytest.param([], ALICE, rotated(client=[FOREIGN_CA]), id="a client certificate"),
        pytest.param(BOB, PROXY, rotated(proxy=[FOREIGN_CA]), id="a front proxy's"),
        pytest.param(BOB, PROXY, rotated(proxy=[]), id="a front proxy's, switched off"),
    ],
)
def test_a_rotated_ca_counts_at_once(
    parts: Parts, pairs: list[tuple[str, str]], certificate: Certificate, change: Callable[[Parts], None]
) -> None:
    parts.authenticate(pairs, certificate)
    change(parts)
    with pytest.raises(WouldWaitError):
        parts.authenticator.authenticate(pairs, der(certificate), may_wait=False)
    with pytest.raises(UnauthorizedError):
        parts.authenticate(pairs, certificate)
    parts.cas.use_config_map(config_map())
    parts.authenticate(pairs, certificate)


def test_both_cas_of_a_rotation_count(parts: Parts) -> None:
    eve = make(named("eve"), by=FOREIGN_CA)
    with pytest.raises(UnauthorizedError):
        parts.authenticate([], eve)
    parts.cas.use_config_map(config_map(client=[CLIENT_CA, FOREIGN_CA]))
    assert parts.authenticate([], ALICE) == AS_ALICE
    assert parts.authenticate([], eve).name == "eve"


@pytest.mark.parametrize(
    ("pairs", "certificate"), [pytest.param([], ALICE, id="a user's"), pytest.param(BOB, PROXY, id="a front proxy's")]
)
def test_a_certificate_that_was_good_expires(
    parts: Parts, pairs: list[tuple[str, str]], certificate: Certificate
) -> None:
    parts.authenticate(pairs, certificate)
    parts.clock.moved = DAY.total_seconds() + 60
    with pytest.raises(WouldWaitError):
        parts.authenticator.authenticate(pairs, der(certificate), may_wait=False)
    with pytest.raises(UnauthorizedError) as caught:
        parts.authenticate(pairs, certificate)
    assert "expired" in caught.value.cause


def test_a_certificate_that_was_good_has_not_begun_when_the_clock_is_set_back(parts: Parts) -> None:
    assert parts.authenticate([], ALICE) == AS_ALICE
    parts.clock.moved = -2 * DAY.total_seconds()
    with pytest.raises(UnauthorizedError):
        parts.authenticate([], ALICE)


def test_what_ends_sooner_is_judged_anew() -> None:
    """One key signs for both, but its certificate as the front proxy's CA ends first."""
    parts = Parts(config_map(proxy=[root("client-ca", ends=DAY / 2)]))
    proxy = make(named("front-proxy-client"), by=CLIENT_CA)
    assert parts.authenticate(BOB, proxy) == AS_BOB
    parts.clock.moved = DAY.total_seconds() * 0.6
    assert parts.authenticate(BOB, proxy).name == "front-proxy-client"


def test_a_certificate_that_is_not_valid_yet_will_be(parts: Parts) -> None:
    early = make(named("alice", "dev", "ops"), by=CLIENT_CA, begins=DAY / 24)
    with pytest.raises(UnauthorizedError):
        parts.authenticate([], early)
    parts.clock.moved = DAY.total_seconds() / 12
    assert parts.authenticate([], early) == AS_ALICE


def test_a_token_is_asked_for_once_in_ten_seconds(parts: Parts) -> None:
    for pairs in (GOOD, BAD):
        parts.tokens.asked.clear()
        for _ in range(3):
            outcome(parts, pairs)
        assert len(parts.tokens.asked) == 1
        parts.clock.moved += 10.1
        outcome(parts, pairs)
        assert len(parts.tokens.asked) == 2


def outcome(parts: Parts, pairs: list[tuple[str, str]]) -> UserInfo | None:
    try:
        return parts.authenticator.authenticate(pairs, None)
    except UnauthorizedError:
        return None


def test_a_cached_token_lives_to_its_end_while_the_cluster_is_silent(parts: Parts) -> None:
    assert parts.authenticate(GOOD) == AS_NOBODY
    parts.tokens.silent = True
    assert parts.authenticate(GOOD) == AS_NOBODY
    parts.clock.moved = 10.1
    for pairs in (GOOD, BAD):
        with pytest.raises(ServiceUnavailableError, match=r"cannot tell whose the token is\Z") as caught:
            parts.authenticate(pairs)
        assert " no answer" in caught.value.cause
        assert pairs[0][1].split()[1] not in caught.value.whole
    # What needs no token does not suffer.
    assert parts.authenticate([], ALICE) == AS_ALICE
    assert parts.authenticate(BOB + GOOD, PROXY) == AS_BOB
    assert parts.authenticate() == ANONYMOUS


def test_audiences_are_handed_on() -> None:
    parts = Parts(config_map(), audiences=("ours", "theirs"))
    parts.authenticate(GOOD)
    assert parts.tokens.asked == [("good", ("ours", "theirs"))]


def test_uid_and_extra_of_a_token_are_the_cluster_s(parts: Parts) -> None:
    parts.tokens.users["good"] = TokenUser("carol", "7", ("a",), {"b": ("2",), "a": ("1", "0")})
    expected = UserInfo("carol", "7", ("a", AUTHENTICATED), {"a": ("1", "0"), "b": ("2",)})
    assert parts.authenticate(GOOD) == expected


def test_a_token_without_a_user_is_no_good(parts: Parts) -> None:
    parts.tokens.users["good"] = TokenUser("")
    with pytest.raises(UnauthorizedError):
        parts.authenticate(GOOD)


def test_no_token_is_kept(parts: Parts) -> None:
    secret = "a-token-that-nobody-else-has"
    parts.tokens.users[secret] = NOBODY
    parts.authenticate([("AUTHORIZATION", f"Bearer {secret}")])
    kept = "".join(repr(vars(each)) for each in (parts.bearer, parts.bearer._users, parts.bearer._accepted))
    assert secret not in kept
    # Two processes have different keys for the same token.
    assert parts.bearer._key(secret) != Parts(config_map()).bearer._key(secret)


@given(value=st.text(st.characters(max_codepoint=255)))
def test_any_authorization_is_read_or_refused(value: str) -> None:
    try:
        token = bearer_token([("AUTHORIZATION", value)])
    except ValueError:
        return
    assert token is None or (token and value.strip(" \t").lower().startswith("bearer "))


def test_the_certificates_that_are_remembered_are_bounded(parts: Parts) -> None:
    """And those that anybody can make up drive out none that is good."""
    plain = der(ALICE)
    assert parts.authenticate([], ALICE) == AS_ALICE
    for number in range(5000):
        with pytest.raises(UnauthorizedError):
            parts.authenticator.authenticate([], plain + number.to_bytes(2, "big"))
    refused = parts.authenticator._refused
    assert refused.currsize <= refused.maxsize == 1 << 20
    assert len(refused) < 5000
    assert parts.authenticator.authenticate([], plain, may_wait=False) == AS_ALICE
