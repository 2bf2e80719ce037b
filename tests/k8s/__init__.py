"""What people install in a cluster: the manifests on a real API server, the page's commands, the image's steps."""
