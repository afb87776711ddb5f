"""The drawings of docs/states.md say what the code does."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any, NamedTuple

import pytest

from buildbot.store import builds, buildsets, commands, requests, steps
from tests.tools import ROOT

PAGE = (ROOT / "docs" / "states.md").read_text()
ARROW = re.compile(r"    (?P<before>\w+|\[\*\]) --> (?P<after>\w+|\[\*\])(?:: (?P<function>[\w.]+))?")


class Arrow(NamedTuple):
    drawing: str
    before: str
    after: str
    function: str | None


def drawings() -> dict[str, list[str]]:
    """The lines of each drawing, by the heading above it."""
    found = re.findall(
        r"^## (.+?)\n(?:(?!^## ).*\n)*?```mermaid\nstateDiagram-v2\n((?:    .*\n)+)```", PAGE, re.MULTILINE
    )
    return {heading: text.splitlines() for heading, text in found}


def arrows() -> list[Arrow]:
    found = []
    for heading, lines in drawings().items():
        for line in lines:
            match = ARROW.fullmatch(line)
            assert match, line
            found.append(Arrow(heading, *match.groups()))
    return found


def named(name: str) -> Any:
    """What a dotted name below `buildbot` names. Raises LookupError."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(["buildbot", *parts[:length]]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute, None)
        if found is not None:
            return found
    raise LookupError(name)


def test_everything_that_has_states_is_drawn() -> None:
    assert list(drawings()) == [
        "Buildset",
        "Request",
        "Build",
        "Slave of a build",
        "Step",
        "Command",
        "Slave session",
        "Pause",
    ]
    assert PAGE.count("```mermaid") == len(drawings())


@pytest.mark.parametrize("arrow", arrows(), ids=lambda arrow: f"{arrow.drawing}: {arrow.before} to {arrow.after}")
def test_every_arrow_names_a_function_that_exists(arrow: Arrow) -> None:
    if arrow.after == "[*]":
        assert arrow.function is None
    else:
        assert arrow.function is not None
        assert callable(named(arrow.function))


def test_every_other_name_on_the_page_exists() -> None:
    text = re.sub(r"```mermaid.*?```", "", PAGE, flags=re.DOTALL)
    names = [name for name in re.findall(r"`([a-z]\w*(?:\.\w+)+)`", text) if not name.startswith("buildbot.")]
    assert names
    for name in names:
        named(name)


def test_every_state_can_be_reached_and_left() -> None:
    for heading in drawings():
        mine = [arrow for arrow in arrows() if arrow.drawing == heading]
        states = {state for arrow in mine for state in (arrow.before, arrow.after)} - {"[*]"}
        assert {arrow.after for arrow in mine if arrow.before != arrow.after} - {"[*]"} == states
        assert {arrow.before for arrow in mine if arrow.before != arrow.after} - {"[*]"} == states


@pytest.mark.parametrize(
    ("drawing", "module", "table"),
    [
        ("Buildset", buildsets, "buildsets"),
        ("Request", requests, "build_requests"),
        ("Build", builds, "builds"),
        ("Step", steps, "steps"),
        ("Command", commands, "commands"),
    ],
)
def test_every_function_that_changes_a_state_is_on_an_arrow(drawing: str, module: Any, table: str) -> None:
    said = {arrow.function for arrow in arrows() if arrow.drawing == drawing}
    changes = re.compile(rf"UPDATE {table} SET (?!state_text = \? WHERE)")
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and changes.search(inspect.getsource(function)):
            assert f"{module.__name__.removeprefix('buildbot.')}.{name}" in said


def test_a_name_that_nothing_has_is_found_out() -> None:
    with pytest.raises(LookupError):
        named("store.requests.no_such_thing")
