"""A provider with a fault fails the conformance kit, and only where the fault is; the failure says what to change."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.testing.faulty import Kit

FAULTY = Path(__file__).parent / "faulty.py"


@dataclass
class Outcome:
    """How the checks of one class went: test (without its parameters) → what it says."""

    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)


@pytest.fixture(name="outcomes", scope="module")
def _outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Run the kit as an author does: a pytest of its own, which has the plugin from the entry point."""
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(folder / "pytest.ini")]
    done = subprocess.run(
        [*command, "--import-mode=importlib", f"--junitxml={folder / 'outcomes.xml'}", str(FAULTY)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: defaultdict[str, Outcome] = defaultdict(Outcome)
    for case in ElementTree.parse(folder / "outcomes.xml").iter("testcase"):  # noqa: S314 - pytest's own
        outcome = found[case.get("classname", "").rpartition(".")[2]]
        name = case.get("name", "").partition("[")[0]
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is not None:
            outcome.failed[name] = problem.text or ""
        elif case.find("skipped") is None:
            outcome.passed.add(name)
    return dict(found)


REFUSED = {
    "test_autoscaler_reads_the_custom_metric": "gave a wrong answer",
    "test_autoscaler_reads_the_external_metric": "gave a wrong answer",
}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param("TestNoFault", {}, id="no fault"),
        pytest.param(
            "TestNumbersInsteadOfValues",
            {
                "test_by_name_read_gives_one_metric_value": "gave 3: make it with metric_value(...)",
                "test_selector_read_gives_a_list_of_metric_values": "has 3 in its list: make it with metric_value(...)",
                "test_external_read_gives_a_list_of_external_metric_values": "make it with ExternalMetricValue(...)",
                **REFUSED,
            },
            id="numbers instead of values",
        ),
        pytest.param(
            "TestGeneratorInsteadOfList",
            {"test_selector_read_gives_a_list_of_metric_values": "give a list"},
            id="a generator instead of a list",
        ),
        pytest.param(
            "TestNaiveTimes",
            {
                "test_times_of_custom_values_have_a_zone": "has no time zone: give the time of the sample",
                "test_times_of_external_values_have_a_zone": "has no time zone: give the time of the sample",
                **REFUSED,
            },
            id="times without a zone",
        ),
        pytest.param(
            "TestNaN",
            {
                "test_custom_values_are_quantities": "the value is nan: make it with Quantity.of(...)",
                "test_external_values_are_quantities": "the value is nan: make it with Quantity.of(...)",
                **REFUSED,
            },
            id="NaN",
        ),
        pytest.param(
            "TestAnotherObject",
            {
                "test_object_that_is_asked_for_is_the_one_that_is_answered": "use the name that is given",
                "test_selector_read_has_each_matching_object_once": "one value is expected for each object",
            },
            id="another object than was asked for",
        ),
        pytest.param(
            "TestAnotherMetric",
            {"test_external_values_name_the_metric_that_was_asked_for": "asked for depth, and answered backend.depth"},
            id="another metric than was asked for",
        ),
        pytest.param(
            "TestEveryObject",
            {
                "test_selector_that_matches_no_object_gives_an_empty_list": "an empty list is expected",
                "test_selector_that_matches_many_objects_gives_those_with_a_value": "that do not match the selector",
            },
            id="every object, whatever the selector",
        ),
        pytest.param(
            "TestEverySeries",
            {
                "test_selector_of_external_series_is_honoured": "metric_selector.matches(labels) is false",
                "test_selector_that_matches_no_series_gives_an_empty_list": "no series has the label that is asked for",
            },
            id="every series, whatever the selector",
        ),
        pytest.param(
            "TestEqualityOnly",
            {"test_metric_selector_of_a_custom_metric_is_honoured": "raise MetricNotFoundError for what is not there"},
            id="selectors of equality alone",
        ),
        pytest.param(
            "TestUnknownRaises",
            {
                "test_unknown_object_is_not_found": "this raised KeyError('conformance-nobody')",
                "test_unknown_external_metric_is_an_empty_list": "give an empty list for a metric that nobody has",
                # The selector's default asks by name for each object.
                "test_selector_that_matches_many_objects_gives_those_with_a_value": "KeyError: 'conformance-many-0'",
            },
            id="an error for what is unknown",
        ),
        pytest.param(
            "TestDeadlineForgotten",
            {
                "test_external_read_whose_deadline_is_over_comes_back": "hand ctx.remaining() on as the timeout",
                "test_external_read_of_a_hanging_backend_ends_by_its_deadline": "that had 0.2 s is still under way",
            },
            id="a deadline that is not looked at",
        ),
        pytest.param(
            "TestStateOfAReadOnSelf",
            {"test_custom_reads_beside_others_give_the_same": "keep nothing of a read on self"},
            id="reads that mix up what they are for",
        ),
        pytest.param(
            "TestRaisesBesideOthers",
            {"test_external_reads_beside_others_give_the_same": "or guard them with a lock"},
            id="an error where two read at once",
        ),
        pytest.param(
            "TestHangsForOneName",
            {"test_unknown_external_metric_is_an_empty_list": "with enough time is still under way after 0.5 s"},
            id="a read that never comes back",
        ),
        pytest.param(
            "TestListsByAsking",
            {"test_list_of_custom_metrics_is_made_from_memory": "list_all_metrics uses a connection"},
            id="a listing that asks the backend",
        ),
        pytest.param(
            "TestListsDifferently",
            {"test_list_of_external_metrics_stays_the_same": "give different metrics"},
            id="a listing that changes each time",
        ),
        pytest.param(
            "TestListsSingularNames",
            {"test_listed_resources_are_plurals_with_their_group": "list_all_metrics says pod: say pods"},
            id="a listing of singular names",
        ),
        pytest.param(
            "TestKnowsWhatItListed",
            {"test_external_metric_is_answered_before_anything_was_listed": "a provider that was just started"},
            id="metrics that have to be listed first",
        ),
        pytest.param(
            "TestThreadLeftBehind",
            {"test_stop_ends_what_start_began": "stop() leaves threads running: poller"},
            id="a thread that is not stopped",
        ),
        pytest.param(
            "TestStopNeedsAStart",
            {"test_stop_may_come_twice_and_without_a_start": "stop() must do nothing where nothing runs"},
            id="a stop that needs a start",
        ),
        pytest.param(
            "TestSharedList",
            {"test_list_of_external_values_belongs_to_whoever_read_it": "give a new list with each"},
            id="a list that all readers share",
        ),
        pytest.param(
            "TestOpenOptions",
            {"test_options_refuse_what_they_do_not_know": "leave marshmallow's `unknown` as it is"},
            id="options that take anything",
        ),
    ],
)
def test_fault_is_told_where_it_is(outcomes: dict[str, Outcome], fault: str, expected: dict[str, str]) -> None:
    """These checks fail, no others, and in these words."""
    failed = outcomes[fault].failed
    assert set(failed) == set(expected)
    for check, words in expected.items():
        assert words in failed[check]


def test_good_provider_passes_every_check_that_there_is(outcomes: dict[str, Outcome]) -> None:
    """None is left out."""
    checks = {name for name in dir(Kit) if name.startswith("test_")}
    assert outcomes["TestNoFault"].passed == checks


def test_exemption_of_an_unknown_check_is_told(outcomes: dict[str, Outcome]) -> None:
    """A name with a typing error would exempt nothing, or what is added later."""
    outcome = outcomes["TestExemptByAWrongName"]
    assert not outcome.passed
    assert all(
        "exempt names checks that do not exist: test_that_is_not_there" in text for text in outcome.failed.values()
    )
