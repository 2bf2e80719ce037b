"""Entry points → checked provider instances, each with the name, distribution and version it came from.

`check` builds nothing: the master runs it while gunicorn reads its configuration. `build` runs in the worker.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from marshmallow import Schema, ValidationError

from app import ownership
from app.provider import CustomMetricsProvider, ExternalMetricsProvider, Provider, ProviderContext
from app.settings import ProviderSettings, flatten_messages

__all__ = ["ENTRY_POINT_GROUP", "ConfiguredProvider", "ProviderError", "build", "check", "installed", "origin"]

ENTRY_POINT_GROUP = "metrics_apiserver.providers"


class ProviderError(Exception):
    """A provider cannot be built; the message names it and is fit for the one who configured it."""


@dataclass(frozen=True, slots=True)
class ConfiguredProvider:
    """A provider that serves: `name` is its own in the configuration, `kind` its entry point's."""

    name: str
    kind: str
    distribution: str
    version: str
    provider: Provider


def installed() -> list[EntryPoint]:
    """List the providers that are installed, by name, then distribution. Imports none of them."""
    return sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: (entry.name, _origin(entry)))


def origin(entry: EntryPoint) -> tuple[str, str]:
    """Give the distribution that an entry point belongs to, and its version."""
    return (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "unknown")


def check(providers: Sequence[ProviderSettings]) -> list[str]:
    """Say what is wrong with the installation, and with the configured providers: names, classes, options."""
    problems = ownership.check()
    for settings in providers:
        if not settings.kind:
            continue  # the configuration was refused for this entry already
        try:
            _class_and_options(settings)
        except ProviderError as problem:
            problems.append(str(problem))
    return problems


def build(
    providers: Sequence[ProviderSettings], make_context: Callable[[str], ProviderContext]
) -> list[ConfiguredProvider]:
    """Build every configured provider, in order; `make_context` makes the context of an instance name.

    Raises ProviderError for the first that cannot be built.
    """
    return [_build_one(settings, make_context) for settings in providers]


def _build_one(settings: ProviderSettings, make_context: Callable[[str], ProviderContext]) -> ConfiguredProvider:
    entry, provider_class, options = _class_and_options(settings)
    try:
        provider = provider_class(make_context(settings.name), options)
    except Exception as error:
        raise ProviderError(f"{_place(settings, entry)} could not be started: {_sentence(error)}") from error
    distribution, version = origin(entry)
    return ConfiguredProvider(
        name=settings.name,
        kind=settings.kind,
        distribution=distribution,
        version=version,
        provider=provider,
    )


def _class_and_options(settings: ProviderSettings) -> tuple[EntryPoint, type[Provider], Mapping[str, Any]]:
    entry = _find(settings)
    place = _place(settings, entry)
    try:
        provider_class = entry.load()
    except Exception as error:
        raise ProviderError(f"{place} cannot be imported: {_sentence(error)}") from error
    _check_class(place, provider_class)
    return entry, provider_class, _load_options(place, provider_class, settings.options)


def _find(settings: ProviderSettings) -> EntryPoint:
    found = [entry for entry in installed() if entry.name == settings.kind]
    if not found:
        names = ", ".join(sorted({entry.name for entry in installed()}))
        known = f"installed are: {names}" if names else "none is installed (install first: pip install -e .)"
        raise ProviderError(f"provider {settings.name}: there is no provider of the kind {settings.kind}; {known}")
    if len(found) > 1:
        owners = " and ".join(_origin(entry) for entry in found)
        raise ProviderError(
            f"provider {settings.name}: the kind {settings.kind} is installed twice, by {owners}; remove one of them"
        )
    return found[0]


def _check_class(place: str, provider_class: Any) -> None:
    if not (
        inspect.isclass(provider_class) and issubclass(provider_class, (CustomMetricsProvider, ExternalMetricsProvider))
    ):
        raise ProviderError(
            f"{place} is no provider: a class that derives from CustomMetricsProvider or ExternalMetricsProvider"
            " is expected"
        )
    if missing := sorted(getattr(provider_class, "__abstractmethods__", ())):
        raise ProviderError(f"{place} is incomplete: {provider_class.__name__} does not have {', '.join(missing)}")
    options: Any = provider_class.Options
    if not (inspect.isclass(options) and issubclass(options, Schema)):
        raise ProviderError(f"{place}: Options of {provider_class.__name__} is no marshmallow schema")


def _load_options(place: str, provider_class: type[Provider], options: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        loaded: Mapping[str, Any] = provider_class.Options().load(options)
    except ValidationError as error:
        wrong = "; ".join(flatten_messages(error.messages))
        raise ProviderError(f"{place}: the options are wrong: {wrong}") from error
    return loaded


def _origin(entry: EntryPoint) -> str:
    return " ".join(origin(entry)) if entry.dist else "an unknown distribution"


def _place(settings: ProviderSettings, entry: EntryPoint) -> str:
    return f"provider {settings.name} ({settings.kind}, from {_origin(entry)})"


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
