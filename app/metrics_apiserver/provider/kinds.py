"""The kinds of provider that are installed: entry points, and the classes that they name.

What a class must be is the same for a provider that is configured and for one that another holds.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from marshmallow import Schema

from metrics_apiserver.errors import described
from metrics_apiserver.provider.interfaces import CustomMetricsProvider, ExternalMetricsProvider, Provider

__all__ = ["ENTRY_POINT_GROUP", "KindError", "find", "installed", "load_class", "origin", "written_origin"]

ENTRY_POINT_GROUP = "metrics_apiserver.providers"


class KindError(Exception):
    """A kind of provider cannot be used; the message says why, and is fit for the one who configured it."""


def installed() -> list[EntryPoint]:
    """List the kinds that are installed, by name, then distribution. Imports none of them."""
    return sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: (entry.name, written_origin(entry)))


def origin(entry: EntryPoint) -> tuple[str, str]:
    """Return the distribution that a kind belongs to, and its version."""
    return (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "unknown")


def written_origin(entry: EntryPoint) -> str:
    """Return the same as text: `example-providers 1.2.3`."""
    return " ".join(origin(entry)) if entry.dist else "an unknown distribution"


def find(kind: str, among: Sequence[EntryPoint]) -> EntryPoint | None:
    """Find a kind among those that are installed; None where it is not there. Raises KindError where it is twice."""
    found = [entry for entry in among if entry.name == kind]
    if len(found) > 1:
        owners = " and ".join(map(written_origin, found))
        raise KindError(f"the kind {kind} is installed twice, by {owners}; remove one of them")
    return found[0] if found else None


def load_class(entry: EntryPoint) -> type[Provider]:
    """Import the class of a kind and look at it. Raises KindError with what is said of it: "cannot be imported: …"."""
    try:
        found = entry.load()
    # SystemExit too: gunicorn's master imports it to check the configuration, and would end without a sentence.
    except (Exception, SystemExit) as error:
        raise KindError(f"cannot be imported: {described(error)}") from error
    if not (inspect.isclass(found) and issubclass(found, (CustomMetricsProvider, ExternalMetricsProvider))):
        raise KindError(
            "is not a provider: a class that derives from CustomMetricsProvider or ExternalMetricsProvider is expected"
        )
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise KindError(f"is incomplete: {found.__name__} does not have {', '.join(missing)}")
    options: Any = found.Options
    if not (inspect.isclass(options) and issubclass(options, Schema)):
        raise KindError(f"cannot be configured: Options of {found.__name__} is not a marshmallow schema")
    return found
