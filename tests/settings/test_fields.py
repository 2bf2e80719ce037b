"""The fields that providers use for their own options."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from metrics_apiserver.provider import DurationField, Options, Quantity, QuantityField


class Poll(Options):
    """Options as a provider declares them."""

    threshold = QuantityField(required=True)
    interval = DurationField(least=1, load_default=30.0, metadata={"help": "How often."})
    pause = DurationField()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"threshold": "1500m"}, {"threshold": Quantity.parse("1.5"), "interval": 30.0}, id="defaults"),
        pytest.param(
            {"threshold": 2, "interval": "1.5s", "pause": "0s"},
            {"threshold": Quantity.of(2), "interval": 1.5, "pause": 0.0},
            id="all, and durations are seconds",
        ),
    ],
)
def test_options(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert Poll().load(given) == expected


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        pytest.param({"threshold": "x"}, {"threshold"}, id="no quantity"),
        pytest.param({"threshold": float("nan")}, {"threshold"}, id="not a number"),
        pytest.param({"threshold": True}, {"threshold"}, id="a truth value"),
        pytest.param({"threshold": 1, "interval": "500ms"}, {"interval"}, id="less than the least"),
        pytest.param({"threshold": 1, "interval": "8761h"}, {"interval"}, id="more than a year"),
        pytest.param({"threshold": 1, "pause": 3, "interval": ""}, {"pause", "interval"}, id="no duration"),
    ],
)
def test_wrong_options(given: dict[str, Any], messages: set[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Poll().load(given)
    assert set(caught.value.messages) == messages
