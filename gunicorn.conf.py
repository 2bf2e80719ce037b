"""What `gunicorn wsgi:app` finds by itself; everything is in app.serving.config."""

from app.serving.config import *  # noqa: F403 - gunicorn reads this module's names, and its __all__ is the list
