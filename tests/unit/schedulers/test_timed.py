"""Periodic, Nightly and NightlyTriggerable: one build for each time, whatever happens to the master in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from buildbot.config.errors import ConfigErrors, collecting
from buildbot.model import BuildID, Property, Verdict
from buildbot.process.properties import Interpolate, renderer
from buildbot.schedulers.base import BaseScheduler, Parent
from buildbot.schedulers.stamps import NewPatch, Stamp
from buildbot.schedulers.timed import Nightly, NightlyTriggerable, Periodic
from buildbot.store import pauses, schedulers, sourcestamps
from tests.unit.schedulers.cases import SchedulerCase

DAY = 86_400.0


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class TimedCase(SchedulerCase):
    make: Callable[..., BaseScheduler]

    def setUp(self) -> None:
        super().setUp()
        self.now = utc("2026-03-02T12:00")

    def use(self, make: Callable[[], BaseScheduler]) -> None:
        """A new object for every decision, as if each were a process of its own."""
        self.make = make
        self.configure(make())

    def decide(self) -> float | None:
        self.reopen()
        return self.drive_until_idle(self.make())

    def at(self, text: str) -> float | None:
        self.now = utc(text)
        return self.decide()

    def submitted(self) -> list[str]:
        return [
            datetime.fromtimestamp(buildset.submitted_at, UTC).strftime("%d %H:%M") for buildset in self.buildsets()
        ]

    def next(self) -> list[str]:
        times = self.make().times(schedulers.state(self.store, self.make().name, "last time"), self.now, 5)
        return [datetime.fromtimestamp(time, UTC).strftime("%d %H:%M") for time in times]


class TestPeriodic(TimedCase):
    def setUp(self) -> None:
        super().setUp()
        self.use(lambda: Periodic("p", ["full"], 3600))

    def test_it_begins_at_once_and_goes_on_with_its_period(self) -> None:
        self.assertEqual(self.decide(), utc("2026-03-02T13:00"))
        self.assertIsNotNone(self.at("2026-03-02T12:59:59"))
        self.at("2026-03-02T13:00")
        self.at("2026-03-02T13:00:01")
        self.assertEqual(self.submitted(), ["02 12:00", "02 13:00"])

    def test_a_wake_that_comes_late_does_not_move_the_times(self) -> None:
        self.decide()
        self.assertEqual(self.at("2026-03-02T13:00:07"), utc("2026-03-02T14:00"))

    def test_a_restart_builds_nothing_twice_and_loses_nothing(self) -> None:
        self.decide()
        self.at("2026-03-02T12:30")  # restarted within the period
        self.assertEqual(self.submitted(), ["02 12:00"])
        self.at("2026-03-02T18:40")  # away for hours: one build for all that was missed
        self.at("2026-03-02T18:41")
        self.assertEqual(self.submitted(), ["02 12:00", "02 18:40"])
        self.assertEqual(self.next(), ["02 19:40", "02 20:40", "02 21:40", "02 22:40", "02 23:40"])

    def test_what_was_missed_may_be_left_out(self) -> None:
        self.use(lambda: Periodic("p", ["full"], 3600, buildMissed=False))
        self.decide()
        self.assertEqual(self.at("2026-03-02T18:40"), utc("2026-03-02T19:00"))
        self.at("2026-03-02T19:00")
        self.assertEqual(self.submitted(), ["02 12:00", "02 19:00"])

    def test_another_period_counts_from_the_last_build(self) -> None:
        self.decide()
        self.use(lambda: Periodic("p", ["full"], 600))
        self.assertEqual(self.at("2026-03-02T12:05"), utc("2026-03-02T12:10"))

    def test_a_clock_that_is_set_back(self) -> None:
        self.at("2030-01-01T00:00")
        self.assertEqual(self.at("2026-03-02T12:00"), utc("2026-03-02T13:00"))
        self.at("2026-03-02T13:00")
        self.assertEqual(self.submitted(), ["01 00:00", "02 13:00"])

    def test_a_scheduler_that_comes_back_begins_anew(self) -> None:
        self.decide()
        self.configure()
        self.now += DAY
        self.configure(self.make())
        self.decide()
        self.assertEqual(len(self.buildsets()), 2)

    def test_only_if_changed(self) -> None:
        self.use(lambda: Periodic("p", ["full"], 3600, branch="main", onlyIfChanged=True))
        self.decide()
        self.assertEqual(self.buildsets(), [])
        change, other = self.change(branch="main"), self.change(branch="other")
        self.at("2026-03-02T13:00")
        self.at("2026-03-02T14:00")
        self.assertEqual((self.built(), self.submitted()), ([[change]], ["02 13:00"]))
        self.assertEqual(self.verdict(other).verdict, Verdict.NOT_MINE)

    def test_wrong_arguments(self) -> None:
        for wrong in (0, -1, "60", True, None):
            with self.assertRaises(ConfigErrors):
                Periodic("p", ["full"], wrong)  # type: ignore[arg-type]
        with self.assertRaises(ConfigErrors):
            Periodic("p", ["full"], 60, branch=7)


class TestNightly(TimedCase):
    def nightly(self, **kwargs: Any) -> None:
        given = {"hour": 3, "timezone": "UTC"} | kwargs
        self.use(lambda: Nightly("n", ["full"], **given))

    def test_every_night_once(self) -> None:
        self.nightly()
        self.assertEqual(self.decide(), utc("2026-03-03T03:00"))
        self.assertEqual(self.buildsets(), [])
        for night in ("03", "04", "05"):
            self.at(f"2026-03-{night}T02:59:59.9")
            self.at(f"2026-03-{night}T03:00")
            self.at(f"2026-03-{night}T03:00:20")
        self.assertEqual(self.submitted(), ["03 03:00", "04 03:00", "05 03:00"])
        self.assertEqual(self.next()[:2], ["06 03:00", "07 03:00"])

    def test_the_same_object_decides_as_a_new_one_each_time(self) -> None:
        self.nightly(minute=[0, 30], hour="*/2")
        kept = self.make()
        fresh, same = [], []
        for make, found in ((self.make, fresh), (lambda: kept, same)):
            self.now = utc("2026-03-02T12:00")
            self.store.execute("DELETE FROM scheduler_state")
            self.make = make
            for _ in range(30):
                before = len(self.buildsets())
                wake_at = self.decide()
                found.append((wake_at, len(self.buildsets()) - before))
                self.now += 1234
        self.assertEqual(fresh, same)
        self.assertEqual(sum(count for _, count in fresh), 9)

    def test_what_was_missed_is_built_once_when_the_master_is_back(self) -> None:
        self.nightly()
        self.decide()
        self.at("2026-03-09T08:00")
        self.at("2026-03-09T08:01")
        self.assertEqual(self.submitted(), ["09 08:00"])
        self.assertEqual(self.next()[0], "10 03:00")

    def test_or_left_out(self) -> None:
        self.nightly(buildMissed=False)
        self.decide()
        self.at("2026-03-09T08:00")
        self.assertEqual(self.submitted(), [])
        self.at("2026-03-10T03:00:30")
        self.assertEqual(self.submitted(), ["10 03:00"])

    def test_another_schedule_has_missed_nothing(self) -> None:
        self.nightly()
        self.at("2026-03-03T03:00")
        self.nightly(hour=5)
        self.assertEqual(self.at("2026-03-03T12:00"), utc("2026-03-04T05:00"))
        self.assertEqual(self.submitted(), [])

    def test_a_clock_that_is_set_back_a_little_builds_nothing_twice(self) -> None:
        self.nightly()
        self.decide()
        self.at("2026-03-03T03:00")
        self.at("2026-03-03T02:59:30")
        self.at("2026-03-03T03:00")
        self.assertEqual(self.submitted(), ["03 03:00"])

    def test_the_clock_of_a_time_zone(self) -> None:
        self.nightly(hour=2, minute=30, timezone="Europe/Berlin")
        self.assertEqual(self.at("2026-03-27T12:00"), utc("2026-03-28T01:30"))
        for moment in ("2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"):
            self.at(moment)
        self.assertEqual(self.submitted(), ["28 01:30", "29 01:30", "30 00:30"])

    def test_the_newest_of_the_branch_is_built(self) -> None:
        self.nightly(branch="stable", codebases={"a": {"repository": "ra"}, "b": {"branch": "not this"}})
        self.decide()
        self.at("2026-03-03T03:00")
        found = [(s.codebase, s.repository, s.branch, s.revision) for s in self.stamps(self.buildsets()[0])]
        self.assertEqual(found, [("a", "ra", "stable", None), ("b", "", "stable", None)])

    def test_reason_properties_and_priority(self) -> None:
        self.nightly(reason="%(name)s!", properties={"x": Interpolate("%(prop:scheduler)s")}, priority=4)
        self.decide()
        self.at("2026-03-03T03:00")
        (buildset,) = self.buildsets()
        self.assertEqual((buildset.reason, buildset.scheduler), ("n!", "n"))
        self.assertEqual(self.properties(buildset)["x"].value, "n")
        self.assertEqual(self.requests(buildset)[0].priority, 4)

    def test_a_function_that_fails_costs_this_time_only(self) -> None:
        broken = [True]

        @renderer
        def names(props: Any) -> list[str]:
            if broken:
                raise ValueError("no idea")
            return ["full"]

        self.use(lambda: Nightly("n", names, hour=3, timezone="UTC"))
        self.decide()
        self.at("2026-03-03T03:00")
        broken.clear()
        self.at("2026-03-03T03:01")
        self.at("2026-03-04T03:00")
        self.assertEqual(self.submitted(), ["04 03:00"])
        self.flushLoggedErrors(ValueError)


class TestOnlyIfChanged(TimedCase):
    def nightly(self, **kwargs: Any) -> None:
        given = {"hour": 3, "timezone": "UTC", "onlyIfChanged": True} | kwargs
        self.use(lambda: Nightly("n", ["full"], **given))
        self.decide()

    def test_a_night_without_a_change_has_no_build_and_the_next_one_has_its_own(self) -> None:
        self.nightly()
        self.at("2026-03-03T03:00")
        first = [self.change(revision="1"), self.change(revision="2")]
        self.at("2026-03-04T03:00")
        self.at("2026-03-05T03:00")
        third = self.change(revision="3")
        self.at("2026-03-06T03:00")
        self.assertEqual(self.built(), [first, [third]])
        self.assertEqual(self.submitted(), ["04 03:00", "06 03:00"])
        self.assertEqual([self.stamps(b)[0].revision for b in self.buildsets()], ["2", "3"])

    def test_a_change_that_comes_just_before_the_time_is_in_it(self) -> None:
        self.nightly()
        self.now = utc("2026-03-03T03:00")
        changes = [self.change(revision=str(number)) for number in range(250)]  # more than one pass judges
        self.decide()
        self.assertEqual(self.built(), [changes])

    def test_unimportant_changes_start_nothing_and_ride_along(self) -> None:
        self.nightly(fileIsImportant=lambda change: "a.c" in change.files)
        doc = self.change(files=("README",))
        self.at("2026-03-03T03:00")
        self.assertEqual(self.built(), [])
        code = self.change(files=("a.c",))
        self.at("2026-03-04T03:00")
        self.assertEqual(self.built(), [[doc, code]])

    def test_only_important(self) -> None:
        self.nightly(fileIsImportant=lambda change: "a.c" in change.files, onlyImportant=True)
        self.change(files=("README",))
        code = self.change(files=("a.c",))
        self.at("2026-03-03T03:00")
        self.assertEqual(self.built(), [[code]])

    def test_unimportant_changes_do_not_pile_up(self) -> None:
        self.patch(schedulers, "MOST_UNIMPORTANT", 10)
        self.nightly(fileIsImportant=lambda change: False)
        for number in range(30):
            self.change(revision=str(number))
        self.decide()
        waiting = self.store.value("SELECT count(*) FROM classifications WHERE retired = 0")
        self.assertEqual(waiting, 10)

    def test_a_change_filter(self) -> None:
        class OfAda:
            def filter_change(self, change: Any) -> bool:
                return bool(change.who == "ada")

        self.nightly(change_filter=OfAda(), branch="main")
        self.change(author="bob")
        mine = self.change(author="ada")
        self.change(author="ada", branch="topic")
        self.at("2026-03-03T03:00")
        self.assertEqual(self.built(), [[mine]])

    def test_a_codebase_in_which_nothing_changed(self) -> None:
        self.nightly(codebases={"a": {}, "b": {"repository": "rb"}}, createAbsoluteSourceStamps=True)
        self.change(codebase="a", revision="a1")
        self.change(codebase="b", revision="b1", repository="rb")
        self.at("2026-03-03T03:00")
        self.change(codebase="a", revision="a2")
        self.at("2026-03-04T03:00")
        found = [{s.codebase: s.revision for s in self.stamps(buildset)} for buildset in self.buildsets()]
        self.assertEqual(found, [{"a": "a1", "b": "b1"}, {"a": "a2", "b": "b1"}])

    def test_at_some_times_it_builds_all_the_same(self) -> None:
        self.nightly(hour="*", force_at_hour=12, force_at_minute=30, force_at_day_of_week=0)
        for hour in range(24):
            self.at(f"2026-03-09T{hour:02}:00")  # a Monday
            self.at(f"2026-03-09T{hour:02}:30")
        self.assertEqual(self.submitted(), ["09 12:30"])

    def test_when_it_begins_to_look_at_changes_it_begins_with_those_of_that_day(self) -> None:
        self.use(lambda: Nightly("n", ["full"], hour=3, timezone="UTC"))
        self.decide()
        self.change(revision="old")
        self.decide()
        self.nightly()
        new = self.change(revision="new")
        self.at("2026-03-03T03:00")
        self.assertEqual(self.built(), [[new]])

    def test_arguments_without_effect_are_told(self) -> None:
        with collecting("master.cfg", ".") as found:
            Nightly("n", ["full"], hour=3, fileIsImportant=lambda change: True)
        self.assertIn("fileIsImportant has no effect without onlyIfChanged", str(found.warnings))

    def test_mistakes(self) -> None:
        for wrong, message in (
            ({"hour": 25}, "scheduler 'n': "),
            ({"timezone": "Europe/Berlni"}, "there is no time zone 'Europe/Berlni'"),
            ({"timezone": 2}, "there is no time zone 2"),
            ({"dayOfweek": 1}, "did you mean 'dayOfWeek'?"),
        ):
            with self.subTest(wrong), self.assertRaises(ConfigErrors) as caught:
                Nightly("n", ["full"], **wrong)
            self.assertIn(message, str(caught.exception))


class TestPaused(TimedCase):
    def test_times_pass_without_a_build(self) -> None:
        self.use(lambda: Nightly("n", ["full"], hour=3, timezone="UTC"))
        self.decide()
        self.store.transact(pauses.begin, pauses.Kind.SCHEDULER, "n", self.now, who="ada", why="")
        self.at("2026-03-03T03:00")
        self.at("2026-03-03T09:00")
        self.store.transact(pauses.end, pauses.Kind.SCHEDULER, "n", self.now, who="ada", why="")
        self.assertEqual(self.decide(), utc("2026-03-04T03:00"))
        self.assertEqual(self.submitted(), [])
        self.at("2026-03-04T03:00")
        self.assertEqual(self.submitted(), ["04 03:00"])


class TestNightlyTriggerable(TimedCase):
    def setUp(self) -> None:
        super().setUp()
        self.use(lambda: NightlyTriggerable("n", ["full"], hour=3, timezone="UTC", properties={"a": "own", "b": "own"}))
        self.decide()

    def trigger(self, *given: Stamp, **values: Any) -> None:
        scheduler: Any = self.make()
        properties = [Property(name, value, "Trigger") for name, value in values.items()]
        settled = self.value_of(scheduler.prepare(properties, 5))
        parent = Parent(BuildID(77), "Triggered from", True)
        self.assertIsNone(self.store.transact(scheduler.trigger, settled, given, parent, self.now))

    def test_nothing_without_a_trigger(self) -> None:
        self.at("2026-03-03T03:00")
        self.assertEqual(self.buildsets(), [])

    def test_the_last_trigger_is_built_once_at_the_next_time(self) -> None:
        patch = NewPatch(b"diff \xff", 0, "sub", "ann", "why")
        self.trigger(Stamp(branch="old"))
        self.trigger(Stamp(branch="main", revision="7", patch=patch), a="theirs")
        self.assertEqual(self.buildsets(), [])
        self.at("2026-03-03T03:00")
        self.at("2026-03-04T03:00")
        (buildset,) = self.buildsets()
        (stamp,) = self.stamps(buildset)
        self.assertEqual((stamp.branch, stamp.revision), ("main", "7"))
        assert stamp.patch_id is not None
        self.assertEqual(tuple(sourcestamps.patch(self.store, stamp.patch_id) or ())[1:], (0, b"diff \xff", *patch[2:]))
        given = {name: each.value for name, each in self.properties(buildset).items()}
        self.assertEqual(given, {"a": "theirs", "b": "own", "scheduler": "n"})
        self.assertEqual(self.requests(buildset)[0].waited_for, False)
        self.assertIsNone(buildset.parent_build_id)  # that build is not known any more
        self.assertEqual(buildset.reason, "The NightlyTriggerable scheduler named 'n' triggered this build")
