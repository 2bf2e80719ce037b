"""How the certificates of other servers are verified: as Go verifies them, whatever this Python's defaults are.

Since Python 3.13 the default refuses what RFC 5280 does not allow and Go takes: a CA without keyUsage (MicroK8s), or
certificates without key identifiers (older EKS). A cluster has the certificates it has.
"""

from __future__ import annotations

import ssl

__all__ = ["client_context"]


def client_context(ca_file: str | None = None, ca_data: str | bytes | None = None) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts the CAs of a file or a text (PEM), without either the system's.

    Chain, dates, purpose and the name are verified; a common name is not one, and what is trusted need not be a root
    (Go's crypto/x509). Raises OSError, also for a file that holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file, cadata=ca_data)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.hostname_checks_common_name = False
    return context
