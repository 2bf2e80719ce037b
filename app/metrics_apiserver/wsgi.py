"""What gunicorn serves: `gunicorn metrics_apiserver.wsgi:app -c python:metrics_apiserver.serving.config`."""

import os
import sys
from functools import partial

from metrics_apiserver.configuration import START_FAILED, begin, keep, remembered, say_error
from metrics_apiserver.factory import create_app
from metrics_apiserver.registry import ProviderError

# gunicorn's own code for a worker that cannot boot: its master gives up at once instead of trying again for ever. Ours
# does that by itself, as long as nothing has served (`serving.hooks`).
_WORKER_BOOT_ERROR = 3

# gunicorn alone would serve plain HTTP, and start nothing of what runs in the background. Another server may load this
# module as it likes.
if "gunicorn.arbiter" in sys.modules and not remembered():
    sys.stderr.write(
        "metrics-apiserver: gunicorn runs without this server's configuration, and would serve plain HTTP: use"
        " `metrics-apiserver serve`, or `gunicorn metrics_apiserver.wsgi:app -c"
        " python:metrics_apiserver.serving.config`\n"
    )
    sys.exit(_WORKER_BOOT_ERROR)

try:
    app = begin(os.environ, partial(create_app, keep=keep))
except (ProviderError, ValueError) as problem:
    say_error(problem)
    sys.exit(START_FAILED)
