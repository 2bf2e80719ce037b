"""What threads share: places, slots, one answer for equal questions, and what runs in the background.

Each is a small class with a page of tests of its own; nothing here knows a request, a provider or a cluster.
"""

from metrics_apiserver.concurrency.background import Background
from metrics_apiserver.concurrency.backoff import Backoff
from metrics_apiserver.concurrency.budget import Room, SharedRoom
from metrics_apiserver.concurrency.bulkhead import Bulkhead
from metrics_apiserver.concurrency.calls import HangsError, TimedCall, within
from metrics_apiserver.concurrency.flights import Flights

__all__ = [
    "Background",
    "Backoff",
    "Bulkhead",
    "Flights",
    "HangsError",
    "Room",
    "SharedRoom",
    "TimedCall",
    "within",
]
