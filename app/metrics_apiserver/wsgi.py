"""What gunicorn serves: `gunicorn metrics_apiserver.wsgi:app -c python:metrics_apiserver.serving.config`."""

import os
import sys
from functools import partial

from metrics_apiserver.configuration import begin, keep
from metrics_apiserver.factory import create_app
from metrics_apiserver.registry import ProviderError

# gunicorn's own code for a worker that cannot boot: the master gives up at once instead of trying again for ever.
_WORKER_BOOT_ERROR = 3

try:
    app = begin(os.environ, partial(create_app, keep=keep))
except (ProviderError, ValueError) as problem:
    sys.stderr.write(f"metrics-apiserver: {problem}\n")
    sys.exit(_WORKER_BOOT_ERROR)
