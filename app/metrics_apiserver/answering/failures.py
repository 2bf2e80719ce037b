"""Every failure is answered with a Kubernetes `Status`, in the form that the client reads."""

from __future__ import annotations

import logging
from http import HTTPStatus

from metrics_apiserver.answering.request import Request
from metrics_apiserver.errors import InternalServerError, StatusError
from metrics_apiserver.exchange import Fields, Response, common_fields
from metrics_apiserver.logs import shown_method, shown_target
from metrics_apiserver.logs.seldom import Seldom
from metrics_apiserver.schemas.encoders import encode
from metrics_apiserver.schemas.status import retry_fields, status_document

__all__ = ["Failures"]


class Failures:
    """Answers failures; the causes that a client is not told are logged, each once in a while."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said = Seldom()

    def answer(self, error: StatusError, request: Request, *, code: int = 0, reason: str = "") -> Response:
        """Return the answer to a failed request, with another code and reason than the error's if they are given."""
        code = code or error.code
        # A client that is refused for its own mistake knows why, or is not to know; of trouble here people are told.
        if error.cause and error.code >= HTTPStatus.INTERNAL_SERVER_ERROR and self._said.allows(error.whole):
            self._logger.warning("audit-id %s: %s", request.audit_id, error.whole)
        form = request.form_of_failure()
        body = encode(
            status_document(error, code=code, reason=reason), media_type=form.media_type.name, pretty=form.pretty
        )
        return Response(code, form.media_type.content_type, body, _fields(error, code, request.audit_id))

    def answer_bug(self, error: Exception, request: Request) -> Response:
        """Return the answer to a request that failed for a mistake in this server; the log has the error."""
        asked = shown_method(request.method), shown_target(request.target)
        self._logger.error("audit-id %s: %s %s failed", request.audit_id, *asked, exc_info=error)
        sentence = f"an internal error occurred; the server's log has it under the audit id {request.audit_id}"
        return self.answer(InternalServerError(sentence), request)


def _fields(error: StatusError, code: int, audit_id: str) -> Fields:
    fields = (*retry_fields(error), *common_fields(audit_id))
    if code == HTTPStatus.UNAUTHORIZED:
        # RFC 9110 15.5.2 asks for it: a bearer token is what a client can send again.
        fields = (*fields, ("WWW-Authenticate", "Bearer"))
    return fields
