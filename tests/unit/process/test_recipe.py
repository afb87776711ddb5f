"""Whether two configurations make the same build: also in two processes, and whatever they are made of."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from buildbot.process.locks import MasterLock, SlaveLock
from buildbot.process.recipe import difference, digest
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
