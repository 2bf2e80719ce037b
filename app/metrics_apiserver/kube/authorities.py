"""Certificate authorities from PEM: a flag's file, or a value of the cluster's ConfigMap."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from metrics_apiserver.settings import AuthenticationSettings, Problem, setting

__all__ = ["authority_problems", "parse_authorities", "read_authorities"]


def parse_authorities(pem: bytes) -> tuple[bytes, ...]:
    """Return every certificate (DER), in its order. Raises ValueError with a sentence where there is none.

    Other blocks, one without its end and the text around them are passed over, but a whole certificate that cannot be
    read is an error, as in client-go's `ParseCertsPEM`. Whether each may sign, and is in date, is not looked at: that
    belongs to verifying.
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ValueError("there is no certificate in PEM in it that can be read") from error
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)


def read_authorities(path: str | Path) -> tuple[bytes, ...]:
    """Return every certificate (DER) of a PEM file. Raises ValueError with a sentence that names the file."""
    try:
        return parse_authorities(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def authority_problems(authentication: AuthenticationSettings) -> list[Problem]:
    """Return which of the flags' files hold no authority; what cannot be opened at all, the settings say."""
    problems = []
    for name in ("client_ca_file", "requestheader_client_ca_file"):
        path = getattr(authentication, name)
        try:
            if path:
                parse_authorities(Path(path).read_bytes())
        except OSError:
            continue
        except ValueError as error:
            problems.append(setting(name).problem(str(error), path))
    return problems
