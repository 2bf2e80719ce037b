"""The writable provider, after upstream's test adapter: it serves the values that were written to it."""

from metrics_apiserver_providers.writable.provider import WritableProvider

__all__ = ["WritableProvider"]
