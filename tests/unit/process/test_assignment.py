"""The rule by which builds get slaves: tables, and what must hold whatever waits and whoever is here."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot.config.builder import BuilderConfig
from buildbot.process.assignment import Board, Given, Head, hand_out
from buildbot.process.factory import BuildFactory
from buildbot.process.running import Busy


def builder(name: str, *slaves: str, **options: Any) -> BuilderConfig:
    return BuilderConfig(name=name, slavenames=list(slaves), factory=BuildFactory(), **options)


class Start(NamedTuple):
    """One step of a pass: who got what, and which slaves were free for it then."""

    builder: str
    slave: str
    head: Head
    free: tuple[str, ...]


def assign(
    board: Board,
    builders: list[BuilderConfig],
    queues: dict[str, list[Head]],
    pick: Callable[[list[str]], str] = lambda free: free[0],
    rank: dict[str, int] | None = None,
) -> list[Start]:
    """What a pass does when no function of the user's has a say."""
    left = {name: list(queue) for name, queue in queues.items()}
    started: list[Start] = []

    async def start(config: BuilderConfig, free: list[str], head: Head) -> Given:
        assert left[config.name].pop(0) == head
        slave = pick(free)
        started.append(Start(config.name, slave, head, tuple(free)))
        return Given(slave, next(iter(left[config.name]), None))

    heads = [queue[0] for queue in queues.values() if queue]
    with contextlib.suppress(StopIteration):
        hand_out(board, {b.name: b for b in builders}, heads, start, rank).send(None)
        raise AssertionError("it waits for something")
    return started


def queues_of(*given: tuple[str, int, float]) -> dict[str, list[Head]]:
    """The queues of builders, from (builder, priority, time) of each request."""
    queues: dict[str, list[Head]] = {}
    for id, (name, priority, at) in enumerate(given, 1):
        queues.setdefault(name, []).append(Head(name, priority, at, id))
    return {name: sorted(queue, key=place) for name, queue in queues.items()}


def place(head: Head) -> tuple[int, float, int]:
    return -head.priority, head.submitted_at, head.request


def places(started: list[Start]) -> list[tuple[str, str, int]]:
    return [(start.builder, start.slave, start.head.request) for start in started]


class TestBoard(SynchronousTestCase):
    def test_which_slaves_are_free(self) -> None:
        def free(*busy: Busy, most: int | None = None, **options: Any) -> list[str]:
            config = builder("b", "one", "two", "away", **options)
            return Board(dict.fromkeys(("one", "two", "stranger"), most), busy).free_for(config)

        mine, other = Busy("b", "one"), Busy("other", "one")
        table = [
            (free(), ["one", "two"]),
            (free(mine), ["two"]),
            (free(other), ["one", "two"]),
            (free(other, most=1), ["two"]),
            (free(other, Busy("third", "one"), most=2), ["two"]),
            (free(mine, max_running=1), []),
            (free(mine, max_running=2), ["two"]),
            (free(other, max_running=1), ["one", "two"]),
            (free(mine, max_builds_per_slave=2), ["one", "two"]),
            (free(mine, mine, max_builds_per_slave=2), ["two"]),
            (free(mine, other, most=2, max_builds_per_slave=2), ["two"]),
        ]
        for number, (found, expected) in enumerate(table):
            self.assertEqual(found, expected, number)

    def test_what_is_taken_is_not_free(self) -> None:
        board, config = Board({"one": 2, "two": None}, []), builder("b", "one", "two", max_builds_per_slave=3)
        for slave in ("one", "one", "two", "two"):
            self.assertIn(slave, board.free_for(config))
            board.take("b", slave)
        self.assertEqual(board.free_for(config), ["two"])
        board.take("b", "two")
        self.assertEqual(board.free_for(config), [])
        self.assertEqual(board.free_for(builder("c", "one", "two")), ["two"])


class TestTurns(SynchronousTestCase):
    def test_the_oldest_request_goes_first(self) -> None:
        found = assign(
            Board({"s": 1}, []), [builder("a", "s"), builder("b", "s")], queues_of(("a", 0, 2.0), ("b", 0, 1.0))
        )
        self.assertEqual(places(found), [("b", "s", 2)])

    def test_a_higher_priority_goes_before_age(self) -> None:
        found = assign(
            Board({"s": 1}, []), [builder("a", "s"), builder("b", "s")], queues_of(("a", 5, 2.0), ("b", 0, 1.0))
        )
        self.assertEqual(places(found), [("a", "s", 1)])

    def test_each_builder_gets_one_before_any_gets_a_second(self) -> None:
        both = [builder("a", "s", "t", "u"), builder("b", "s", "t", "u")]
        wanted = queues_of(("a", 0, 1.0), ("a", 0, 1.5), ("b", 0, 2.0))
        found = assign(Board(dict.fromkeys("stu", 1), []), both, wanted)
        self.assertEqual(places(found), [("a", "s", 1), ("b", "t", 3), ("a", "u", 2)])

    def test_a_higher_priority_goes_before_that_too(self) -> None:
        both = [builder("a", "s", "t"), builder("b", "s", "t")]
        found = assign(Board({"s": 1, "t": 1}, []), both, queues_of(("a", 1, 1.0), ("a", 1, 1.5), ("b", 0, 0.5)))
        self.assertEqual(places(found), [("a", "s", 1), ("a", "t", 2)])

    def test_the_users_order_goes_before_everything(self) -> None:
        both = [builder("a", "s", "t"), builder("b", "s", "t")]
        wanted = queues_of(("a", 9, 1.0), ("b", 0, 5.0), ("b", 0, 6.0))
        found = assign(Board({"s": 1, "t": 1}, []), both, wanted, rank={"b": 0, "a": 1})
        self.assertEqual(places(found), [("b", "s", 2), ("b", "t", 3)])
        found = assign(Board({"s": 1, "t": 1}, []), both, wanted, rank={"b": 0})  # who is not named comes last
        self.assertEqual([start.builder for start in found], ["b", "b"])

    def test_who_wants_nothing_now_is_not_asked_again_and_keeps_nobody_waiting(self) -> None:
        asked = []

        async def start(config: BuilderConfig, free: list[str], head: Head) -> Given | None:
            asked.append(config.name)
            return None if config.name == "a" else Given(free[0], None)

        heads = [queue[0] for queue in queues_of(("a", 9, 1.0), ("b", 0, 2.0)).values()]
        configs = {name: builder(name, "s") for name in "ab"}
        self.successResultOf(ensureDeferred(hand_out(Board({"s": 1}, []), configs, heads, start)))
        self.assertEqual(asked, ["a", "b"])

    def test_a_request_that_is_gone_takes_no_slave(self) -> None:
        answers = [Given(None, Head("a", 0, 3.0, 3)), Given("s", None)]

        async def start(config: BuilderConfig, free: list[str], head: Head) -> Given | None:
            return answers.pop(0)

        configs = {"a": builder("a", "s")}
        self.successResultOf(ensureDeferred(hand_out(Board({"s": 1}, []), configs, [Head("a", 0, 1.0, 1)], start)))
        self.assertEqual(answers, [])


SLAVES = ("p", "q", "r", "s")
limits = st.none() | st.integers(1, 3)


@st.composite
def situations(draw: Any) -> tuple[list[BuilderConfig], dict[str, int | None], list[Busy], dict[str, list[Head]]]:
    builders = [
        builder(
            name,
            *draw(st.lists(st.sampled_from(SLAVES), min_size=1, max_size=4, unique=True)),
            max_running=draw(limits),
            max_builds_per_slave=draw(st.integers(1, 3)),
        )
        for name in draw(st.sets(st.sampled_from("abcde"), min_size=1))
    ]
    here = draw(st.dictionaries(st.sampled_from(SLAVES), limits))
    pairs = [Busy(config.name, slave) for config in builders for slave in config.slavenames]
    busy = draw(st.lists(st.sampled_from(pairs), max_size=6))
    ids = count(1)
    times = st.integers(0, 9).map(float)
    queues = {}
    for config in builders:
        given = draw(st.lists(st.tuples(st.integers(0, 2), times), max_size=5))
        heads = [Head(config.name, priority, at, next(ids)) for priority, at in given]
        queues[config.name] = sorted(heads, key=place)
    return builders, here, busy, queues


class TestWhatHolds(SynchronousTestCase):
    """Random situations. `pick` is any choice among the free slaves."""

    @given(situations(), st.integers(0, 99).map(Random))
    def test_limits_no_double_use_and_nothing_left_over(self, situation: Any, chance: Any) -> None:
        builders, here, busy, queues = situation
        started = assign(Board(here, busy), builders, queues, chance.choice)
        assert len({start.head.request for start in started}) == len(started)
        assert all(start.slave in here for start in started)
        now = Counter(busy) + Counter(Busy(start.builder, start.slave) for start in started)
        before = Counter(busy)
        for slave, most in here.items():
            running = sum(times for pair, times in now.items() if pair.slave == slave)
            was = sum(times for pair, times in before.items() if pair.slave == slave)
            assert most is None or running <= max(most, was)
        for config in builders:
            mine = {pair: times for pair, times in now.items() if pair.builder == config.name}
            was = sum(times for pair, times in before.items() if pair.builder == config.name)
            assert config.max_running is None or sum(mine.values()) <= max(config.max_running, was)
            for pair, times in mine.items():
                assert times <= max(config.max_builds_per_slave, before[pair])
            waits = len(queues[config.name]) > sum(start.builder == config.name for start in started)
            if waits:  # then nothing was free for it any more
                assert Board(here, now.elements()).free_for(config) == []

    @given(situations(), st.integers(0, 99).map(Random))
    def test_nobody_waits_while_a_neighbour_with_newer_requests_gets_a_second_slave(
        self, situation: Any, chance: Any
    ) -> None:
        builders, here, busy, queues = situation
        board = Board(here, busy)
        started = assign(Board(here, busy), builders, queues, chance.choice)
        left = {name: list(queue) for name, queue in queues.items()}
        had: Counter[str] = Counter()
        for start in started:
            for other in builders:
                if other.name == start.builder or not left[other.name] or not board.free_for(other):
                    continue
                first = left[other.name][0]
                assert first.priority <= start.head.priority
                if first.priority == start.head.priority:
                    assert had[start.builder] <= had[other.name]
                    if had[start.builder] == had[other.name]:
                        assert start.head.submitted_at <= first.submitted_at
            board.take(start.builder, start.slave)
            left[start.builder].pop(0)
            had[start.builder] += 1
