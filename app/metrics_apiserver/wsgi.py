"""What gunicorn serves: `gunicorn metrics_apiserver.wsgi:app -c python:metrics_apiserver.serving.config`."""

import os
import sys

from metrics_apiserver.factory import create_app
from metrics_apiserver.registry import ProviderError
from metrics_apiserver.serving import startup

# gunicorn's own code for a worker that cannot boot: the master gives up at once instead of trying again for ever.
_WORKER_BOOT_ERROR = 3

try:
    app = create_app(startup.load_for_worker(os.environ))
except (ProviderError, ValueError) as problem:
    sys.stderr.write(f"metrics-apiserver: {problem}\n")
    sys.exit(_WORKER_BOOT_ERROR)
