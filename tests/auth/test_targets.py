"""What was judged is what is served: through gunicorn's parser, the filter, the routes and the short path."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from gunicorn.http import wsgi
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser
from werkzeug.test import run_wsgi_app

from metrics_apiserver.auth.request_info import RequestInfo
from metrics_apiserver.environ import HEADER_PAIRS, PEER_CERTIFICATE
from metrics_apiserver.model.users import UserInfo
from metrics_apiserver.server import MetricsServer
from metrics_apiserver.serving.heads import plain_get
from tests.answering.plain import plain
from tests.auth.conftest import Reviewing
from tests.auth.making import der
from tests.auth.targets import EXTERNAL, IDENTITIES, METHODS, QUEUE, decide, request_of, target
from tests.serving.test_heads import our_settings

SLICES = 8
TARGETS_OF_A_SLICE = 400
OPEN = {"/healthz", "/livez", "/readyz", "/healthz/", "/livez/", "/readyz/"}


class Seen(NamedTuple):
    """What the server did with one request: the status (0: gunicorn refused it), what was judged and what was run."""

    status: int
    content_type: str
    judged: list[RequestInfo]
    run: list[str]


class Watched:
    """A server that notes which path was judged, and which one the view was run for."""

    def __init__(self, server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self._config = our_settings()
        self._judged: list[RequestInfo] = []
        self._run: list[str] = []
        assert server.delegation is not None
        authorizer = server.delegation.authorizer
        authorize = authorizer.authorize

        def noting(user: UserInfo, info: RequestInfo, *, may_wait: bool) -> None:
            self._judged.append(info)
            authorize(user, info, may_wait=may_wait)

        monkeypatch.setattr(authorizer, "authorize", noting)
        for endpoint, view in list(server.view_functions.items()):
            monkeypatch.setitem(server.view_functions, endpoint, self._noting(view))

    def _noting(self, view: Callable[..., Any]) -> Callable[..., Any]:
        def noted(**arguments: Any) -> Any:
            from flask import request

            # As Flask routed it: its own reading of the environ, not ours.
            self._run.append(request.path)
            return view(**arguments)

        return noted

    def send(self, received: bytes, certificate: bytes | None) -> Seen:
        self._judged, self._run = [], []
        try:
            parsed = next(RequestParser(self._config, iter([received]), ("127.0.0.1", 1)))
        except (ParseException, StopIteration):
            return Seen(0, "", [], [])
        _, environ = wsgi.create(parsed, None, ("127.0.0.1", 1), ("127.0.0.1", 6443), self._config)
        environ |= {HEADER_PAIRS: tuple(parsed.headers), PEER_CERTIFICATE: certificate}
        body, status, headers = run_wsgi_app(self.server, environ, buffered=True)
        b"".join(body)
        return Seen(int(status[:3]), headers["Content-Type"], self._judged, self._run)

    def at_once(self, received: bytes, certificate: bytes | None) -> int | None:
        """Ask as the worker's loop does; the status, None where it is left to a thread."""
        head = plain_get(received)
        made = plain(self.server, head.target, head.pairs, certificate) if head is not None else None
        return made.code if made is not None else None


@pytest.fixture(name="watched")
def _watched(cluster_server: MetricsServer, reviewing: Reviewing, monkeypatch: pytest.MonkeyPatch) -> Watched:
    reviewing.decide = decide
    return Watched(cluster_server, monkeypatch)


@pytest.mark.parametrize("seed", range(SLICES))
def test_no_target_is_judged_as_one_path_and_served_as_another(watched: Watched, seed: int) -> None:
    source = random.Random(seed)
    for _ in range(TARGETS_OF_A_SLICE):
        method, raw = source.choice(METHODS), target(source)
        for identity, (fields, certificate) in IDENTITIES.items():
            received = request_of(method, raw, fields)
            shown = der(certificate) if certificate else None
            seen = watched.send(received, shown)
            told = f"{method} {raw} as {identity}: {seen}"
            assert seen.status not in range(300, 400), told
            assert seen.status < 500, told
            assert "html" not in seen.content_type, told
            assert not seen.run or [info.path for info in seen.judged] == seen.run, told
            if seen.status == 200 and seen.judged[-1].is_resource:
                # A watch, or one name of a list, is less than what is served.
                assert seen.judged[-1].verb in ("get", "list"), told
                assert seen.judged[-1].verb == "get" or not seen.judged[-1].name, told
            if not raw.startswith("/"):
                assert seen.status in (0, 400), told
                assert not seen.run, told
            if identity not in ("a tenant", "a master") and seen.status == 200:
                assert seen.run[0] in OPEN, told
            at_once = watched.at_once(received, shown)
            assert at_once in (None, seen.status), told


@pytest.mark.parametrize(
    ("method", "raw", "identity"),
    [
        pytest.param("GET", "a:/metrics?://x/healthz", "anonymous", id="our figures, judged as a probe"),
        pytest.param("GET", "a:/debug/reads?://x/healthz", "anonymous", id="what was read, judged as a probe"),
        pytest.param("GET", "a:/apis?://x/healthz", "anonymous", id="the groups, judged as a probe"),
        pytest.param("GET", "a:/openapi/v2?://x/healthz", "anonymous", id="a document, judged as a probe"),
        pytest.param(
            "GET",
            f"a:{EXTERNAL.rpartition('/')[0]}/v1beta1/x?://h/openapi/x/y/namespaces/shop/my-external-metric",
            "a ServiceAccount without any right",
            id="a metric, judged as a document",
        ),
        pytest.param("POST", f"a:/write-metrics/x?://h{QUEUE[14:]}", "a tenant", id="a write, judged as another"),
        pytest.param("OPTIONS", "*", "a master", id="the asterisk"),
        pytest.param("GET", "http://localhost/metrics", "a master", id="the absolute form"),
    ],
)
def test_what_does_not_begin_with_a_slash_is_a_bad_request(
    watched: Watched, method: str, raw: str, identity: str
) -> None:
    """Before anybody is judged, and whoever it is."""
    fields, certificate = IDENTITIES[identity]
    seen = watched.send(request_of(method, raw, fields), der(certificate) if certificate else None)
    assert (seen.status, seen.judged, seen.run) == (400, [], [])
