"""The table of APIs: a new one is a module, its schemas, and a row here."""

from __future__ import annotations

from metrics_apiserver.apis.api import API
from metrics_apiserver.apis.custom import CUSTOM_METRICS_API
from metrics_apiserver.apis.external import EXTERNAL_METRICS_API

__all__ = ["APIS", "api_of"]

APIS: tuple[API, ...] = (CUSTOM_METRICS_API, EXTERNAL_METRICS_API)
_BY_GROUP = {api.group: api for api in APIS}


def api_of(group: str) -> API:
    """Return the API of a group that is served."""
    return _BY_GROUP[group]
