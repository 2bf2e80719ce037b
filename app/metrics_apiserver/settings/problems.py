"""What is wrong with a configuration, as data: the sentence, and the place that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

__all__ = [
    "Place",
    "Problem",
    "flatten_messages",
    "located_messages",
    "meant",
    "printable",
    "suggest_keys",
    "written_place",
]

# Where something stands below the top of the file: keys, and the numbers of list items.
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `str` gives the line that a user reads, `FILE:LINE: sentence`.

    `place` is where it belongs in a file, whether or not a file says it: empty where that is not a setting. `file` and
    `line` are those of the file that does say it; without a line the file as a whole is meant.
    """

    sentence: str
    place: Place = ()
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        """Return one printable line, whatever the sentence quotes."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return printable(f"{where}: {self.sentence}" if where else self.sentence)


def printable(text: str) -> str:
    """Return a text as a sentence may quote it: on one line, and with what has no encoding escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


# Nobody means something by more than this, and comparing takes time with the length.
_LONGEST_NAME = 100


def meant(name: str, known: Iterable[str]) -> str:
    """Return what ends a sentence about an unknown name: `; did you mean --objects?`, or nothing."""
    if len(name) > _LONGEST_NAME:
        return ""
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""


def suggest_keys(messages: Any, known: Iterable[str], unknown: str) -> None:
    """Add to marshmallow's messages of unknown keys which ones are probably meant; `unknown` is their sentence."""
    if not isinstance(messages, dict):
        return
    names = list(known)
    for key, sentences in messages.items():
        if isinstance(key, int):
            suggest_keys(sentences, names, unknown)
        elif sentences == [unknown]:
            messages[key] = [f"{unknown.removesuffix('.')}{meant(str(key), names) or '.'}"]


def written_place(place: Place) -> str:
    """Write a place as people do: `providers[1].onEmpty`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def located_messages(messages: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Return each sentence of marshmallow's nested messages with its place."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from located_messages(inner, place if key == "_schema" else (*place, key))
    elif isinstance(messages, (list, tuple)):
        for inner in messages:
            yield from located_messages(inner, place)
    else:
        yield place, str(messages)


def flatten_messages(messages: Any) -> list[str]:
    """Turn marshmallow's nested messages into sentences that name the place."""
    return [
        f"{written_place(place)}: {sentence}" if place else sentence for place, sentence in located_messages(messages)
    ]
