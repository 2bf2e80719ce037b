"""Hands a request to `query`, the query to the server's parts, and what comes back to a response.

Flask stops here: nothing below knows a request. A blueprint computes no value and knows no provider.
"""
