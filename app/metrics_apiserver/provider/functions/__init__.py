"""Metrics as functions: they are declared here, and the provider `functions` polls and answers (docs/functions.md).

Nothing runs here: there is no thread and no clock. Names are all that this module holds.
"""

from metrics_apiserver.provider.functions.declarations import NAMESPACE_ALL, NAMESPACE_DEFAULT, Declaration
from metrics_apiserver.provider.functions.metrics import Metrics, Registration, Watcher
from metrics_apiserver.provider.functions.triggers import EventQueue, Every, Trigger, every
from metrics_apiserver.provider.functions.values import Number, Value

__all__ = [
    "NAMESPACE_ALL",
    "NAMESPACE_DEFAULT",
    "Declaration",
    "EventQueue",
    "Every",
    "Metrics",
    "Number",
    "Registration",
    "Trigger",
    "Value",
    "Watcher",
    "every",
]
