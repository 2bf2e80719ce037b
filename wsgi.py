"""`gunicorn wsgi:app` in this folder serves what `gunicorn metrics_apiserver.wsgi:app` serves anywhere."""

import sys

try:
    from metrics_apiserver.wsgi import app
except ModuleNotFoundError as error:
    sys.exit(f"metrics-apiserver is not installed for this Python ({error}): pip install -e .")

__all__ = ["app"]
