"""Whether two configurations make the same build: also in two processes, and whatever they are made of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from buildbot.config.builder import BuilderConfig
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.locks import MasterLock, SlaveLock
from buildbot.process.recipe import difference, digest, look_at_classes, recipe_of
from buildbot.steps.shell import ShellCommand

MADE = """
import sys
sys.path.insert(0, ".")
from buildbot.process.recipe import digest
from buildbot.process.properties import Interpolate, renderer
from buildbot.steps.shell import ShellCommand

@renderer
def chosen(props):
    return ["make", {word!r}] + sorted({{"b", "a"}})

class Mine(ShellCommand):
    flags = {{"x", "y", "z"}}
    def go(self, number={number}):
        return [number for each in range(number)]

print(digest([ShellCommand(command=chosen), Mine, Interpolate("%(prop:x:-{word})s"), {{"a": 1, "b": (2, None)}}]))
"""


def made(word: str = "all", number: int = 3, before: str = "") -> str:
    code = before + MADE.format(word=word, number=number)
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_it_does_not_depend_on_the_process_nor_on_the_place_in_the_file() -> None:
    assert made() == made(before="\n\n# a comment\n") == made()


def test_it_depends_on_words_numbers_and_code() -> None:
    assert len({made(), made(word="check"), made(number=4)}) == 3


def test_it_depends_on_the_functions_that_a_function_uses() -> None:
    helper = "def helper(): return {number}\n\nclass Other:\n    number = {number}\n\n"
    for use in ("helper()", "[Other.number for each in range(2)]", "(lambda: helper())()"):
        code = f"{helper}class Mine:\n    def run(self): return {use}\n\ndef again(): return again\n"
        told = set()
        for number in (1, 1, 2):
            names: dict[str, Any] = {"__name__": "theirs"}
            exec(code.format(number=number), names)
            told.add((digest(names["Mine"]), digest(names["again"])))
        assert len(told) == 2, use


def test_dictionaries_and_sets_have_no_order_lists_have() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a", "b"}) == digest({"b", "a"})
    assert digest([1, 2]) != digest([2, 1])
    assert digest([1]) != digest((1,))


def test_of_a_lock_the_name_counts_and_not_its_limits() -> None:
    def locked(*locks: Any) -> str:
        return digest(ShellCommand(command="make", locks=list(locks)))

    one = MasterLock("db")
    same = [
        locked(one.access("counting")),
        locked(one),
        locked(MasterLock("db", maxCount=4).access("counting", 3)),
        locked(MasterLock("db", 2).access("exclusive")),
    ]
    assert len(set(same)) == 1
    others = [locked(MasterLock("disk")), locked(SlaveLock("db")), locked(one, SlaveLock("db")), locked()]
    assert len({same[0], *others}) == 5
    assert locked(SlaveLock("db", maxCountForSlave={"big": 4})) == locked(SlaveLock("db", maxCount=3))


def test_what_holds_itself_and_what_is_huge_have_an_end() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert digest(ring) == digest(ring)
    wide = [[str(number)] for number in range(100_000)]
    assert digest(wide) == digest(wide)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (["b", "1", "2"], ["b", "1", "2"], None),
        (["b", "1", "2"], ["c", "1", "2"], "the builder's own settings have changed"),
        (["b", "1", "2"], ["b", "1", "3"], "step 2 is another one now"),
        (["b", "1", "2"], ["b", "1"], "there are 1 steps where there were 2"),
        ([], ["b", "1"], "the builder's own settings have changed"),
    ],
)
def test_what_is_said_of_a_difference(before: list[str], now: list[str], said: str | None) -> None:
    assert difference(before, now) == said


@pytest.mark.parametrize(
    "make",
    [
        re.compile,
        Path,
        str.encode,
        lambda text: partial(print, text),
        lambda text: f"{text}".join,
        lambda text: {"k": (text,)},
        lambda text: [itemgetter(text)],
        lambda text: lru_cache(lambda: text),
        lambda text: date(len(text), 1, 1),
        lambda text: timedelta(len(text)),
        lambda text: Decimal(len(text)),
    ],
)
def test_what_keeps_its_value_out_of_sight_is_told_apart(make: Callable[[str], Any]) -> None:
    assert digest(make("one")) == digest(make("one"))
    assert digest(make("one")) != digest(make("three"))


def test_what_a_value_has_computed_of_itself_is_no_part_of_it() -> None:
    code = "from pathlib import Path; from buildbot.process.recipe import digest; p = Path('/a/b'); hash(p); "
    told = {
        subprocess.run(
            [sys.executable, "-c", f"{code}print(digest(p))"],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_the_same_object_twice_is_as_two_equal_ones() -> None:
    """A module from its compiled file shares other constants than one that was just compiled."""
    one, other = ("a", str(1)), ("a", str(1))
    assert one is not other
    assert digest([one, one]) == digest([one, other])


def test_what_steps_keep_in_their_class_while_they_run_is_no_part_of_the_recipe() -> None:
    class Mine(BuildStep):
        runs = 0

    config = BuilderConfig(name="b", slavenames=["s"], factory=BuildFactory([Mine(name="mine")]))
    look_at_classes([config])
    before = recipe_of(config)
    Mine.all_renderables()
    Mine.runs += 1
    assert recipe_of(config) == before


def test_a_class_of_its_own_keeps_its_digest_when_its_renderables_were_asked_for() -> None:
    class Mine(BuildStep):
        pass

    before = digest(Mine)
    Mine.all_renderables()
    assert digest(Mine) == before
