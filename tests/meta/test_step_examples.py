"""Every example of the chapters about steps is a good configuration, and every step has one.

An example is a ```python block of docs/manual/steps*.md. What it may take as given: `steps`, `util` and the other
groups of `buildbot.plugins`, `factory` (and `f`, the same), `c`, and files that exist (`FILES`). It makes its steps
with `factory.addStep(...)`, or has factories of its own, or shows a class of step.
"""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from buildbot.config import names
from buildbot.config.errors import ConfigErrors
from buildbot.config.loader import load_config
from buildbot.config.names.steps import OURS, PATHS
from buildbot.process.buildstep import BuildStep
from tests.tools import ROOT

names.install()
CHAPTERS = sorted((ROOT / "docs" / "manual").glob("steps*.md"))

#: What examples say that they need on the master: file below its base directory -> content.
FILES: dict[str, str] = {}

#: Steps that have no heading (or row of a table) with their name in docs/manual/steps-*.md, or no example that makes
#: one. A step is taken out of this list by the change that documents it; the last test says when that is due.
WITHOUT_EXAMPLE: set[str] = set()

BASES = {"BuildStep", "SetSlaveInfo", "Source"}  # nobody makes one: they are for subclasses

BEFORE = """
from buildbot.plugins import changes, reporters, schedulers, secrets, steps, util, worker
c = BuildmasterConfig = {}
f = factory = util.BuildFactory()
"""

AFTER = """
from buildbot.process.build import Build as _Build
from buildbot.process.factory import BuildFactory as _BuildFactory
_factories = {id(each): each for each in list(globals().values()) if isinstance(each, _BuildFactory) and each.steps}
c.setdefault("slaves", [worker.Worker("bot", "secret")])
c.setdefault("protocols", {"pb": {"port": "tcp:0:interface=127.0.0.1"}})
c.setdefault("builders", []).extend(
    util.BuilderConfig(name=f"builder {number}", slavenames=["bot"], factory=each)
    for number, each in enumerate(_factories.values())
)
if not c["builders"]:
    import builtins
    _shown = [each for each in list(globals().values()) if isinstance(each, type) and issubclass(each, steps.BuildStep)]
    _last = _BuildFactory([each() for each in _shown])
    c["builders"].append(util.BuilderConfig(name="shown", slavenames=["bot"], factory=_last))
_names = [each.name for each in c["builders"]]
c["schedulers"] = [*c.get("schedulers", ()), schedulers.Triggerable(name="packages", builderNames=_names)]
"""


class Example(NamedTuple):
    place: str
    text: str


@cache
def examples() -> list[Example]:
    found = []
    for chapter in CHAPTERS:
        text = chapter.read_text()
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            found.append(Example(f"{chapter.name}:{text.count(chr(10), 0, match.start()) + 1}", match[1]))
    return found


def steps_of(text: str, directory: Path) -> list[BuildStep]:
    """The steps that a build of this configuration would have. Raises ConfigErrors."""
    for name, content in FILES.items():
        (directory / name).write_text(content)
    path = directory / "master.cfg"
    path.write_text(BEFORE + text + AFTER)
    config = load_config(path)
    return [step for builder in config.builders for step in builder.factory.new_steps()]


@cache
def public() -> dict[str, type]:
    """Each step that a configuration can name, by its names."""
    found = {name: getattr(importlib.import_module(module), name) for module in OURS for name in OURS[module]}
    plugins = importlib.import_module("buildbot.plugins.steps")
    said = [name for name in PATHS["buildbot.plugins.steps"] if not name.endswith("NewStyle")]  # in a sentence
    found.update({name: getattr(plugins, name) for name in said})
    return {name: kind for name, kind in found.items() if inspect.isclass(kind) and issubclass(kind, BuildStep)}


@cache
def headed() -> set[str]:
    """The words of headings and of the first cells of tables."""
    lines = "\n".join(chapter.read_text() for chapter in CHAPTERS)
    lines = re.sub(r"^```.*?^```", "", lines, flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^(?:#+ (.*)|\|([^|]*)\|.*)$", lines, re.MULTILINE)
    return {word for head in heads for part in head for word in re.findall(r"\w+", part)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> set[type]:
    """The classes of which an example makes a step."""
    kinds: set[type] = set()
    for example in examples():
        try:
            kinds.update(map(type, steps_of(example.text, tmp_path_factory.mktemp("example"))))
        except ConfigErrors:
            continue  # test_an_example_makes_steps fails for it
    return kinds


@pytest.mark.parametrize("example", examples(), ids=[example.place for example in examples()])
def test_an_example_makes_steps(example: Example, tmp_path: Path) -> None:
    assert steps_of(example.text, tmp_path)


def test_a_wrong_example_would_be_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="haltOnFailure"):
        steps_of("factory.addStep(steps.ShellCommand(command='x', haltOnFailur=True))", tmp_path)


def test_every_step_is_in_the_manual_with_an_example(made: set[type]) -> None:
    documented = {name for name, kind in public().items() if name in headed() and kind in made}
    missing = set(public()) - documented - BASES
    assert missing - WITHOUT_EXAMPLE == set(), "write a heading and an example in docs/manual/steps-*.md"
    assert WITHOUT_EXAMPLE - missing == set(), "documented now: take them out of WITHOUT_EXAMPLE above"
