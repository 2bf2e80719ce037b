"""A request's target, read once: what is judged, routed, answered and logged is all taken from it."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from metrics_apiserver.errors import BadRequestError, NotFoundError

__all__ = ["Target", "read_target"]

# Visible ASCII, as RFC 9112 3.2 has it; a fragment is no part of a target (RFC 9110 7.1).
_ORIGIN_FORM = re.compile(r"/[!\"$-~]*\Z")
# What nearly every segment is, and needs no decoding: no dot stands in front, so it is neither `.` nor `..`.
_PLAIN = re.compile(r"[A-Za-z0-9*_-][A-Za-z0-9*_.-]*\Z")


class Target(NamedTuple):
    """A target in origin form. Nobody splits or decodes its path a second time."""

    raw: str
    """As it came over the wire."""
    segments: tuple[str, ...]
    """The decoded segments of the path; none for `/`. No segment is empty, `.` or `..`, or holds a slash."""
    path: str
    """The decoded path: the segments between slashes, with the slash at the end if there is one."""
    query: str
    """What follows the first question mark, as it came."""


def read_target(raw: str) -> Target:
    """Read a request's target as it came over the wire, before percent-decoding.

    Raises BadRequestError unless it has the origin form (RFC 9112 3.2.1), and NotFoundError for a path with an empty
    segment, an encoded slash, `.`, `..`, a control character or wrong UTF-8: no name holds any of them, and two readers
    could read them differently.
    """
    if not _ORIGIN_FORM.match(raw):
        raise BadRequestError(_refusal(raw))
    raw_path, _, query = raw.partition("?")
    if raw_path == "/":
        return Target(raw, (), "/", query)
    segments = tuple(map(_decode, raw_path[1:].removesuffix("/").split("/")))
    slash = "/" if raw_path.endswith("/") else ""
    return Target(raw, segments, f"/{'/'.join(segments)}{slash}", query)


def _refusal(raw: str) -> str:
    if not raw.startswith("/"):
        return "the request target must be a path that begins with /: no scheme, no authority and no * are served here"
    if "#" in raw:
        return "the request target has a fragment: write # as %23"
    return "the request target has characters that must be percent-encoded"


def _decode(segment: str) -> str:
    if _PLAIN.match(segment):
        return segment
    try:
        decoded = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotFoundError.for_path() from error
    if decoded in ("", ".", "..") or "/" in decoded or not decoded.isprintable():
        raise NotFoundError.for_path()
    return decoded
