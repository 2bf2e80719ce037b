"""The keys under which one request's parts meet in WSGI's environ: who writes each, and who reads it.

No client can send any of them: what comes from a header starts with `HTTP_`.
"""

from __future__ import annotations

__all__ = ["HEADER_PAIRS", "PEER_CERTIFICATE", "TARGET", "USER", "USER_INFO"]

# From serving: the header fields as they came, a tuple of (NAME, value); names in upper case, repeated ones not joined.
HEADER_PAIRS = "metrics_apiserver.header_pairs"
# From serving: the client's certificate (DER), None where it showed none. Nobody has judged it yet.
PEER_CERTIFICATE = "metrics_apiserver.peer_certificate"
# From blueprints, before anything else: the target (`target.Target`), or the StatusError that refuses it.
TARGET = "metrics_apiserver.target"
# From auth: the name of who asks, for the log.
USER = "metrics_apiserver.user"
# From auth: who asks (`auth.user.User`), for a provider that wants to know it; missing where nobody was recognised.
USER_INFO = "metrics_apiserver.user_info"
