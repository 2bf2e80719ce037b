"""External names in a configuration: two must not differ in case only, since the autoscaler asks in lower case."""

from __future__ import annotations

from collections.abc import Iterable

from marshmallow import ValidationError

__all__ = ["refuse_alike"]


def refuse_alike(names: Iterable[str]) -> None:
    """Raise ValidationError for the first external name that is another one in another case."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(name.lower(), name)
        if other != name:
            raise ValidationError(
                f"{name} and {other} are one external metric: the case of its name does not count, since the autoscaler"
                " asks for it in lower case"
            )
