"""What gunicorn serves: `gunicorn wsgi:app`."""

import sys

from app.factory import create_app
from app.registry import ProviderError
from app.settings import Settings

# gunicorn's own code for a worker that cannot boot: the master gives up at once instead of trying again for ever.
_WORKER_BOOT_ERROR = 3

try:
    app = create_app(Settings.from_environ())
except (ProviderError, ValueError) as problem:
    sys.stderr.write(f"metrics-apiserver: {problem}\n")
    sys.exit(_WORKER_BOOT_ERROR)
