"""What changes while the server runs: the configuration's file is followed, and other providers take over.

Nothing here is on the way of a request, and nothing here decides what is right: that is what the start uses too.
"""

from metrics_apiserver.reloading.configuration import ConfigurationFile
from metrics_apiserver.reloading.instances import make_instances
from metrics_apiserver.reloading.providers import RunningProviders

__all__ = ["ConfigurationFile", "RunningProviders", "make_instances"]
