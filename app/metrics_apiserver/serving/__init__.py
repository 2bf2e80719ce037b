"""The socket: gunicorn's settings and hooks, the worker, TLS and the serving certificate.

What a request asks for is not decided here: this folder knows bytes, deadlines and header pairs, but no path, no header
name and no metric. It imports neither Flask nor a provider; the WSGI application is whatever gunicorn loads.
"""
