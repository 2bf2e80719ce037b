"""Who asks, and may they: front proxy, client certificate, bearer token, anonymous; then a SubjectAccessReview.

What belongs here is judging a request by its head: its header fields, the peer's certificate, its method and target.
No metric, no provider and no answer's form; the cluster is asked through protocols that `kube` fits. Only `filter`
knows Flask: everything else can be called for a request that never reaches it.
"""
