"""The Kubernetes custom and external metrics API server; a request goes left to right through the folder names.

socket → serving → blueprints → dispatch → providers → schemas → bytes. Imports point one way, down
(`lint-imports` checks it). `metrics_apiserver.provider` is the public contract; everything else is ours to change.
"""
