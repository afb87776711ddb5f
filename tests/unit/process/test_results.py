"""Results: their numbers, which is worse, and what a step's result does to its build."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from buildbot.model import Result
from buildbot.process import results
from buildbot.process.results import (
    ALL_RESULTS,
    CANCELLED,
    EXCEPTION,
    FAILURE,
    RETRY,
    SKIPPED,
    SUCCESS,
    WARNINGS,
    Results,
    computeResultAndTermination,
    statusToString,
    worst_of,
    worst_status,
)


def test_the_names_have_the_numbers_of_the_store() -> None:
    assert {result.name: getattr(results, result.name) for result in Result} == {r.name: int(r) for r in Result}
    assert [Results[code] for code in ALL_RESULTS] == [result.name.lower() for result in Result]


def test_worse_is_in_buildbots_order() -> None:
    order = [SKIPPED, SUCCESS, WARNINGS, FAILURE, EXCEPTION, RETRY, CANCELLED]
    for place, better in enumerate(order):
        for worse in order[place:]:
            assert worst_status(better, worse) == worst_status(worse, better) == worse


@pytest.mark.parametrize(
    ("several", "worst"),
    [([], SKIPPED), ([SKIPPED, SUCCESS], SUCCESS), ([SUCCESS, CANCELLED, RETRY], CANCELLED), ([FAILURE], FAILURE)],
)
def test_worst_of_several(several: list[int], worst: int) -> None:
    assert worst_of(several) == worst


@pytest.mark.parametrize(
    ("status", "word"), [(SUCCESS, "success"), (CANCELLED, "cancelled"), (None, "not finished"), (7, "Invalid status")]
)
def test_every_status_has_a_word(status: int | None, word: str) -> None:
    assert statusToString(status) == word


@pytest.mark.parametrize(
    ("flags", "result", "before", "after", "stops"),
    [
        ("", SUCCESS, SUCCESS, SUCCESS, False),
        ("", FAILURE, SUCCESS, SUCCESS, False),
        ("flunkOnFailure", FAILURE, SUCCESS, FAILURE, False),
        ("warnOnFailure", FAILURE, SUCCESS, WARNINGS, False),
        ("haltOnFailure", FAILURE, SUCCESS, SUCCESS, True),
        ("haltOnFailure flunkOnFailure", FAILURE, WARNINGS, FAILURE, True),
        ("", WARNINGS, SUCCESS, SUCCESS, False),
        ("warnOnWarnings", WARNINGS, SUCCESS, WARNINGS, False),
        ("flunkOnWarnings haltOnFailure", WARNINGS, SUCCESS, FAILURE, False),
        ("flunkOnFailure", SUCCESS, FAILURE, FAILURE, False),
        ("", SKIPPED, SUCCESS, SUCCESS, False),
        ("", EXCEPTION, SUCCESS, EXCEPTION, True),
        ("", RETRY, FAILURE, RETRY, True),
        ("", CANCELLED, EXCEPTION, CANCELLED, True),
    ],
)
def test_a_steps_flags_decide_what_it_does_to_the_build(
    flags: str, result: int, before: int, after: int, stops: bool
) -> None:
    step = SimpleNamespace(**dict.fromkeys(flags.split(), True))
    assert computeResultAndTermination(step, result, before) == (after, stops)
