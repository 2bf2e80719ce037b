"""Which provider answers a query, within which bounds, and what happens when it does not. Knows no HTTP.

A read goes through `Router` (who is asked, in which order) and `Instance` (cache, single flight, breaker, bulkhead,
checks); `Fallback` says what is answered where there is nothing.
"""
