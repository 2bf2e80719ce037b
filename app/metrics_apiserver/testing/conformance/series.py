"""The selectors of series that every provider has to honour, made for the labels that an author declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from metrics_apiserver.model import selectors
from metrics_apiserver.model.selectors import Selector

__all__ = ["SELECTORS", "UNMATCHED", "selector_of"]

# With the first declared label in the place of key and value.
SELECTORS = pytest.mark.parametrize(
    "form",
    [
        pytest.param("", id="no selector"),
        pytest.param("{key}={value}", id="equality"),
        pytest.param("{key}!={value}", id="inequality"),
        pytest.param("{key} in ({value},conformance-nobody)", id="in"),
        pytest.param("{key} notin ({value},conformance-nobody)", id="notin"),
        pytest.param("{key}", id="exists"),
        pytest.param("!{key}", id="does not exist"),
        pytest.param("{key}={value},conformance-no-such-label", id="one of two requirements"),
        pytest.param("{key}=conformance-nobody", id="a value that nobody has"),
    ],
)
UNMATCHED = "conformance-no-such-label=conformance-nobody"


def selector_of(form: str, series: Iterable[Mapping[str, str]]) -> Selector:
    """Fill a form with the first label that there is; without labels any will do."""
    key, value = next((label for labels in series for label in sorted(labels.items())), ("conformance", "any"))
    return selectors.parse(form.format(key=key, value=value))
