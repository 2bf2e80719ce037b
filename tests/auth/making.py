"""What auth is tested with: certificates of every kind, and a small cluster that reviews."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from metrics_apiserver.auth.user import MASTERS
from metrics_apiserver.kube.client import ClusterError
from tests.controlplane.certificates import Certificate

DAY = datetime.timedelta(days=1)
# One for all: no test is about keys, and each takes a while.
KEY = ec.generate_private_key(ec.SECP256R1())
CLIENT, SERVER, ANY = (
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
)


class WallClock:
    """The time of day of this machine, and what it is moved by."""

    def __init__(self) -> None:
        self.moved = 0.0

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.moved)

    def monotonic(self) -> float:
        return 1000.0 + self.moved


def subject(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """Make a name of these attributes, in this order."""
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def named(common_name: str, *organizations: str) -> x509.Name:
    """Make the name of a user in groups."""
    groups = [(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    return subject(*groups, (NameOID.COMMON_NAME, common_name))


def make(
    name: x509.Name,
    *,
    by: Certificate | None = None,
    usages: Sequence[x509.ObjectIdentifier] | None = (CLIENT,),
    authority: bool = False,
    begins: datetime.timedelta = -DAY,
    ends: datetime.timedelta = DAY,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Certificate:
    """Sign a certificate: by itself, unless `by` says who does; the times are counted from now."""
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        subject_name=name,
        issuer_name=by.certificate.subject if by else name,
        public_key=KEY.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now + begins,
        not_valid_after=now + ends,
    ).add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Certificate(builder.sign(by.key if by else KEY, hashes.SHA256()), KEY)


def root(common_name: str, **options: Any) -> Certificate:
    """Make a CA."""
    return make(named(common_name), authority=True, **{"usages": None, **options})


def der(certificate: Certificate) -> bytes:
    """Give a certificate as its connection's peer shows it."""
    return certificate.certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True)
class TokenUser:
    """A user of whom the cluster tells."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


NOBODY = TokenUser("system:serviceaccount:shop:nobody", "1", ("system:serviceaccounts", "system:serviceaccounts:shop"))


class FakeTokens:
    """Knows whose tokens are; silent, it does not answer."""

    def __init__(self, users: Mapping[str, TokenUser] | None = None) -> None:
        self.users = dict(users or {"good": NOBODY})
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.silent = False

    def review(self, token: str, audiences: Sequence[str]) -> TokenUser | None:
        self.asked.append((token, tuple(audiences)))
        if self.silent:
            raise ClusterError("POST /tokenreviews: no answer within 5 s")
        return self.users.get(token)


@dataclass(frozen=True)
class Answer:
    """What the cluster decided."""

    allowed: bool
    reason: str = ""


class FakeAccess:
    """Answers every review alike, or as a function of it says; silent, it does not answer."""

    def __init__(self, answer: Answer | Callable[[Mapping[str, Any]], Answer] = Answer(allowed=False)) -> None:
        self.answer = answer
        self.asked: list[Mapping[str, Any]] = []
        self.silent = False

    def review(self, spec: Mapping[str, Any]) -> Answer:
        self.asked.append(spec)
        if self.silent:
            raise ClusterError("POST /subjectaccessreviews: no answer within 5 s")
        return self.answer(spec) if callable(self.answer) else self.answer


class Gate:
    """Holds whoever calls it until it is opened, and knows how many came."""

    def __init__(self) -> None:
        self._came = threading.Condition()
        self._open = threading.Event()
        self.count = 0

    def pass_through(self) -> None:
        with self._came:
            self.count += 1
            self._came.notify_all()
        assert self._open.wait(20), "nobody opened the gate"

    def wait_for(self, count: int) -> None:
        """Wait until so many have come."""
        with self._came:
            assert self._came.wait_for(lambda: self.count >= count, 20), f"{self.count} came, not {count}"

    def open(self) -> None:
        self._open.set()


def reference_decision(spec: Mapping[str, Any]) -> Answer:
    """Decide as the cluster did of which the record tells: RBAC's default roles, and nothing else."""
    groups = spec.get("groups", ())
    paths = {"system:authenticated": _DISCOVERY, "system:unauthenticated": _PUBLIC}
    path = spec.get("nonResourceAttributes", {}).get("path", "-")
    if MASTERS in groups:
        return Answer(allowed=True)
    return Answer(allowed=any(_matches(path, paths.get(group, ())) for group in groups))


# The ClusterRoles system:public-info-viewer and system:discovery.
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY = (*_PUBLIC, "/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")


def _matches(path: str, allowed: Sequence[str]) -> bool:
    return any(path == each or (each.endswith("*") and path.startswith(each[:-1])) for each in allowed)
