"""The page about schedulers names all that they, their filters and their parameters take; its examples work."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

import buildbot.schedulers.forcesched as forcesched
from buildbot.changes.filter import ChangeFilter
from buildbot.config import names
from buildbot.config.arguments import known_arguments
from buildbot.schedulers.basic import AnyBranchScheduler, SingleBranchScheduler
from buildbot.schedulers.dependent import Dependent
from buildbot.schedulers.forcesched import BaseParameter, ForceScheduler
from buildbot.schedulers.timed import Nightly, NightlyTriggerable, Periodic
from buildbot.schedulers.triggerable import Triggerable
from buildbot.schedulers.trysched import Try_Jobdir, Try_Userpass
from buildbot.steps.trigger import Trigger
from tests.tools import ROOT

PAGE = (ROOT / "docs" / "manual" / "schedulers.md").read_text()
ALL = (
    SingleBranchScheduler,
    AnyBranchScheduler,
    Dependent,
    Periodic,
    Nightly,
    NightlyTriggerable,
    Triggerable,
    Try_Jobdir,
    Try_Userpass,
    ForceScheduler,
)
PARAMETERS = [
    value for value in vars(forcesched).values() if isinstance(value, type) and issubclass(value, BaseParameter)
]
OF_EVERY_VALUE = ("project_", "repository_", "category_", "codebase_")  # said once, for branch
NOT_ARGUMENTS = {"kw", "kind", "patch"}


def unsaid(words: set[str]) -> set[str]:
    return {word for word in words if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", PAGE) is None}


def settings(parameter: type) -> set[str]:
    """Its constructor's arguments, and the plain attributes that it takes as keywords."""
    plain = {name for name, value in vars(parameter).items() if name[0] != "_" and not callable(value)}
    return known_arguments(parameter) | {name for name in plain if not isinstance(vars(parameter)[name], property)}


def test_every_argument_of_a_scheduler_is_there() -> None:
    for scheduler in ALL:
        assert unsaid(known_arguments(scheduler)) == set(), scheduler


def test_every_argument_of_the_trigger_step_is_in_the_manual() -> None:
    steps = (ROOT / "docs" / "manual" / "steps-trigger.md").read_text()
    said = inspect.signature(Trigger.__init__).parameters
    assert [name for name in said if name not in ("self", "kwargs") and f"`{name}`" not in steps] == []


def test_every_condition_of_a_filter_is_there() -> None:
    assert unsaid({name for name in known_arguments(ChangeFilter) if not name.startswith(OF_EVERY_VALUE)}) == set()


def test_every_parameter_and_its_settings_are_there() -> None:
    assert len(PARAMETERS) > 10
    words = {parameter.__name__ for parameter in PARAMETERS} - {"BaseParameter"}
    assert unsaid(words.union(*(settings(parameter) for parameter in PARAMETERS)) - NOT_ARGUMENTS) == set()


def test_the_examples_are_configurations() -> None:
    names.install()
    found: dict[str, Any] = {"c": {}}
    examples = [textwrap.dedent(text) for text in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", PAGE, re.MULTILINE)]
    assert len(examples) == 6
    for example in examples:
        exec(example, found)
    all_named = ["main", "topics", "force", "tests", "packages", "hourly", "nightly", "try", "jobs"]
    assert [scheduler.name for scheduler in found["c"]["schedulers"]] == all_named
