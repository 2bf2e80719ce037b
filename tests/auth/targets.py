"""Request targets that two readers could read differently, and identities that would gain by it.

A target is a path of the server with something put into it that means something to some reader of targets.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from tests.auth.conftest import CLIENT_CA, PROXY_CA
from tests.auth.making import Answer, make, named
from tests.controlplane.certificates import Certificate

__all__ = ["IDENTITIES", "METHODS", "QUEUE", "decide", "request_of", "target"]

CUSTOM, EXTERNAL = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/external.metrics.k8s.io/v1beta1"
QUEUE = "/write-metrics/external/namespaces/mine/queue-depth"

_PATHS = (
    "/", "/healthz", "/livez", "/readyz", "/readyz/ping", "/metrics", "/debug/reads", "/version", "/apis", "/apis/",
    "/apis/custom.metrics.k8s.io", CUSTOM, "/openapi/v2", "/openapi/v3", f"/openapi/v3{EXTERNAL}", "/api/v1/pods",
    f"{CUSTOM}/namespaces/shop/pods/cart-0/qps", f"{CUSTOM}/namespaces/mine/pods/*/qps", f"{CUSTOM}/nodes/a/heat",
    f"{CUSTOM}/namespaces/mine/metrics/qps", f"{EXTERNAL}/namespaces/shop/my-external-metric",
    f"{EXTERNAL}/namespaces/mine/my-external-metric?labelSelector=foo%3Dbar", QUEUE,
    f"{EXTERNAL}/namespaces/shop/my-external-metric?watch=1",
    f"{EXTERNAL}/namespaces/shop/my-external-metric?fieldSelector=metadata.name%3Dx", QUEUE.replace("mine", "shop"),
    "/write-metrics/namespaces/shop/pods/cart-0/qps", "/nope",
)  # fmt: skip
_PIECES = (
    "://", "a:", "a://b", "http://x", "?", "??", "#", ";", "\\", "/", "//", "%2f", "%2F", "..", "/..", "/../", "%2e%2e",
    ".", "/./", "@", "u:p@h", "%3f", "%23", "%00", "%0d%0a", "%5c", "%3b", "%40", "%25", "%252f", "%", "*", "%2a", ":",
    "%c0%af", "%ff", "/healthz", "?x://y/healthz", "/x?://h/openapi/x/y/namespaces/shop/my-external-metric", "&", "=",
    f"/x?://h{QUEUE}", "/write-metrics", "/openapi", "~", "|", "[", "]", "<", '"', "ä",
)  # fmt: skip

METHODS = ("GET", "GET", "GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT")

# Header fields and certificate of each. "tenant" may write one queue and read in its own namespace, and the others,
# but for the master, may do nothing.
IDENTITIES: dict[str, tuple[tuple[tuple[str, str], ...], Certificate | None]] = {
    "anonymous": ((), None),
    "a ServiceAccount without any right": ((("Authorization", "Bearer good"),), None),
    "a client certificate without any right": ((), make(named("alice"), by=CLIENT_CA)),
    "a tenant": ((("X-Remote-User", "tenant"),), make(named("front-proxy-client"), by=PROXY_CA)),
    "a master": ((), make(named("admin", "system:masters"), by=CLIENT_CA)),
}


def decide(spec: Mapping[str, Any]) -> Answer:
    """Allow the tenant what is its own, and nobody else anything."""
    path, resource = spec.get("nonResourceAttributes", {}), spec.get("resourceAttributes", {})
    own = (path.get("verb"), path.get("path")) == ("post", QUEUE) or resource.get("namespace") == "mine"
    return Answer(allowed=spec["user"] == "tenant" and own)


def target(source: random.Random) -> str:
    """Make a target: a path, with up to three pieces put somewhere into it or in front."""
    made = source.choice(_PATHS)
    for _ in range(source.choice((0, 1, 1, 1, 2, 3))):
        at = source.choice((0, len(made), source.randint(0, len(made))))
        made = made[:at] + source.choice(_PIECES) + made[at:]
    return made


def request_of(method: str, target: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    """Write a request; a write has a body."""
    body = b"1" if method == "POST" else b""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    if not body:
        lines.pop()
    lines += [f"{name}: {value}" for name, value in fields]
    return "\r\n".join([*lines, "", ""]).encode() + body
