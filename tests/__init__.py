"""Mirrors app/ and providers/. conformance/: the record; controlplane/: the real cluster; live/: real gunicorn."""
