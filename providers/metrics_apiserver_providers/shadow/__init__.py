"""The shadow provider: one provider serves, another is asked the same, and where they differ is counted and logged.

Here belongs the asking of the second without harm to the first, and the comparison; either may be of any kind.
"""

from metrics_apiserver_providers.shadow.provider import ShadowProvider

__all__ = ["ShadowProvider"]
