"""Why a request waits, in words, and when its build begins: tables over snapshots."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot.config.builder import BuilderConfig
from buildbot.model import BuildRequestID, Result
from buildbot.process.assignment import Head
from buildbot.process.factory import BuildFactory
from buildbot.process.waiting import InTheWay, Place, Snapshot, why_waiting
from buildbot.store.pauses import Kind, Pause
from buildbot.store.queue import Running, SlaveNow

NOW = 100_000.0
HERE = SlaveNow(NOW - 3600, None, None)
NEVER = SlaveNow(None, None, None)
AWAY = SlaveNow(None, NOW - 300, None)
BY_ADA = Pause(Kind.SLAVE, "s", False, NOW - 60, "ada", "new disk")
MINUTE = ((60.0, Result.SUCCESS), (60.0, Result.SUCCESS))


def build(builder: str = "b", slave: str = "s", number: int = 7, ago: float = 20.0, earlier: Any = MINUTE) -> Running:
    return Running(builder, number, slave, NOW - ago, earlier)


def at(names: dict[str, SlaveNow] | None = None, options: dict[str, Any] | None = None, **given: Any) -> Snapshot:
    """A builder `b` on the slaves `s` and whatever is given; nothing keeps it from starting."""
    known = {"s": HERE} if names is None else names
    config = BuilderConfig(name="b", slavenames=list(known), factory=BuildFactory(), **(options or {}))
    facts: dict[str, Any] = {
        "now": NOW,
        "builder": config,
        "most": dict.fromkeys(known),
        "slaves": known,
        "running": (),
        "pause": None,
        "rivals": (),
        "usual_seconds": 60.0,
        "in_the_way": InTheWay(),
    }
    return Snapshot(**(facts | given))


def place(**given: Any) -> Place:
    facts: dict[str, Any] = {
        "request": BuildRequestID(9),
        "priority": 0,
        "submitted_at": NOW - 10,
        "ahead": 0,
        "first": None,
        "first_priority": 0,
    }
    return Place(**(facts | given))


class TestReasons(SynchronousTestCase):
    def why(self, snapshot: Snapshot, **given: Any) -> tuple[str, float | None]:
        found = why_waiting(place(**given), snapshot)
        return found.text, None if found.starts_at is None else found.starts_at - NOW

    def test_nothing_in_the_way(self) -> None:
        self.assertEqual(self.why(at()), ("its turn comes now", 0.0))

    def test_what_only_a_person_can_end(self) -> None:
        table = [
            (self.why(at(), parked_reason="tried 4 times"), "parked: tried 4 times"),
            (self.why(at(builder=None)), "the configuration does not name its builder any more"),
            (self.why(at(in_the_way=InTheWay(draining=True))), "the master is being shut down: nothing new begins"),
            (
                self.why(at(in_the_way=InTheWay(draining=True), pause=BY_ADA), waited_for=True),
                "the builder is paused by ada (new disk)",
            ),
            (self.why(at(pause=BY_ADA)), "the builder is paused by ada (new disk)"),
            (
                self.why(at(pause=BY_ADA._replace(why=""), running=(build(),))),
                "the builder is paused by ada",
            ),
        ]
        for (text, starts), expected in table:
            self.assertEqual((text, starts), (expected, None))

    def test_no_slave(self) -> None:
        table = [
            (
                {"s": NEVER, "t": AWAY},
                "none of its slaves is connected: s has never been here, t has been away for 5 min",
            ),
            ({"s": HERE._replace(pause=BY_ADA)}, "no slave may build it now: s is paused by ada (new disk)"),
            (
                {"s": HERE._replace(pause=BY_ADA._replace(graceful=True)), "t": AWAY},
                "no slave may build it now: s is to be shut down by ada (new disk), t has been away for 5 min",
            ),
        ]
        for slaves, expected in table:
            self.assertEqual(self.why(at(slaves)), (expected, None))
        many = {f"s{number}": NEVER for number in range(7)}
        self.assertIn("s3 has never been here, and 3 more", self.why(at(many))[0])
        unknown = at({"s": HERE}, slaves={})
        self.assertEqual(self.why(unknown)[0], "none of its slaves is connected: s has never been here")

    def test_all_busy_until_about_when(self) -> None:
        self.assertEqual(
            self.why(at(running=(build(),))), ("its slave is busy: b #7 on s, for about 40 s more", 40.0)
        )
        full = at({"s": HERE, "t": HERE}, most={"s": 1, "t": 1}, running=(build("x"), build("b", "t", 3, 300.0)))
        self.assertEqual(
            self.why(full),
            (
                "all its slaves that are here are busy: b #3 on t, 4 min longer than usual, "
                "x #7 on s, for about 40 s more",
                0.0,
            ),
        )
        unknown = at(most={"s": 1}, running=(build("x", earlier=()),))
        self.assertEqual(self.why(unknown), ("its slave is busy: x #7 on s, for 20 s so far", None))

    def test_a_slave_without_a_limit_is_not_busy_with_others(self) -> None:
        self.assertEqual(self.why(at(running=(build("x"), build("y")))), ("its turn comes now", 0.0))

    def test_max_running(self) -> None:
        snapshot = at({"s": HERE, "t": HERE}, {"max_running": 1}, running=(build(),))
        self.assertEqual(
            self.why(snapshot),
            ("as many of its builds run as max_running allows: b #7 on s, for about 40 s more", 40.0),
        )

    def test_locks(self) -> None:
        held = InTheWay(locks={"s": ["lock db held by x/3", "lock tape held by y/4"]})
        self.assertEqual(
            self.why(at(in_the_way=held)),
            ("it waits for lock db held by x/3, lock tape held by y/4", None),
        )
        self.assertEqual(self.why(at({"s": HERE, "t": HERE}, in_the_way=held))[0], "its turn comes now")

    def test_functions_of_the_user(self) -> None:
        everything, one = InTheWay(refusals={None: "nextBuild said no"}), InTheWay(refusals={BuildRequestID(9): "no"})
        self.assertEqual(self.why(at(in_the_way=everything)), ("nextBuild said no", None))
        self.assertEqual(self.why(at(in_the_way=one)), ("no", None))
        self.assertEqual(self.why(at(in_the_way=one), request=BuildRequestID(8))[0], "its turn comes now")

    def test_who_goes_before_it_in_its_queue(self) -> None:
        later = place(ahead=1, first=BuildRequestID(5), first_priority=3)
        found = why_waiting(later, at(running=(build(),)))
        self.assertEqual(
            found.reasons,
            (
                "its slave is busy: b #7 on s, for about 40 s more",
                "request 5 of this builder goes before it (priority 3 over 0)",
            ),
        )
        self.assertEqual(found.starts_at, NOW + 100)
        text, starts = self.why(at(running=(build(),)), ahead=3, first=BuildRequestID(5))
        self.assertIn("3 requests, the first of them request 5, of this builder go before it (asked for earlier)", text)
        self.assertEqual(starts, 40 + 3 * 60)
        self.assertIsNone(self.why(at(usual_seconds=None), ahead=3, first=BuildRequestID(5))[1])

    def test_who_goes_before_it_elsewhere(self) -> None:
        rivals = (Head("x", 2, NOW, 4), Head("y", 0, NOW - 99, 3), Head("z", 0, NOW, 6))
        text, starts = self.why(at(most={"s": 1}, running=(build("x"),), rivals=rivals))
        self.assertIn("; request 4 of x goes before it (priority 2 over 0), and 1 more", text)
        self.assertEqual(starts, 40 + 2 * 60)
        own = at(options={"priority": 5}, rivals=rivals)
        self.assertEqual(self.why(own)[0], "its turn comes now")
        older = at(rivals=rivals[1:])
        self.assertEqual(self.why(older)[0], "request 3 of y goes before it (asked for earlier)")

    def test_several_at_once_on_a_slave(self) -> None:
        two = at(options={"max_builds_per_slave": 2}, running=(build(), build(number=8, ago=50.0)))
        self.assertEqual(
            self.why(two),
            (
                "as many of its builds run on its slave as max_builds_per_slave (2) allows: "
                "b #8 on s, for about 10 s more, b #7 on s, for about 40 s more",
                10.0,
            ),
        )
        self.assertEqual(self.why(two, ahead=1, first=BuildRequestID(5))[1], 40.0)

    def test_nobody_goes_before_it_for_what_its_own_builds_take(self) -> None:
        older = (Head("y", 0, NOW - 99, 3),)
        mine, others = (build(),), (build("x", number=4),)
        said = "b #7 on s, for about 40 s more"
        table = [
            (at(running=mine + others, rivals=older), f"its slave is busy: {said}"),
            (
                at({"s": HERE, "t": HERE}, {"max_running": 1}, running=mine + others, rivals=older),
                f"as many of its builds run as max_running allows: {said}",
            ),
        ]
        for snapshot, expected in table:
            self.assertEqual(self.why(snapshot), (expected, 40.0))

    states = st.sampled_from([HERE, AWAY, NEVER, HERE._replace(pause=BY_ADA)])
    running = st.builds(
        build,
        st.sampled_from("bxy"),
        st.sampled_from("stu"),
        st.integers(1, 9),
        st.floats(0, 1000),
        st.sampled_from([(), MINUTE]),
    )

    @given(
        st.dictionaries(st.sampled_from("stu"), states, min_size=1),
        st.lists(running, max_size=8),
        st.dictionaries(st.sampled_from(["max_running", "max_builds_per_slave"]), st.integers(1, 3)),
        st.none() | st.integers(1, 3),
        st.integers(0, 30),
        st.none() | st.floats(0, 1000),
    )
    def test_there_is_always_a_reason_and_never_a_start_in_the_past(
        self, slaves: Any, running: Any, options: Any, most: Any, ahead: int, usual: Any
    ) -> None:
        snapshot = at(slaves, options, running=tuple(running), most=dict.fromkeys(slaves, most), usual_seconds=usual)
        found = why_waiting(place(ahead=ahead, first=BuildRequestID(1) if ahead else None), snapshot)
        assert found.reasons and all(found.reasons)
        assert found.starts_at is None or found.starts_at >= NOW
