"""Mirrors app/ and providers/; conformance/: recorded answers; controlplane/: the real cluster; live/: real gunicorn."""
