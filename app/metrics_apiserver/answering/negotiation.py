"""Which media type an answer has, and whether it is indented: what the Accept header and the query string ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header

from metrics_apiserver.errors import NotAcceptableError
from metrics_apiserver.schemas.apidiscovery import AGGREGATED_VERSIONS
from metrics_apiserver.schemas.encoders import JSON, MEDIA_TYPES, YAML

__all__ = ["CACHED_LENGTH", "MediaType", "accepted", "negotiate", "wants_pretty"]

_AGGREGATED = {
    "g": "apidiscovery.k8s.io",
    "as": "APIGroupDiscoveryList",
}
CACHED_LENGTH = 512
# Characters and clauses of an Accept field that are read, several times what browsers and client-go send. Reading one
# takes its time, and is done before anybody knows who asks.
_ACCEPT_LENGTH = 2048
_ACCEPT_CLAUSES = 64
_WILDCARDS = {"*/*", "application/*"}
# Who reads with human eyes (k8s.io/apiserver `isPrettyPrint`).
_READERS = ("curl", "Wget", "Mozilla/5.0")
# What Go's strconv.ParseBool takes for true.
_TRUE = {"1", "t", "T", "TRUE", "true", "True"}


@dataclass(frozen=True, slots=True)
class MediaType:
    """The media type of an answer; `aggregated` is the version of aggregated discovery, "" for the plain document."""

    name: str
    aggregated: str = ""

    @property
    def content_type(self) -> str:
        """As the header has it."""
        if self.aggregated:
            return f"{self.name};g={_AGGREGATED['g']};v={self.aggregated};as={_AGGREGATED['as']}"
        return self.name


def negotiate(accept: str, *, aggregated: bool = False) -> MediaType:
    """Pick the media type that the client likes best among those that we can give; none asked for: JSON.

    `aggregated`: this document has the form of aggregated discovery too. Raises NotAcceptableError.
    """
    if len(accept) <= CACHED_LENGTH:
        return _negotiate_cached(accept, aggregated)
    return _negotiate(accept, aggregated)


def _negotiate(accept: str, aggregated: bool) -> MediaType:  # noqa: FBT001 - a key of the cache
    if not accept.strip():
        return MediaType(JSON)
    for clause in accepted(accept, MEDIA_TYPES):
        if (found := _match(clause, aggregated=aggregated)) is not None:
            return found
    raise NotAcceptableError(MEDIA_TYPES)


def accepted(accept: str, given: Iterable[str]) -> list[str]:
    """Return the clauses of an Accept field that are wanted, the best first; `given` are the media types there are.

    Raises NotAcceptableError for a field that is too long to be read.
    """
    if len(accept) > _ACCEPT_LENGTH or accept.count(",") >= _ACCEPT_CLAUSES:
        raise NotAcceptableError(
            given, problem=f"the Accept field has more than {_ACCEPT_LENGTH} characters, or {_ACCEPT_CLAUSES} clauses; "
        )
    return [clause for clause, quality in parse_accept_header(accept, MIMEAccept) if quality > 0]


# Clients send the same few headers again and again; refusals are not kept.
_negotiate_cached = lru_cache(maxsize=256)(_negotiate)


def _match(clause: str, *, aggregated: bool) -> MediaType | None:
    name, options = parse_options_header(clause)
    if name in _WILDCARDS:
        name = JSON
    if name not in MEDIA_TYPES:
        return None
    if not options.keys() & {"as", "g", "v"}:
        return MediaType(name)
    version = options.get("v", "")
    if (
        aggregated
        and name != YAML
        and version in AGGREGATED_VERSIONS
        and all(options.get(key) == value for key, value in _AGGREGATED.items())
    ):
        return MediaType(name, aggregated=version)
    return None


def wants_pretty(parameter: str, user_agent: str) -> bool:
    """Return whether to indent: `?pretty=` decides; without it people's tools get it indented (k8s.io/apiserver)."""
    if parameter:
        return parameter in _TRUE
    return user_agent.startswith(_READERS)
