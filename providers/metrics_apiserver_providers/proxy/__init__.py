"""The proxy provider: forwards reads to another metrics API server, and passes on what it says.

Here belongs what speaks HTTP to that server and reads its answers; which reads are the proxy's, for how long an answer
may take and what stands in for it, the server decides for every provider.
"""

from metrics_apiserver_providers.proxy.provider import ProxyProvider

__all__ = ["ProxyProvider"]
