"""Mirrors app/ and providers/. conformance/: the record; controlplane/: the real cluster; k8s/: the manifests on it;
live/: real gunicorn.
"""
