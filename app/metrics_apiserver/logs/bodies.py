"""What a line shows of a body: of a client's its structure, of our own all but what a client may have hidden in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from metrics_apiserver.logs.hiding import HIDDEN, is_telling

__all__ = ["shown_body"]

# The most of a body that is shown.
_LONGEST_BODY = 4096
# A string (its end may be cut off), a word, or what stands between them.
_JSON = re.compile(r'("(?:[^"\\]++|\\.)*+(?:"|\\?\Z))|([^\s"{}\[\]:,]++)|([\s{}\[\]:,]++)', re.DOTALL)
# The members that somebody may write here, or takes for what one writes; any other name may itself be a secret.
_KEYS = frozenset(
    [
        *("apiVersion", "items", "kind", "labels", "metadata", "metric", "metricLabels", "name", "namespace"),
        *("selector", "timestamp", "unit", "value", "values"),
    ]
)
# A quantity, which is what a client may write here, and JSON's own words.
_SCALAR = re.compile(r"(?:[-+]?[0-9.]{1,64}(?:[eEinumkKMGTP]{0,2}[-+]?[0-9]{0,4})|true|false|null)\Z")
# The values of a requirement, whose label is told beside it, and not as their name.
_VALUES = "values"
# What a sentence quotes begins with one of these; an apostrophe within a word is none.
_OPENING = re.compile(r"[\"`]|(?<!\w)'")
# A line of YAML that has a key.
_YAML_KEY = re.compile(r"([ -]*+)[\"']?+([^:\"'\s]++)[\"']?+:")


def shown_body(body: bytes, *, ours: bool = False) -> str:
    """Return the beginning of a body as a line may show it.

    Of a client's the structure is shown, its numbers and its quantities; of `ours` all but what has a telling name, and
    what the message of a Status quotes, which is the client's.
    """
    text = body[:_LONGEST_BODY].decode("utf-8", "backslashreplace")
    if ours and text[:1] not in ("{", "[", '"'):
        shown = "".join(_shown_lines(text))
    else:
        shown = "".join(_shown_json(text, ours=ours))
    left = len(body) - _LONGEST_BODY
    return f"{shown}… and {left} bytes more" if left > 0 else shown


def _shown_json(text: str, *, ours: bool) -> Iterator[str]:
    tokens = list(_JSON.finditer(text))
    telling = quoting = False
    for index, token in enumerate(tokens):
        string, word, between = token.groups()
        if between is not None:
            yield between
        elif string is not None and index + 1 < len(tokens) and (tokens[index + 1][3] or "").lstrip().startswith(":"):
            key = _string(string)
            telling = key is None or is_telling(key) or (ours and key == _VALUES)
            quoting = ours and key == "message"
            yield string if ours or key in _KEYS else f'"{HIDDEN}"'
        elif telling or not (ours or _SCALAR.match(string.strip('"') if string is not None else word)):
            yield f'"{HIDDEN}"' if string is not None else HIDDEN
        elif quoting and string is not None:
            yield json.dumps(_without_quotations(_string(string)), ensure_ascii=False)
        else:
            yield token[0]


def _string(literal: str) -> str | None:
    """Read a string of JSON; None where it cannot be read."""
    try:
        return str(json.loads(literal))
    except ValueError:
        return None


def _without_quotations(sentence: str | None) -> str:
    """Hide all from the first quotation mark to the last: what is quoted may hold any of them itself."""
    if sentence is None:
        return HIDDEN
    opening = _OPENING.search(sentence)
    if opening is None:
        return sentence
    begin = opening.end()
    end = max(sentence.rfind(mark, begin) for mark in "\"'`")
    return f"{sentence[:begin]}{HIDDEN}{sentence[end:] if end >= 0 else ''}"


def _shown_lines(text: str) -> Iterator[str]:
    """Show YAML, or any other text, without what is below a telling name."""
    below = -1
    for line in text.splitlines(keepends=True):
        found = _YAML_KEY.match(line)
        indent = len(line) - len(line.lstrip(" -"))
        if below >= 0 and (indent > below or found is None):
            continue
        below = -1
        if found is not None and (found[2] in (_VALUES, "message") or is_telling(found[2])):
            # The rest of what it holds may be on the lines that follow.
            below = len(found[1])
            yield f"{line[: found.end()]} {HIDDEN}\n"
        else:
            yield line
