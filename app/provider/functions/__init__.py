"""Metrics as functions: they are declared here, and the provider `functions` polls and answers (docs/functions.md).

Nothing runs here: there is no thread and no clock. Names are all that this module holds.
"""

from app.provider.functions.declarations import NAMESPACE_ALL, NAMESPACE_DEFAULT, Declaration
from app.provider.functions.metrics import Metrics, Registration, Watcher
from app.provider.functions.triggers import EventQueue, Every, Trigger, every
from app.provider.functions.values import Number, Value

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
