"""What a class must be to serve as a provider: for one that is configured, and for one that another holds."""

from __future__ import annotations

import inspect
from typing import Any, TypeGuard

from marshmallow import Schema

from metrics_apiserver.provider.interfaces import CustomMetricsProvider, ExternalMetricsProvider, Provider

__all__ = ["has_schema", "is_provider_class", "missing_methods"]


def is_provider_class(found: object) -> TypeGuard[type[Provider]]:
    """Return whether this is a class of providers of custom or external metrics."""
    return inspect.isclass(found) and issubclass(found, (CustomMetricsProvider, ExternalMetricsProvider))


def missing_methods(provider_class: type[Provider]) -> list[str]:
    """List the methods without which it cannot be made, by name."""
    return sorted(getattr(provider_class, "__abstractmethods__", ()))


def has_schema(provider_class: type[Provider]) -> bool:
    """Return whether its `Options` are a marshmallow schema."""
    options: Any = provider_class.Options
    return inspect.isclass(options) and issubclass(options, Schema)
