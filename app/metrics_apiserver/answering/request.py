"""A request as an answer is made from it, the same whichever front it came by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

from metrics_apiserver.answering.negotiation import CACHED_LENGTH, MediaType, negotiate, wants_pretty
from metrics_apiserver.auth.access import Judgement
from metrics_apiserver.errors import NotAcceptableError
from metrics_apiserver.exchange import Fields, PlainRequest, audit_id_of
from metrics_apiserver.schemas.encoders import JSON

__all__ = ["Form", "Request"]


class Form(NamedTuple):
    """The media type of an answer, and whether it is indented."""

    media_type: MediaType
    pretty: bool


class Request(NamedTuple):
    """What a client asks. Of a header field that is repeated the values are joined by commas, as in WSGI."""

    method: str
    target: str
    """As it came over the wire."""
    accept: str
    user_agent: str
    audit_id: str
    """The client's own, or a new one."""
    pairs: Sequence[tuple[str, str]]
    """The header fields in their order, with their names in upper case, by which a request is judged."""
    certificate: bytes | None
    """The client's, in DER."""
    judgement: Judgement | None = None
    """Who asks and whether they may, where a front has asked already."""

    @classmethod
    def of_plain(cls, plain: PlainRequest, judgement: Judgement | None) -> Request:
        """Return the request that serving has read."""
        target, fields, certificate = plain
        accept, user_agent, audit_id = _joined(fields)
        return cls("GET", target, accept, user_agent, audit_id_of(audit_id), fields, certificate, judgement)

    @property
    def pretty(self) -> bool:
        """Whether a document is indented for this client."""
        # Nearly nobody asks for it: the query string is not parsed for that.
        asked = _pretty(self.target) if "pretty" in self.target else ""
        return wants_pretty(asked, self.user_agent)

    def form(self) -> Form:
        """Return the form of a response that is a document. Raises NotAcceptableError."""
        return Form(negotiate(self.accept), self.pretty)

    def takes_long_to_write(self) -> bool:
        """Return whether it takes milliseconds to find out what the client reads, or to write that."""
        if len(self.accept) > CACHED_LENGTH:
            return True
        try:
            # YAML takes a thousand times as long as JSON.
            return negotiate(self.accept).name != JSON
        except NotAcceptableError:
            return False

    def form_of_failure(self) -> Form:
        """Return the form of a `Status`: JSON for a client that reads nothing of what we write."""
        try:
            return self.form()
        except NotAcceptableError:
            return Form(MediaType(JSON), self.pretty)


def _joined(fields: Fields) -> tuple[str, str, str]:
    """Return the three fields that an answer depends on."""
    accept = user_agent = audit_id = None
    for name, value in fields:
        if name == "ACCEPT":
            accept = value if accept is None else f"{accept},{value}"
        elif name == "USER-AGENT":
            user_agent = value if user_agent is None else f"{user_agent},{value}"
        elif name == "AUDIT-ID":
            audit_id = value if audit_id is None else f"{audit_id},{value}"
    return accept or "", user_agent or "", audit_id or ""


def _pretty(target: str) -> str:
    """Return the parameter `pretty` of a target."""
    query = target.partition("?")[2]
    return next((value for name, value in parse_qsl(query, errors="replace") if name == "pretty"), "")
