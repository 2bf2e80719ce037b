"""What `gunicorn wsgi:app` finds by itself; everything is in metrics_apiserver.serving.config."""

import sys

try:
    # gunicorn reads this module's names, and the __all__ there is their list.
    from metrics_apiserver.serving.config import *  # noqa: F403
except ModuleNotFoundError as error:
    sys.exit(f"metrics-apiserver is not installed for this Python ({error}): pip install -e .")
