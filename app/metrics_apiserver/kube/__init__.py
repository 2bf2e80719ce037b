"""The cluster: its resources and objects, from a real one or from a file, and what its reviews say of users.

The only package that imports `kubernetes`. It fits the mapper and the object lister that `provider` declares and
does not import them: the factory joins the two. Every failure of the client library is caught and renamed here. No
HTTP of our own server and no metric belongs here, and no thread or connection starts before `start()`.
"""
