"""`providers:` in the file: every key, every form, and what is said of a wrong one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.configuration import read
from metrics_apiserver.model.quantity import Quantity
from metrics_apiserver.settings import (
    BreakerSettings,
    MatchSettings,
    MetricPolicySettings,
    PolicySettings,
    ProviderSettings,
    Substitute,
    SubstituteSettings,
)
from tests.conftest import environ

ENTRY = "providers:\n- name: a\n  kind: x\n"
EMPTY, ERROR = SubstituteSettings(Substitute.EMPTY), SubstituteSettings(Substitute.ERROR)
THREE = SubstituteSettings(Substitute.VALUE, value=Quantity.of(3))
FIVE_MINUTES = SubstituteSettings(Substitute.LAST, seconds=300.0)


def load(folder: Path, text: str) -> tuple[tuple[ProviderSettings, ...], list[str]]:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    settings, problems = read(environ(config=str(path)))
    return settings.providers, [str(problem).replace(str(path), "FILE") for problem in problems]


def policy(**changes: Any) -> dict[str, Any]:
    return {"policy": PolicySettings(**changes)}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("", {}, id="the two that have to be there"),
        pytest.param("options: {file: queues.py}", {"options": {"file": "queues.py"}}, id="options"),
        pytest.param("onNotFound: next", {}, id="onNotFound, as it is by itself"),
        pytest.param("onNotFound: stop", {"next_on_not_found": False}, id="onNotFound: stop"),
        pytest.param("timeout: 2.5s", policy(timeout=2.5), id="timeout with a fraction"),
        pytest.param("timeout: 250ms", policy(timeout=0.25), id="timeout in milliseconds"),
        pytest.param("cache: 1m30s", policy(cache=90.0), id="cache"),
        pytest.param("cache: 0s", {}, id="no cache, as it is by itself"),
        pytest.param("maxAge: 5m", policy(max_age=300.0), id="maxAge"),
        pytest.param("maxAge: null", {}, id="maxAge of any"),
        pytest.param("onEmpty: empty", {}, id="onEmpty: empty, as it is by itself"),
        pytest.param("onEmpty: error", policy(on_empty=ERROR), id="onEmpty: error"),
        pytest.param("onEmpty: zero", policy(on_empty=SubstituteSettings(Substitute.ZERO)), id="onEmpty: zero"),
        pytest.param('onEmpty: {value: "3"}', policy(on_empty=THREE), id="a value as a text"),
        pytest.param("onEmpty: {value: 3}", policy(on_empty=THREE), id="a value as a number"),
        pytest.param('onEmpty: "value: 3"', policy(on_empty=THREE), id="the whole as a text"),
        pytest.param(
            "onEmpty: {value: 1.5Gi}",
            policy(on_empty=SubstituteSettings(Substitute.VALUE, value=Quantity.parse("1536Mi"))),
            id="a value with a suffix",
        ),
        pytest.param("onEmpty: {last: 5m}", policy(on_empty=FIVE_MINUTES), id="last"),
        pytest.param('onEmpty: "last:5m"', policy(on_empty=FIVE_MINUTES), id="last as a text, without a blank"),
        pytest.param("onError: empty", policy(on_error=EMPTY), id="onError: empty"),
        pytest.param("onError: error", {}, id="onError: error, as it is by itself"),
        pytest.param("onError: {last: 5m}", policy(on_error=FIVE_MINUTES), id="onError: last"),
        pytest.param("concurrency: 2", {"concurrency": 2}, id="concurrency"),
        pytest.param("breaker: {failures: 3}", {"breaker": BreakerSettings(failures=3)}, id="a breaker's failures"),
        pytest.param("breaker: {reset: 1m}", {"breaker": BreakerSettings(reset=60.0)}, id="a breaker's reset"),
        pytest.param("match: {api: custom}", {"match": (MatchSettings(api="custom"),)}, id="one rule, as a mapping"),
        pytest.param("match: {}", {"match": (MatchSettings(),)}, id="a rule that says nothing"),
        pytest.param("match: []", {}, id="no rule"),
        pytest.param(
            'match: [{api: external, namespaces: [shop, "team-*"], metrics: queue-*, label: provider=queues}, {}]',
            {
                "match": (
                    MatchSettings("external", ("shop", "team-*"), (), ("queue-*",), "provider=queues"),
                    MatchSettings(),
                )
            },
            id="two rules, a list in brackets and one name alone",
        ),
        pytest.param(
            'match: {resources: [pods, "*.apps"], label: example.com/team}',
            {"match": (MatchSettings(resources=("pods", "*.apps"), label="example.com/team"),)},
            id="resources, and a label's key",
        ),
    ],
)
def test_key(tmp_path: Path, key: str, expected: dict[str, Any]) -> None:
    """What is left out has the settings' default."""
    assert load(tmp_path, f"{ENTRY}  {key}\n") == ((ProviderSettings("a", "x", **expected),), [])


def test_policies_of_metrics_are_complete(tmp_path: Path) -> None:
    """What an entry leaves out is the instance's."""
    text = """  timeout: 2s
  cache: 10s
  maxAge: 5m
  onEmpty: zero
  onError: {value: 3}
  metrics:
    - {match: ["slow-*", slower], timeout: 5s, cache: 30s}
    - {match: fresh, maxAge: null, onEmpty: empty, onError: error}
"""
    ((provider,), problems) = load(tmp_path, ENTRY + text)
    whole = PolicySettings(2.0, 10.0, 300.0, SubstituteSettings(Substitute.ZERO), THREE)
    assert problems == []
    assert provider.policy == whole
    assert provider.metrics == (
        MetricPolicySettings(("slow-*", "slower"), dataclasses.replace(whole, timeout=5.0, cache=30.0)),
        MetricPolicySettings(("fresh",), dataclasses.replace(whole, max_age=None, on_empty=EMPTY, on_error=ERROR)),
    )


WORDS = "Must be empty, error, zero, value: QUANTITY or last: DURATION."


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        pytest.param("typo: 1", "FILE:4: providers[0].typo: There is no such key.", id="an unknown key"),
        pytest.param(
            "on_empty: zero",
            "FILE:4: providers[0].on_empty: There is no such key; did you mean onEmpty?",
            id="snake case",
        ),
        pytest.param("onNotFound: go", "FILE:4: providers[0].onNotFound: Must be one of: next, stop.", id="no word"),
        pytest.param("timeout: 2", "FILE:4: providers[0].timeout: Not a duration", id="a number for a duration"),
        pytest.param("timeout: 0s", "FILE:4: providers[0].timeout: Must be at least 1ms", id="no time at all"),
        pytest.param("cache: -1s", "FILE:4: providers[0].cache: Not a duration", id="below zero"),
        pytest.param("cache: null", "FILE:4: providers[0].cache: Field may not be null.", id="nothing"),
        pytest.param("maxAge: 0s", "FILE:4: providers[0].maxAge: Must be at least 1ms", id="an age of zero"),
        pytest.param("onEmpty: nothing", f"FILE:4: providers[0].onEmpty: {WORDS}", id="another word"),
        pytest.param("onEmpty: value", "FILE:4: providers[0].onEmpty: quantities must match", id="no value"),
        pytest.param("onEmpty: 3", f"FILE:4: providers[0].onEmpty: {WORDS}", id="a number alone"),
        pytest.param("onEmpty: {value: 3, last: 5m}", f"FILE:4: providers[0].onEmpty: {WORDS}", id="two at once"),
        pytest.param("onEmpty: {}", f"FILE:4: providers[0].onEmpty: {WORDS}", id="an empty mapping"),
        pytest.param("onEmpty: {value: x}", "FILE:4: providers[0].onEmpty: quantities must match", id="no quantity"),
        pytest.param("onEmpty: {value: .nan}", "FILE:4: providers[0].onEmpty: ", id="not a number"),
        pytest.param("onError: {last: 5}", "FILE:4: providers[0].onError: Not a duration", id="no duration"),
        pytest.param("concurrency: 0", "FILE:4: providers[0].concurrency: Must be greater", id="no call at all"),
        pytest.param("concurrency: 2.5", "FILE:4: providers[0].concurrency: Not a valid integer.", id="half a call"),
        pytest.param("breaker: 5", "FILE:4: providers[0].breaker: Must be a mapping.", id="a breaker as a number"),
        pytest.param("breaker:\n    failures: 0", "FILE:5: providers[0].breaker.failures: Must be", id="no failure"),
        pytest.param("breaker:\n    typo: 0", "FILE:5: providers[0].breaker.typo: There is no", id="a breaker's typo"),
        pytest.param("options: [a]", "FILE:4: providers[0].options: Not a valid mapping type.", id="options as a list"),
        pytest.param("match: pods", "FILE:4: providers[0].match: Must be a mapping.", id="a text for a rule"),
        pytest.param("match:\n  - {}\n  - x", "FILE:6: providers[0].match[1]: Must be a mapping.", id="in a list"),
        pytest.param("match:\n    api: both", "FILE:5: providers[0].match.api: Must be one of", id="no such API"),
        pytest.param("match:\n  - {}\n  - api: both", "FILE:6: providers[0].match[1].api: Must be", id="the second"),
        pytest.param(
            "match: {metric: x}",
            "FILE:4: providers[0].match.metric: There is no such key; did you mean metrics?",
            id="its typo",
        ),
        pytest.param("match: {metrics: []}", "FILE:4: providers[0].match.metrics: Must not be empty", id="no glob"),
        pytest.param("match: {metrics: [1]}", "FILE:4: providers[0].match.metrics: Not a list of texts", id="numbers"),
        pytest.param(
            "match: {api: external, resources: pods}",
            "FILE:4: providers[0].match.resources: An external metric belongs to no resource.",
            id="a rule that nothing fits",
        ),
        pytest.param("match: {label: =x}", "FILE:4: providers[0].match.label: Not a label's key", id="no key"),
        pytest.param("match: {label: a b}", "FILE:4: providers[0].match.label: Not a label's key", id="a blank"),
        pytest.param("match: {label: a==b}", "FILE:4: providers[0].match.label: Not a glob", id="two equals signs"),
        pytest.param("metrics:\n  - cache: 1s", "FILE:5: providers[0].metrics[0].match: Missing", id="for no metric"),
        pytest.param("metrics: {match: a, name: b}", "FILE:4: providers[0].metrics.name: There is no", id="not there"),
        pytest.param(
            "metrics:\n    - match: a\n      timeout: x", "FILE:6: providers[0].metrics[0].timeout: Not", id="a policy"
        ),
        pytest.param("name: b", "FILE:4: the key name is given twice, first on line 2", id="a key twice"),
    ],
)
def test_problem(tmp_path: Path, key: str, problem: str) -> None:
    """One sentence, with the line and the place."""
    _, problems = load(tmp_path, f"{ENTRY}  {key}\n")
    (found,) = problems
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("providers: []\n", ["FILE:1: no provider is configured"], id="an empty list"),
        pytest.param("providers:\n", ["FILE:1: providers: a list of instances is expected"], id="nothing"),
        pytest.param("providers: [x]\n", ["FILE:1: providers[0]: Must be a mapping."], id="a name alone"),
        pytest.param(
            "providers:\n- {}\n",
            ["FILE:2: providers[0].name: Missing data", "FILE:2: providers[0].kind: Missing data"],
            id="an empty entry",
        ),
        pytest.param(
            f"{ENTRY}- {{kind: x,\n   name: a}}\n", ["FILE:5: providers: the name a is given twice"], id="a name twice"
        ),
        pytest.param(
            f"{ENTRY}  match: {{api: both, label: a b}}\n",
            ["FILE:4: providers[0].match.api: Must be one of", "FILE:4: providers[0].match.label: Not a label's key"],
            id="a rule with two wrong keys",
        ),
        pytest.param(
            f"{ENTRY}  typo: 1\n- {{kind: x, name: a, cache: 1}}\n",
            [
                "FILE:4: providers[0].typo: There is no such key.",
                "FILE:5: providers[1].cache: Not a duration",
                "FILE:5: providers: the name a is given twice",
            ],
            id="a name twice, of two that are wrong besides",
        ),
    ],
)
def test_problem_of_the_list(tmp_path: Path, text: str, expected: list[str]) -> None:
    _, problems = load(tmp_path, text)
    assert len(problems) == len(expected)
    assert all(problem.startswith(begin) for problem, begin in zip(problems, expected, strict=True))
