"""The functions provider: it polls and answers what an author's functions declare (docs/functions.md).

What belongs here: loading the author's file, calling the functions in time, and reading what they gave. Nothing that
an author has to import.
"""

from metrics_apiserver_providers.functions.provider import FunctionsProvider

__all__ = ["FunctionsProvider"]
