"""What a benchmark fails with."""

__all__ = ["BenchmarkError"]


class BenchmarkError(Exception):
    """The run cannot go on; the text says why."""
