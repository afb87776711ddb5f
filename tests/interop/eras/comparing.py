"""In what ours differ from the step classes, factories and bases of another Buildbot.

Where the eras themselves differ, ours is to be as the newest that has the thing; so a difference to an older era does
not count when a newer one is as ours is.
"""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from buildbot.config.errors import collecting
from buildbot.process.buildstep import BuildStep
from buildbot.process.overridden import never_called
from tests.interop.eras import introspect

PLAUSIBLE = {
    "command": ["true"],
    "constructorArgs": {},
    "consumerFunction": list,
    "populated_secret_list": [("path", "secret")],
    "paths": [],
    "repourl": "http://localhost/",
    "source": BuildStep(),
    "steps": [],
}
REQUIRED = "<required>"


class Difference(NamedTuple):
    kind: str  # class, argument, order, default, attribute, value, renderable, method, parameters
    owner: str  # the class of theirs that has it
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.owner}.{self.name}" if self.name else f"{self.kind} {self.owner}"


class Found(NamedTuple):
    what: Difference
    seen: str  # in which class, and what is on both sides


def read(python: Path) -> dict[str, Any]:
    """What the Buildbot in this Python's environment has."""
    script = Path(introspect.__file__)
    done = subprocess.run([python, "-W", "ignore", script], cwd="/", capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def differences(eras: list[dict[str, Any]]) -> Iterator[Found]:
    """All that differ. eras: the newest first."""
    settled: set[tuple[str, str, str]] = set()
    for era in eras:
        agreed: set[tuple[str, str, str]] = set()
        for key, theirs in sorted(era["classes"].items()):
            for kind, owner, name, seen in _of_class(key, theirs):
                place = (kind.removesuffix("!"), key.partition(":")[2], name)
                if kind.endswith("!"):
                    agreed.add(place)
                elif place not in settled:
                    yield Found(Difference(kind, owner, name), f"{era['version']} {key}: {seen}")
        settled |= agreed


def _of_class(key: str, theirs: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """(kind, owner, name, what is on both sides); a kind with `!` says that both are the same."""
    module, _, name = key.partition(":")
    ours = _find([(module, name), *theirs["paths"]])
    if ours is None:
        yield "class", name, "", "there is none"
        return
    mine = introspect.describe(ours)
    yield from _arguments(name, ours, theirs, mine)
    yield from _order(name, theirs, mine)
    yield from _attributes(ours, theirs, mine)
    yield from _methods(ours, theirs, mine)


def _find(paths: list[Any]) -> Any:
    for path, name in paths:
        try:
            found = getattr(importlib.import_module(path), name)
        except (ImportError, AttributeError):
            continue
        if inspect.isclass(found):
            return found
    return None


def as_now(name: str) -> str:
    """The name that 0.9 and later have for an argument of a slave."""
    return name.replace("Slave", "Worker").replace("slave", "worker")


def _all_arguments(found: dict[str, Any]) -> dict[str, str]:
    """Every argument that a constructor takes -> the class whose it is."""
    names: dict[str, str] = {}
    for constructor in found["constructors"]:
        for each in constructor["positional"] + constructor["named"]:
            names.setdefault(each[0], constructor["of"])
        if not constructor["any"]:
            return names
    return dict.fromkeys(found["listed"], "BuildStep") | names


def _arguments(
    name: str, ours: Any, theirs: dict[str, Any], mine: dict[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    for argument, owner in sorted(_all_arguments(theirs).items()):
        wanted, have = _default(theirs, argument), _default(mine, argument)
        problem = _refusal(ours, argument, wanted)
        if problem:
            yield "argument", owner, argument, problem
        elif wanted == REQUIRED or _same(wanted, have):
            yield "default!", owner, argument, ""
        else:
            own = owner if argument not in theirs["attributes"] else theirs["attributes"][argument][1]
            yield "default", own, argument, f"{wanted!r}, ours {have!r}"


def _refusal(ours: Any, name: str, value: Any) -> str | None:
    """What ours says when it is made with this argument, if that is that it has no such argument."""
    if value in (None, REQUIRED) or (isinstance(value, str) and value.startswith("<")):
        value = PLAUSIBLE.get(name, "x")
    needed = {
        each.name: PLAUSIBLE.get(each.name, "x")
        for each in list(inspect.signature(ours.__init__).parameters.values())[1:]
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    }
    with collecting("/nowhere/master.cfg", "/nowhere") as collected:
        try:
            ours(**{**needed, name: value})
        except Exception as problem:  # other mistakes than an unknown argument are not looked for here
            if f"argument {name!r}" in str(problem):
                return str(problem)
    return next((each.message for each in collected.problems if f"no argument {name!r}" in each.message), None)


def _default(found: dict[str, Any], name: str) -> Any:
    """What is so when the argument is not given: in the signature, or else on the class."""
    known = {"constructorArgs": None}
    for constructor in found["constructors"]:
        for each in constructor["positional"] + constructor["named"]:
            if each[0] == name:
                if len(each) == 1:
                    known.setdefault(name, REQUIRED)
                elif each[1] is not None:
                    return known.get(name) or each[1]
                else:
                    known.setdefault(name, None)
    if name in found["attributes"]:
        return found["attributes"][name][0]
    return known.get(name)


def _same(wanted: Any, have: Any) -> bool:
    return _plain(wanted) == _plain(have)


def _plain(value: Any) -> Any:
    """Of values that mean the same: one."""
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return " ".join(value)  # a description may be words
    if isinstance(value, str) and value.startswith("<") and value.endswith(("property>", "assignable>")):
        return None
    return value or None


def _order(name: str, theirs: dict[str, Any], mine: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    wanted, have = _positional(theirs), _positional(mine)
    owner = theirs["constructors"][0]["of"] if theirs["constructors"] else name
    if [as_now(each) for each in wanted] == [as_now(each) for each in have[: len(wanted)]]:
        yield "order!", owner, "", ""
    else:
        yield "order", owner, "", f"{wanted}, ours {have}"


def _positional(found: dict[str, Any]) -> list[str]:
    names: list[str] = []
    for constructor in found["constructors"]:
        names += [each[0] for each in constructor["positional"] if each[0] not in names]
        if not constructor["more"]:
            break
    return names


def _attributes(ours: Any, theirs: dict[str, Any], mine: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, (value, owner) in sorted(theirs["attributes"].items()):
        if name == "renderables":
            have = {as_now(each) for each in getattr(ours, "all_renderables", lambda: ours.renderables)()}
            for each in value:
                if as_now(each) not in have:
                    yield "renderable", owner, each, "ours is not rendered"
        elif name in ("parms", "compare_attrs") or name in _all_arguments(theirs):
            continue
        elif name in mine["attributes"]:
            same = _same(value, mine["attributes"][name][0])
            yield "value!" if same else "value", owner, name, f"{value!r}, ours {mine['attributes'][name][0]!r}"
        elif not hasattr(ours, name) and name not in vars(_made(ours)):
            yield "attribute", owner, name, f"{value!r}"


def _made(ours: Any) -> Any:
    """One of ours, for what its constructor sets; or whatever has nothing."""
    needed = {
        each.name: PLAUSIBLE.get(each.name, "x")
        for each in list(inspect.signature(ours.__init__).parameters.values())[1:]
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    }
    with collecting("/nowhere/master.cfg", "/nowhere"):
        try:
            made = ours(**needed)
        except Exception:  # it wants more than this
            return inspect
    return made if hasattr(made, "__dict__") else inspect


def _methods(ours: Any, theirs: dict[str, Any], mine: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    refused = never_called(ours)
    for name, method in sorted(theirs["methods"].items()):
        if name in refused:
            continue
        if not hasattr(ours, name):
            yield "method", method["of"], name, f"{[each[0] for each in method['positional']]}"
            continue
        if name not in mine["methods"]:
            continue
        have = mine["methods"][name]
        wanted_names = [each[0] for each in method["positional"]]
        names = [each[0] for each in have["positional"]]
        needed = [each[0] for each in have["positional"][len(wanted_names) :] if len(each) == 1]
        fits = names[: len(wanted_names)] == wanted_names or (have["more"] and have["any"])
        same = fits and not needed
        yield "parameters!" if same else "parameters", method["of"], name, f"{wanted_names}, ours {names}"
