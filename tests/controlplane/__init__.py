"""A real control plane for tests: etcd, kube-apiserver and kube-controller-manager as processes on loopback.

Here belong: building those programs, their certificates and flags, starting and stopping them, and the stand-in for
the kubelet. Not here: anything that knows our server or its API; the tests which need a cluster bring that along.
"""
