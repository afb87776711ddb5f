"""ChangeFilter: which changes it lets through, and what it says of the others."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from buildbot.changes.filter import ChangeFilter, NotABranch
from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Properties


def change(**values: Any) -> Any:
    facts: dict[str, Any] = {
        "project": "",
        "repository": "",
        "branch": None,
        "category": None,
        "codebase": "",
        "properties": Properties(kind="nightly"),
    }
    return SimpleNamespace(**{**facts, **values})


TABLE: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {}, True),
    ({"project": "p"}, {"project": "p"}, True),
    ({"project": "p"}, {"project": "pp"}, False),
    ({"project": ["p", "q"]}, {"project": "q"}, True),
    ({"project": ("p", "q")}, {"project": "r"}, False),
    ({"project": ""}, {"project": "p"}, False),
    ({"repository": "git://r"}, {"repository": "git://r"}, True),
    ({"category": "c"}, {"category": None}, False),
    ({"codebase": "lib"}, {"codebase": "lib"}, True),
    ({"branch": None}, {"branch": None}, True),
    ({"branch": None}, {"branch": "main"}, False),
    ({"branch": "main"}, {"branch": None}, False),
    ({"branch": [None, "main"]}, {"branch": None}, True),
    ({"branch": NotABranch}, {"branch": "any"}, True),
    ({"branch_re": "rel-"}, {"branch": "rel-1"}, True),
    ({"branch_re": "rel-"}, {"branch": "x-rel-1"}, False),
    ({"branch_re": re.compile("^rel-[0-9]$")}, {"branch": "rel-1"}, True),
    ({"branch_re": "rel-"}, {"branch": None}, False),
    ({"branch_re": ".*"}, {"branch": None}, True),
    ({"branch_not_re": "rel-"}, {"branch": "rel-1"}, False),
    ({"branch_not_re": "rel-"}, {"branch": None}, True),
    ({"branch_fn": lambda branch: branch.startswith("a")}, {"branch": "ab"}, True),
    ({"branch_fn": lambda branch: branch.startswith("a")}, {"branch": "b"}, False),
    ({"branch_not_eq": "main"}, {"branch": "main"}, False),
    ({"branch_not_eq": None}, {"branch": None}, False),
    ({"project_not_eq": ["p", "q"]}, {"project": "r"}, True),
    ({"filter_fn": lambda c: c.project == "p"}, {"project": "p"}, True),
    ({"filter_fn": lambda c: c.project == "p"}, {"project": "q"}, False),
    ({"project": "p", "branch": "b"}, {"project": "p", "branch": "c"}, False),
    ({"property_eq": {"kind": "nightly"}}, {}, True),
    ({"property_eq": {"kind": ["weekly"]}}, {}, False),
    ({"property_eq": {"missing": None}}, {}, True),
    ({"property_not_eq": {"kind": "nightly"}}, {}, False),
    ({"property_re": {"kind": "night"}}, {}, True),
    ({"property_not_re": {"kind": "night"}}, {}, False),
    ({"property_eq": {"a": 1}}, {"properties": {"a": 1}}, True),
]


@pytest.mark.parametrize(("conditions", "facts", "passes"), TABLE)
def test_a_change_must_meet_every_condition(conditions: dict[str, Any], facts: dict[str, Any], passes: bool) -> None:
    chosen = ChangeFilter(**conditions)
    assert chosen.filter_change(change(**facts)) is passes
    assert (chosen.why_not(change(**facts)) is None) is passes


@pytest.mark.parametrize(
    ("conditions", "facts", "why"),
    [
        ({"branch": ["main", None]}, {"branch": "x"}, "branch is 'x', wanted 'main' or None"),
        ({"project_re": "a+"}, {"project": "b"}, "project is 'b', wanted a match of 'a+'"),
        ({"category_fn": lambda c: False}, {"category": "c"}, "category is 'c', category_fn said no"),
        ({"filter_fn": lambda c: False}, {}, "filter_fn said no"),
        ({"property_not_eq": {"kind": "nightly"}}, {}, "property kind is 'nightly', not wanted 'nightly'"),
    ],
)
def test_it_says_why_not(conditions: dict[str, Any], facts: dict[str, Any], why: str) -> None:
    assert ChangeFilter(**conditions).why_not(change(**facts)) == why


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({"brnch": "x"}, "did you mean 'branch'"),
        ({"branch_re": "("}, "branch_re must be a regular expression"),
        ({"branch_fn": "x"}, "branch_fn must be a function"),
        ({"property_eq": "x"}, "property_eq is a dict"),
    ],
)
def test_wrong_conditions_are_refused(conditions: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigErrors, match=said):
        ChangeFilter(**conditions)
