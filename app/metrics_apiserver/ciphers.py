"""The cipher suites that `--tls-cipher-suites` can name: in Go, so in Kubernetes, and in OpenSSL."""

from __future__ import annotations

from collections.abc import Iterable

from OpenSSL import SSL

from metrics_apiserver.settings import Problem, setting

__all__ = ["cipher_list", "cipher_problems", "insecure_ciphers"]

# Go's crypto/tls has these in every TLS 1.3 connection, and nobody chooses among them; OpenSSL's default is the same.
_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")

# crypto/tls.CipherSuites() of Go 1.26. The two shorter names are older ones, which k8s.io/component-base keeps
# (cli/flag/ciphersuites_flag.go).
_PREFERRED = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
# crypto/tls.InsecureCipherSuites(), which Kubernetes takes with a warning. Those with RC4 and 3DES are left out:
# OpenSSL has them neither built in nor at its security level.
_INSECURE = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
_TLS12 = _PREFERRED | _INSECURE
# Ephemeral keys and authenticated encryption only.
_DEFAULT = tuple(name for name in _PREFERRED if name.endswith(("_GCM_SHA256", "_GCM_SHA384", "_POLY1305_SHA256")))


def cipher_problems(names: Iterable[str]) -> list[Problem]:
    """Return which names are not those of suites that can be served here."""
    unknown = [name for name in names if name not in _TLS13 and not (name in _TLS12 and _available(_TLS12[name]))]
    if not unknown:
        return []
    possible = ", ".join(sorted([*_TLS13, *(name for name, ours in _TLS12.items() if _available(ours))]))
    text = f"there is no such suite, or it is too weak for OpenSSL; possible are {possible}"
    return [setting("tls_cipher_suites").problem(text, name) for name in unknown]


def insecure_ciphers(names: Iterable[str]) -> list[str]:
    """Return those of the names that Go calls insecure."""
    return [name for name in names if name in _INSECURE]


def cipher_list(names: Iterable[str]) -> bytes:
    """Return OpenSSL's list for TLS 1.2; empty where all the names are of TLS 1.3."""
    return ":".join(_TLS12[name] for name in tuple(names) or _DEFAULT if name in _TLS12).encode("ascii")


def _available(openssl_name: str) -> bool:
    try:
        SSL.Context(SSL.TLS_SERVER_METHOD).set_cipher_list(openssl_name.encode("ascii"))
    except SSL.Error:
        return False
    return True
