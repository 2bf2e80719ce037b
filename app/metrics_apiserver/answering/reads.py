"""Reads of metrics: the providers answer, and the answer is written in the version and the form that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from metrics_apiserver.answering.asked import Asked
from metrics_apiserver.answering.request import Form, Request
from metrics_apiserver.answering.turns import Turns
from metrics_apiserver.apis.api import Query, Values
from metrics_apiserver.errors import MethodNotAllowedError, WouldWaitError
from metrics_apiserver.exchange import Response, common_fields
from metrics_apiserver.model.users import UserInfo
from metrics_apiserver.schemas.encoders import encode
from metrics_apiserver.schemas.table import APIVersion

__all__ = ["MetricReads", "Reader", "Served"]

# Is told the values of every answer.
Served = Callable[[Values], None]

# An answer with more items waits for its turn, of all APIs together.
_LARGE = 5000


class Reader(Protocol):
    """Answers reads; `dispatch.router.Router` fits it."""

    @property
    def wants_user(self) -> bool:
        """Whether an answer may depend on who asks."""

    def read(self, query: Query, *, audit_id: str, user: UserInfo | None = None, may_wait: bool = True) -> Values:
        """Return the values of a metric. Raises StatusError, and WouldWaitError."""


class MetricReads:
    """Answers reads of metrics; `served` has an observer of values for each API group."""

    def __init__(self, reader: Reader, served: Mapping[str, Served]) -> None:
        self._reader = reader
        self._served = served
        self.turns = Turns()

    def respond(self, asked: Asked, request: Request, user: UserInfo | None, *, may_wait: bool) -> Response:
        """Answer a read. Raises StatusError, and WouldWaitError."""
        assert asked.row is not None
        form = request.form()
        query = asked.query()
        if request.method != "GET":
            raise MethodNotAllowedError
        asker = user if self._reader.wants_user else None
        values = self._reader.read(query, audit_id=request.audit_id, user=asker, may_wait=may_wait)
        if len(values) <= _LARGE:
            body = _written(asked.row, values, form)
        elif may_wait:
            with self.turns.turn():
                body = _written(asked.row, values, form)
        else:
            raise WouldWaitError
        self._served[asked.row.group](values)
        return Response(200, form.media_type.content_type, body, common_fields(request.audit_id))


def _written(row: APIVersion, values: Values, form: Form) -> bytes:
    return encode(row.dump_list(values), media_type=form.media_type.name, pretty=form.pretty)
