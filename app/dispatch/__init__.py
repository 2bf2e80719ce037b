"""Which provider answers a query, and what happens when it does not. Knows no HTTP."""
