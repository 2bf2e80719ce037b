"""For providers that ask another server over HTTP with urllib3: answers that end, in time and in size."""

from metrics_apiserver.bounded_http import (
    AnswerTooLargeError,
    BoundedConnection,
    BoundedHTTPSConnection,
    bound_pools,
    read_body,
)

__all__ = ["AnswerTooLargeError", "BoundedConnection", "BoundedHTTPSConnection", "bound_pools", "read_body"]
