"""The keys under which one request's parts meet in WSGI's environ: who writes each, and who reads it.

No client can send any of them: what comes from a header starts with `HTTP_`.
"""

from __future__ import annotations

__all__ = ["HEADER_PAIRS", "JUDGEMENT", "PEER_CERTIFICATE", "TARGET"]

# From serving: the header fields as they came, a tuple of (NAME, value); names in upper case, repeated ones not joined.
HEADER_PAIRS = "metrics_apiserver.header_pairs"
# From serving: the client's certificate (DER), None where it showed none. Nobody has judged it yet.
PEER_CERTIFICATE = "metrics_apiserver.peer_certificate"
# From blueprints, before anything else: the target (`target.Target`), or the StatusError that refuses it.
TARGET = "metrics_apiserver.target"
# From blueprints, next: who asks, and whether they may (`auth.access.Judgement`); missing where everybody may.
JUDGEMENT = "metrics_apiserver.judgement"
