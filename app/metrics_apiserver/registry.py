"""Entry points → checked provider instances, each with the name, distribution and version it came from.

A program that runs the server itself offers its own providers beside them (`offer`).

`check` builds nothing: the master runs it while gunicorn reads its configuration. `build` runs in the worker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

from marshmallow import Schema, ValidationError
from prometheus_client import CollectorRegistry

from metrics_apiserver.away import AwayProvider
from metrics_apiserver.concurrency import within
from metrics_apiserver.errors import described
from metrics_apiserver.provider import (
    CustomMetricsProvider,
    ExternalMetricsProvider,
    Options,
    Provider,
    ProviderContext,
    kinds,
)
from metrics_apiserver.settings import Place, Problem, ProviderSettings, flatten_messages, located_messages
from metrics_apiserver.settings.problems import meant

__all__ = [
    "DISTRIBUTION",
    "ConfiguredProvider",
    "OfferedProvider",
    "ProviderError",
    "build",
    "build_one",
    "check",
    "discard",
    "leave_away",
    "offer",
    "withdraw",
]

# The server's own.
DISTRIBUTION = "metrics-apiserver"
_DISCARD_SECONDS = 2.0
# Of a provider's options, in one line; the list of problems has them all.
_MOST_SENTENCES = 20

logger = logging.getLogger("metrics_apiserver")


class ProviderError(Exception):
    """A provider cannot be built; the message names it and is fit for the one who configured it."""


class OptionsError(ProviderError):
    """The options do not fit the provider's schema; `problems` has one for each place in them."""

    def __init__(self, provider: str, messages: Any) -> None:
        begin, sentences = f"{provider}: the options are wrong", flatten_messages(messages)
        more = f"; and {len(sentences) - _MOST_SENTENCES} more" if len(sentences) > _MOST_SENTENCES else ""
        super().__init__(f"{begin}: {'; '.join(sentences[:_MOST_SENTENCES])}{more}")
        places = [place for place, _ in located_messages(messages)]
        self.problems = [Problem(f"{begin}: {each}", place) for place, each in zip(places, sentences, strict=True)]


@dataclass(frozen=True, slots=True)
class ConfiguredProvider:
    """A provider that serves: `name` is its own in the configuration, `kind` its entry point's."""

    name: str
    kind: str
    distribution: str
    version: str
    provider: Provider
    settings: ProviderSettings
    # What it counts itself.
    metrics: CollectorRegistry
    # Why it could not begin; "" for one that serves.
    away: str = ""

    @property
    def shipped(self) -> bool:
        """Whether it comes with the server, so that what it says of itself is known to be true."""
        return self.distribution == DISTRIBUTION


@dataclass(frozen=True, slots=True)
class OfferedProvider:
    """A kind of provider that is in no entry point: the running program brings it along.

    `make` gets the context and the options that `options` loaded.
    """

    name: str
    make: Callable[[ProviderContext, Mapping[str, Any]], Provider]
    options: type[Schema]
    distribution: str
    version: str


# For the process, as entry points are: gunicorn reads its configuration as a module, which takes no arguments, and the
# worker inherits it by the fork.
_offered: dict[str, OfferedProvider] = {}


def offer(provider: OfferedProvider) -> None:
    """Make this kind known in this process. Raises ProviderError where it is known already."""
    if provider.name in _offered or any(entry.name == provider.name for entry in kinds.installed()):
        raise ProviderError(f"a provider of the kind {provider.name} is there already; give this one another name")
    _offered[provider.name] = provider


def withdraw(name: str) -> None:
    """Forget a kind that was offered."""
    del _offered[name]


def check(providers: Sequence[ProviderSettings]) -> list[Problem]:
    """Return what is wrong with the configured providers: names, classes, options."""
    problems: list[Problem] = []
    installed = kinds.installed()
    for number, each in enumerate(providers):
        if not each.kind:
            continue  # the configuration was refused for this entry already
        place: Place = ("providers", number)
        try:
            _maker_and_options(each, installed)
        except OptionsError as error:
            problems += [Problem(wrong.sentence, (*place, "options", *wrong.place)) for wrong in error.problems]
        except ProviderError as error:
            problems.append(Problem(str(error), (*place, "kind")))
    return problems


def build(
    providers: Sequence[ProviderSettings],
    make_context: Callable[[str], ProviderContext],
    *,
    some: bool = False,
) -> list[ConfiguredProvider]:
    """Build every configured provider, in order; `make_context` makes the context of an instance name.

    Raises ProviderError for the first that cannot be built; those before it are stopped again. With `some` it is away
    instead, and the others are built.
    """
    built: list[ConfiguredProvider] = []
    try:
        for settings in providers:
            try:
                built.append(build_one(settings, make_context))
            except ProviderError as error:
                if not some:
                    raise
                built.append(leave_away(settings, make_context, str(error)))
    except BaseException:
        discard(built)
        raise
    return built


def discard(providers: Sequence[ConfiguredProvider]) -> None:
    """Stop providers that never started, the last one first; what hangs is waited for no longer than a moment."""

    deadline = time.monotonic() + _DISCARD_SECONDS
    for configured in reversed(providers):
        what = f"provider {configured.name} failed to stop"
        left = max(0.0, deadline - time.monotonic())
        if not within(left, configured.provider.stop, f"discard-{configured.name}", logger=logger, failure=what):
            logger.warning("provider %s has not stopped in time: it is left behind", configured.name)


def leave_away(
    settings: ProviderSettings, make_context: Callable[[str], ProviderContext], reason: str
) -> ConfiguredProvider:
    """Return what stands in the place of a provider that cannot begin; it is logged."""
    logger.error("provider %s is away, and the others serve: %s", settings.name, reason)
    context = make_context(settings.name)
    provider = AwayProvider(context, reason)
    return ConfiguredProvider(
        settings.name, settings.kind, "", "", provider, settings, context.metrics_registry, away=reason
    )


def build_one(settings: ProviderSettings, make_context: Callable[[str], ProviderContext]) -> ConfiguredProvider:
    """Build a configured provider. Raises ProviderError."""
    context = make_context(settings.name)
    source, make, options = _maker_and_options(settings, kinds.installed(), restarting=context.restarting)
    place = _place(settings, source)
    try:
        provider = make(context, options)
    # Whatever it is: it is a failure of this one, and SystemExit would end whoever builds without a sentence.
    except BaseException as error:
        raise ProviderError(f"{place} could not be started: {described(error)}") from error
    if not isinstance(provider, (CustomMetricsProvider, ExternalMetricsProvider)):
        raise ProviderError(f"{place} is not a provider, but a {type(provider).__name__}")
    distribution, version = _origin(source)
    return ConfiguredProvider(
        name=settings.name,
        kind=settings.kind,
        distribution=distribution,
        version=version,
        provider=provider,
        settings=settings,
        metrics=context.metrics_registry,
    )


def _maker_and_options(
    settings: ProviderSettings, installed: Sequence[EntryPoint], *, restarting: bool = False
) -> tuple[EntryPoint | OfferedProvider, Callable[[ProviderContext, Mapping[str, Any]], Provider], Mapping[str, Any]]:
    source = _find(settings, installed)
    place = _place(settings, source)
    if isinstance(source, OfferedProvider):
        return source, source.make, _load_options(place, source.options, settings.options, restarting=restarting)
    try:
        provider_class = kinds.load_class(source)
    except kinds.KindError as error:
        raise ProviderError(f"{place} {error}") from error
    return source, provider_class, _load_options(place, provider_class.Options, settings.options, restarting=restarting)


def _find(settings: ProviderSettings, installed: Sequence[EntryPoint]) -> EntryPoint | OfferedProvider:
    if settings.kind in _offered:
        return _offered[settings.kind]
    try:
        found = kinds.find(settings.kind, installed)
    except kinds.KindError as error:
        raise ProviderError(f"provider {settings.name}: {error}") from error
    if found is None:
        names = ", ".join(sorted({entry.name for entry in installed} | set(_offered)))
        known = f"installed are: {names}" if names else "none is installed (install first: pip install -e .)"
        guess = meant(settings.kind, {entry.name for entry in installed} | set(_offered))
        raise ProviderError(
            f"provider {settings.name}: there is no provider of the kind {settings.kind}{guess}; {known}"
        )
    return found


def _load_options(
    place: str, schema: type[Schema], options: Mapping[str, Any], *, restarting: bool
) -> Mapping[str, Any]:
    loading = schema()
    if isinstance(loading, Options):
        loading.restarting = restarting
    try:
        loaded: Mapping[str, Any] = loading.load(options)
    except ValidationError as error:
        raise OptionsError(place, error.messages) from error
    return loaded


def _origin(entry: EntryPoint | OfferedProvider) -> tuple[str, str]:
    return (entry.distribution, entry.version) if isinstance(entry, OfferedProvider) else kinds.origin(entry)


def _place(settings: ProviderSettings, entry: EntryPoint | OfferedProvider) -> str:
    if isinstance(entry, OfferedProvider):
        written = f"{entry.distribution} {entry.version}"
    else:
        written = kinds.written_origin(entry)
    return f"provider {settings.name} ({settings.kind}, from {written})"
