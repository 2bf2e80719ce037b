"""What can be set: frozen dataclasses by concern, read from flags, environment and a YAML file, checked as a whole.

Precedence: flag, `METRICS_APISERVER_*`, file (`--config`), default. `metrics-apiserver serve` hands its flags on as
environment variables, so that `gunicorn wsgi:app` and the command read the same settings by the same code.
"""

from metrics_apiserver.settings.document import Place
from metrics_apiserver.settings.providers import (
    BreakerSettings,
    MatchSettings,
    MetricPolicySettings,
    PolicySettings,
    ProviderSettings,
    Substitute,
    SubstituteSettings,
)
from metrics_apiserver.settings.sections import (
    ENVIRONMENT_PREFIX,
    AuthenticationSettings,
    AuthorizationSettings,
    ClusterSettings,
    DiscoverySettings,
    LoggingSettings,
    ServingSettings,
    Setting,
    settings_table,
)
from metrics_apiserver.settings.settings import SERVICE_ACCOUNT, Settings, SettingsError, in_cluster
from metrics_apiserver.settings.sources import Source, flatten_messages, located_messages

__all__ = [
    "ENVIRONMENT_PREFIX",
    "SERVICE_ACCOUNT",
    "AuthenticationSettings",
    "AuthorizationSettings",
    "BreakerSettings",
    "ClusterSettings",
    "DiscoverySettings",
    "LoggingSettings",
    "MatchSettings",
    "MetricPolicySettings",
    "Place",
    "PolicySettings",
    "ProviderSettings",
    "ServingSettings",
    "Setting",
    "Settings",
    "SettingsError",
    "Source",
    "Substitute",
    "SubstituteSettings",
    "flatten_messages",
    "in_cluster",
    "located_messages",
    "settings_table",
]
