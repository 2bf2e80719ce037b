"""What can be set: frozen dataclasses by concern, the table of their names, and what a problem of one is.

How they are read is `configuration`.
"""

from metrics_apiserver.settings.problems import Place, Problem, flatten_messages, located_messages
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
    setting,
    settings_table,
)
from metrics_apiserver.settings.settings import SERVICE_ACCOUNT, Origin, Settings, SettingsError, in_cluster

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
    "Origin",
    "Place",
    "PolicySettings",
    "Problem",
    "ProviderSettings",
    "ServingSettings",
    "Setting",
    "Settings",
    "SettingsError",
    "Substitute",
    "SubstituteSettings",
    "flatten_messages",
    "in_cluster",
    "located_messages",
    "setting",
    "settings_table",
]
