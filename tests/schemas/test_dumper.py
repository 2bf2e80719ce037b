"""The compiled dump: whatever marshmallow writes of a value, it writes too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, fields

from metrics_apiserver.model.groups import EXTERNAL_METRICS
from metrics_apiserver.model.metrics import ExternalMetricValue, MetricIdentifier, MetricValue
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.model.resources import ObjectReference
from metrics_apiserver.model.selectors import parse
from metrics_apiserver.schemas.dumper import dumper
from metrics_apiserver.schemas.table import API_VERSIONS, APIVersion

NAMES = st.text(max_size=8)
TIMES = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis adds the time zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))]),
)
QUANTITIES = st.integers(-(10**12), 10**12).map(Quantity.from_milli)
WINDOWS = st.none() | st.integers(0, 10**6)
SELECTORS = st.none() | st.sampled_from(
    [parse(text).to_label_selector() for text in ("a=b", "a in (b,c),!d,e", "x!=y,z=1", "q")]
)
CUSTOM = st.builds(
    MetricValue,
    st.builds(ObjectReference, NAMES, NAMES, NAMES, NAMES),
    st.builds(MetricIdentifier, NAMES, SELECTORS),
    TIMES,
    QUANTITIES,
    WINDOWS,
)
EXTERNAL = st.builds(ExternalMetricValue, NAMES, TIMES, QUANTITIES, st.dictionaries(NAMES, NAMES, max_size=3), WINDOWS)


@pytest.mark.parametrize("row", API_VERSIONS, ids=lambda row: row.group_version)
@given(data=st.data())
def test_same_document_as_the_schema_of_every_version(row: APIVersion, data: st.DataObject) -> None:
    """Content and order of the keys; a new version of the API is tested by being in the table."""
    values = data.draw(st.lists(EXTERNAL if row.group == EXTERNAL_METRICS else CUSTOM, max_size=3))
    expected = row.list_schema.dump({"items": values})
    written = row.dump_list(values)
    assert written == expected
    assert repr(written) == repr(expected)


@dataclass(frozen=True)
class _Thing:
    number: int | None
    flag: bool
    tags: list[str]
    anything: Any


class _ThingSchema(Schema):
    number = fields.Integer(allow_none=True)
    flag = fields.Boolean()
    tags = fields.List(fields.String(), data_key="labels")
    anything = fields.Raw()
    twice = fields.Method("double")

    def double(self, obj: _Thing) -> int:
        return 2 * (obj.number or 0)


@pytest.mark.parametrize(
    "thing",
    [_Thing(1, True, ["a", "b"], {"x": [1]}), _Thing(None, False, [], None)],
    ids=["everything is there", "nothing is"],
)
def test_fields_that_are_not_known_are_left_to_marshmallow(thing: _Thing) -> None:
    """A new kind of field is slow at first, never wrong."""
    assert dumper(_ThingSchema())(thing) == _ThingSchema().dump(thing)


def test_value_of_the_wrong_type_is_still_written_as_the_schema_says() -> None:
    """A provider that lies about a type does not change the wire."""
    value = ExternalMetricValue(7, datetime(2026, 1, 1, tzinfo=UTC), Quantity.of(1), {"a": 3})  # type: ignore[arg-type,dict-item]  # the lie
    (row,) = (row for row in API_VERSIONS if row.group == EXTERNAL_METRICS)
    (item,) = row.dump_list([value])["items"]
    assert (item["metricName"], item["metricLabels"]) == ("7", {"a": "3"})
