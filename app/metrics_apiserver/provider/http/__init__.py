"""For providers that ask another server over HTTP: answers that end, in time and in size, from the right server.

`HTTPClient` is a server's client: connections that are kept, verified always, with a CA, a client certificate and a
token that are read again when their files change. `ServerOptions` are the options that it takes, under the names that
users know. The rest is for providers that use urllib3 by themselves, or through a library.
"""

from metrics_apiserver.bounded_http import (
    AnswerTooLargeError,
    BoundedConnection,
    BoundedHTTPSConnection,
    bound_pools,
    read_body,
)
from metrics_apiserver.provider.http.client import HTTPAnswer, HTTPClient
from metrics_apiserver.provider.http.credentials import POD_TOKEN, Credentials, TLSFiles, bearer_token
from metrics_apiserver.provider.http.options import ServerOptions

__all__ = [
    "POD_TOKEN",
    "AnswerTooLargeError",
    "BoundedConnection",
    "BoundedHTTPSConnection",
    "Credentials",
    "HTTPAnswer",
    "HTTPClient",
    "ServerOptions",
    "TLSFiles",
    "bearer_token",
    "bound_pools",
    "read_body",
]
