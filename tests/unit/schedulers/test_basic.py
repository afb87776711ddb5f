"""SingleBranchScheduler and AnyBranchScheduler: what is built, when, and with what."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange, Verdict
from buildbot.process.properties import Interpolate, Property, renderer
from buildbot.schedulers import basic, judging
from buildbot.schedulers.basic import AnyBranchScheduler, Scheduler, SingleBranchScheduler
from buildbot.store import changes, schedulers
from tests.unit.schedulers.cases import SchedulerCase


def no_docs(change: Any) -> bool:
    return any(not path.startswith("docs/") for path in change.files)


class ByBranch:
    """As a user's own filter may be: no base class, and no reason in words."""

    def __init__(self, *branches: str) -> None:
        self.branches = branches

    def filter_change(self, change: Any) -> bool:
        return change.branch in self.branches


class ByAuthor:
    def filter_change(self, change: Any) -> bool:
        return self.why_not(change) is None

    def why_not(self, change: Any) -> str | None:
        return None if change.who == "alice" else f"author {change.who!r} is not 'alice'"


class TestAtOnce(SchedulerCase):
    """Without a treeStableTimer."""

    def setUp(self) -> None:
        super().setUp()
        self.scheduler = SingleBranchScheduler("all", "main", builderNames=["full", "quick"])
        self.configure(self.scheduler)

    def test_each_change_gets_a_buildset_of_its_own(self) -> None:
        first, second = self.change(revision="1"), self.change(revision="2")
        self.assertIsNone(self.drive(self.scheduler))
        self.assertEqual(self.built(), [[first], [second]])
        self.assertEqual([self.stamps(b)[0].revision for b in self.buildsets()], ["1", "2"])

    def test_every_builder_gets_a_request(self) -> None:
        self.change()
        self.drive(self.scheduler)
        (buildset,) = self.buildsets()
        self.assertEqual(len(self.requests(buildset)), 2)

    def test_the_stamp_says_what_the_change_says(self) -> None:
        self.change(revision="abc", repository="git://r", project="p")
        self.drive(self.scheduler)
        (stamp,) = self.stamps(self.buildsets()[0])
        self.assertEqual(
            (stamp.repository, stamp.project, stamp.branch, stamp.revision, stamp.codebase),
            ("git://r", "p", "main", "abc", ""),
        )

    def test_the_verdict_names_the_buildset(self) -> None:
        change = self.change()
        self.drive(self.scheduler)
        self.assertEqual(self.verdict(change).buildset_id, self.buildsets()[0].id)

    def test_another_branch_is_not_built_and_the_page_can_say_why(self) -> None:
        change = self.change(branch="topic")
        trunk = self.change(branch=None)
        self.drive(self.scheduler)
        self.assertEqual(self.buildsets(), [])
        self.assertEqual(self.verdict(change).verdict, Verdict.NOT_MINE)
        self.assertIn("branch 'topic' does not match", self.verdict(change).reason)
        self.assertIn("branch None (the trunk) does not match", self.verdict(trunk).reason)

    def test_nothing_is_built_twice(self) -> None:
        self.change()
        for _ in range(3):
            self.drive(self.scheduler)
        self.assertEqual(len(self.buildsets()), 1)

    def test_what_waits_at_the_start_is_built(self) -> None:
        waiting = [self.change() for _ in range(3)]
        self.reopen()
        self.configure(self.scheduler)
        self.drive(self.scheduler)
        self.assertEqual(self.built(), [[change] for change in waiting])

    def test_what_came_before_the_scheduler_is_not_looked_at(self) -> None:
        self.change()
        late = SingleBranchScheduler("late", "main", builderNames=["full"])
        self.configure(self.scheduler, late)
        newer = self.change()
        self.drive(late)
        self.assertEqual(self.built(), [[newer]])

    def test_an_unimportant_change_is_never_built(self) -> None:
        scheduler = SingleBranchScheduler("all", "main", builderNames=["full"], fileIsImportant=no_docs)
        docs = self.change(files=("docs/a",))
        code = self.change(files=("docs/a", "code.py"))
        self.drive(scheduler)
        self.assertEqual(self.built(), [[code]])
        self.assertEqual((self.verdict(docs).verdict, self.verdict(docs).reason), ("unimportant", "no important file"))
        self.assertEqual(schedulers.waiting(self.store, "all"), [])

    def test_zero_seconds_are_at_once(self) -> None:
        scheduler = SingleBranchScheduler("all", "main", 0, ["full"])
        self.change()
        self.assertIsNone(self.drive(scheduler))
        self.assertEqual(len(self.buildsets()), 1)

    def test_ten_thousand_changes_are_built_in_bounded_passes(self) -> None:
        def add_all(store: Any) -> None:
            for number in range(10_000):
                changes.add(store, NewChange("alice", branch="main", revision=str(number)), self.now)

        self.store.transact(add_all)
        asked = self.store.statements
        self.assertEqual(self.drive(self.scheduler), self.now)
        self.assertLess(self.store.statements - asked, 3000)
        self.assertLessEqual(len(self.buildsets()), 100)
        self.drive_until_idle(self.scheduler)
        self.assertEqual(self.built(), [[id] for id in range(1, 10_001)])

    def test_a_scheduler_that_the_configuration_dropped_does_nothing(self) -> None:
        self.change()
        self.configure()
        self.assertIsNone(self.drive(self.scheduler))
        self.assertEqual(self.buildsets(), [])
        self.assertEqual(self.store.value("SELECT count(*) FROM classifications"), 0)

    def test_a_builder_that_is_gone_is_left_out(self) -> None:
        scheduler = SingleBranchScheduler("all", "main", builderNames=["full", "gone"])
        self.change()
        self.drive(scheduler)
        self.assertEqual(len(self.requests(self.buildsets()[0])), 1)


class TestStableTimer(SchedulerCase):
    def setUp(self) -> None:
        super().setUp()
        self.scheduler = SingleBranchScheduler("calm", "main", 60, ["full"], fileIsImportant=no_docs)
        self.configure(self.scheduler)

    def code(self, **fields: Any) -> Any:
        return self.change(files=("code.py",), **fields)

    def docs(self) -> Any:
        return self.change(files=("docs/a",))

    def test_it_waits_until_the_tree_is_quiet(self) -> None:
        change = self.code()
        self.assertEqual(self.drive(self.scheduler), 1060.0)
        self.now = 1059.9
        self.assertEqual(self.drive(self.scheduler), 1060.0)
        self.assertEqual(self.built(), [])
        self.now = 1060.0
        self.assertIsNone(self.drive(self.scheduler))
        self.assertEqual(self.built(), [[change]])

    def test_an_important_change_restarts_it(self) -> None:
        first = self.code(revision="1")
        self.drive(self.scheduler)
        self.now = 1059.0
        second = self.code(revision="2")
        self.assertEqual(self.drive(self.scheduler), 1119.0)
        self.now = 1119.0
        self.drive(self.scheduler)
        self.assertEqual(self.built(), [[first, second]])
        self.assertEqual(self.stamps(self.buildsets()[0])[0].revision, "2")

    def test_an_unimportant_change_rides_along_and_restarts_nothing(self) -> None:
        before = self.docs()
        self.assertIsNone(self.drive(self.scheduler))
        first = self.code(revision="1")
        self.now = 1030.0
        after = self.docs()
        self.assertEqual(self.drive(self.scheduler), 1060.0)
        self.now = 1060.0
        self.drive(self.scheduler)
        self.assertEqual(self.built(), [[before, first, after]])

    def test_with_onlyImportant_the_others_stay_out(self) -> None:
        scheduler = SingleBranchScheduler("calm", "main", 60, ["full"], fileIsImportant=no_docs, onlyImportant=True)
        docs, code = self.docs(), self.code()
        self.drive(scheduler)
        self.now = 1060.0
        self.drive(scheduler)
        self.assertEqual(self.built(), [[code]])
        self.assertEqual(self.verdict(docs).verdict, Verdict.NOT_MINE)

    def test_it_counts_from_the_arrival_and_not_from_the_commits_own_date(self) -> None:
        self.code(committed_at=10.0)
        self.assertEqual(self.drive(self.scheduler), 1060.0)

    def test_a_restart_does_not_restart_the_timer(self) -> None:
        change = self.code()
        self.drive(self.scheduler)
        self.now = 1100.0
        self.reopen()
        self.configure(self.scheduler)
        self.drive(self.scheduler)
        self.assertEqual(self.built(), [[change]])

    def test_a_clock_that_was_set_back_holds_nothing_up(self) -> None:
        self.now = 9_000_000.0
        change = self.code()
        self.now = 1000.0
        self.drive(self.scheduler)
        self.assertEqual(self.built(), [[change]])

    def test_many_changes_at_once_are_one_buildset(self) -> None:
        ids = [self.code() for _ in range(250)]
        self.now = 1100.0
        self.drive_until_idle(self.scheduler)
        self.assertEqual(self.built(), [ids])

    def test_more_changes_than_a_buildset_takes_go_into_several(self) -> None:
        self.patch(judging, "MOST_CHANGES", 100)
        ids = [self.code() for _ in range(250)]
        self.now = 1100.0
        self.drive_until_idle(self.scheduler)
        self.assertEqual(self.built(), [ids[:100], ids[100:200], ids[200:]])

    def test_a_pass_ends_when_it_has_taken_long_enough(self) -> None:
        self.patch(basic, "DECIDING_SECONDS", 0.0)
        scheduler = AnyBranchScheduler("calm", None, 60, ["full"])
        ids = [self.change(branch=branch) for branch in "abc"]
        self.now = 1100.0
        self.assertEqual(self.drive(scheduler), 1060.0)
        self.assertEqual(self.built(), [ids[:1]])
        self.drive_until_idle(scheduler)
        self.assertEqual(self.built(), [[id] for id in ids])

    def test_unimportant_changes_do_not_pile_up_for_ever(self) -> None:
        self.patch(schedulers, "MOST_UNIMPORTANT", 5)
        ids = [self.docs() for _ in range(20)]
        self.drive(self.scheduler)
        self.assertEqual([change.id for change, _ in schedulers.waiting(self.store, "calm")], ids[-5:])

    def test_people_see_what_comes_next(self) -> None:
        self.code()
        self.drive(self.scheduler)
        self.assertEqual(self.scheduler.next_builds(self.store, self.now), [(None, 1060.0)])

    def test_one_timer_for_all_branches_that_the_filter_lets_through(self) -> None:
        scheduler = SingleBranchScheduler(
            "calm", treeStableTimer=60, builderNames=["full"], change_filter=ByBranch("a", "b")
        )
        one, two = self.change(branch="a"), self.change(branch="b", revision="newest")
        self.drive(scheduler)
        self.now = 1060.0
        self.drive(scheduler)
        self.assertEqual(self.built(), [[one, two]])
        self.assertEqual(self.stamps(self.buildsets()[0])[0].branch, "b")


class TestAnyBranch(SchedulerCase):
    def test_each_branch_has_a_timer_of_its_own(self) -> None:
        scheduler = AnyBranchScheduler("any", None, 60, ["full"])
        self.configure(scheduler)
        a1 = self.change(branch="a")
        self.now = 1030.0
        b1 = self.change(branch="b")
        self.assertEqual(self.drive(scheduler), 1060.0)
        self.now = 1060.0
        self.assertEqual(self.drive(scheduler), 1090.0)
        self.assertEqual(self.built(), [[a1]])
        self.now = 1090.0
        self.assertIsNone(self.drive(scheduler))
        self.assertEqual(self.built(), [[a1], [b1]])

    def test_so_have_project_and_repository(self) -> None:
        scheduler = AnyBranchScheduler("any", None, 60, ["full"])
        self.configure(scheduler)
        ids = [
            self.change(project="p"),
            self.change(project="q"),
            self.change(repository="r"),
            self.change(repository="r"),
        ]
        self.now = 1060.0
        self.drive(scheduler)
        self.assertEqual(sorted(self.built()), [[ids[0]], [ids[1]], ids[2:]])

    def test_the_trunk_is_a_branch_as_any(self) -> None:
        scheduler = AnyBranchScheduler("any", None, 60, ["full"])
        self.configure(scheduler)
        trunk, other = self.change(branch=None), self.change(branch="main")
        self.now = 1060.0
        self.drive(scheduler)
        self.assertEqual(self.built(), [[trunk], [other]])

    def test_only_the_branches_that_are_named(self) -> None:
        scheduler = AnyBranchScheduler("any", ["a", None], None, ["full"])
        self.configure(scheduler)
        ids = [self.change(branch=branch) for branch in ("a", "b", None)]
        self.drive(scheduler)
        self.assertEqual(self.verdicts(ids), [Verdict.IMPORTANT, Verdict.NOT_MINE, Verdict.IMPORTANT])

    def test_an_unimportant_change_rides_only_on_its_own_branch(self) -> None:
        scheduler = AnyBranchScheduler("any", None, 60, ["full"], no_docs)
        self.configure(scheduler)
        self.change(branch="a", files=("docs/x",))
        code = self.change(branch="b", files=("x.py",))
        self.drive(scheduler)
        self.now = 1060.0
        self.drive(scheduler)
        self.assertEqual(self.built(), [[code]])
        self.assertEqual(len(schedulers.waiting(self.store, "any")), 1)

    def test_many_branches_at_once_are_built_in_bounded_passes(self) -> None:
        scheduler = AnyBranchScheduler("any", None, 60, ["full", "quick"])
        self.configure(scheduler)
        for number in range(250):
            self.change(branch=f"b{number}")
        self.now = 1060.0
        counts = [0]
        while self.drive(scheduler) == self.now:
            counts.append(len(self.buildsets()))
        counts.append(len(self.buildsets()))
        self.assertLessEqual(max(after - before for before, after in pairwise(counts)), 100)
        self.assertEqual(counts[-1], 250)


class TestFilters(SchedulerCase):
    def test_categories(self) -> None:
        scheduler = AnyBranchScheduler("any", builderNames=["full"], categories=["a", None])
        self.configure(scheduler)
        ids = [self.change(category=category) for category in ("a", "b", None)]
        self.drive(scheduler)
        self.assertEqual(self.verdicts(ids), [Verdict.IMPORTANT, Verdict.NOT_MINE, Verdict.IMPORTANT])
        self.assertIn("category 'b' is not one of 'a', None", self.verdict(ids[1]).reason)

    def test_a_change_filter_says_why(self) -> None:
        scheduler = AnyBranchScheduler("any", builderNames=["full"], change_filter=ByAuthor())
        self.configure(scheduler)
        mine, other = self.change(), self.change(author="bob")
        self.drive(scheduler)
        self.assertEqual(self.verdicts([mine, other]), [Verdict.IMPORTANT, Verdict.NOT_MINE])
        self.assertEqual(self.verdict(other).reason, "author 'bob' is not 'alice'")

    def test_a_users_own_filter_need_not_say_why(self) -> None:
        scheduler = AnyBranchScheduler("any", builderNames=["full"], change_filter=ByBranch("x"))
        self.configure(scheduler)
        change = self.change()
        self.drive(scheduler)
        self.assertEqual(self.verdict(change).verdict, Verdict.NOT_MINE)


class TestCodebases(SchedulerCase):
    CODEBASES = {"app": {"repository": "git://app", "branch": "main"}, "lib": {"repository": "git://lib"}}

    def test_a_codebase_without_a_change_gets_its_defaults(self) -> None:
        scheduler = AnyBranchScheduler("both", builderNames=["full"], codebases=self.CODEBASES)
        self.configure(scheduler)
        self.change(codebase="lib", repository="git://mirror", revision="7")
        self.drive(scheduler)
        app, lib = self.stamps(self.buildsets()[0])
        self.assertEqual((app.codebase, app.repository, app.branch, app.revision), ("app", "git://app", "main", None))
        self.assertEqual((lib.codebase, lib.repository, lib.branch, lib.revision), ("lib", "git://mirror", "main", "7"))

    def test_an_unknown_codebase_is_not_mine(self) -> None:
        scheduler = AnyBranchScheduler("both", builderNames=["full"], codebases=["app", "lib"])
        self.configure(scheduler)
        change = self.change()
        self.drive(scheduler)
        self.assertIn("codebase '' is not one of 'app', 'lib'", self.verdict(change).reason)

    def test_changes_of_two_codebases_make_one_buildset(self) -> None:
        scheduler = SingleBranchScheduler("both", "main", 60, ["full"], codebases=["app", "lib"])
        self.configure(scheduler)
        self.change(codebase="app", revision="a1")
        self.change(codebase="lib", revision="l1")
        self.change(codebase="app", revision="a2")
        self.now = 1060.0
        self.drive(scheduler)
        (buildset,) = self.buildsets()
        self.assertEqual([(s.codebase, s.revision) for s in self.stamps(buildset)], [("app", "a2"), ("lib", "l1")])

    def test_absolute_stamps_repeat_what_was_last_built(self) -> None:
        scheduler = AnyBranchScheduler(
            "both", builderNames=["full"], codebases=self.CODEBASES, createAbsoluteSourceStamps=True
        )
        self.configure(scheduler)
        self.change(codebase="lib", repository="git://lib", revision="l1")
        self.drive(scheduler)
        self.change(codebase="app", repository="git://app", revision="a1")
        self.drive(scheduler)
        newest = self.buildsets()[-1]
        self.assertEqual([(s.codebase, s.revision) for s in self.stamps(newest)], [("app", "a1"), ("lib", "l1")])


class TestWhatABuildsetGets(SchedulerCase):
    def test_the_reason_names_scheduler_and_class(self) -> None:
        scheduler = SingleBranchScheduler("all", "main", builderNames=["full"])
        self.configure(scheduler)
        self.change()
        self.drive(scheduler)
        self.assertEqual(
            self.buildsets()[0].reason, "The SingleBranchScheduler scheduler named 'all' triggered this build"
        )

    def test_a_template_of_ones_own(self) -> None:
        self.assertEqual(AnyBranchScheduler("x", builderNames=[], reason="%(name)s, 100%%").reason, "x, 100%")

    def test_properties_of_the_newest_change_and_over_them_the_schedulers(self) -> None:
        scheduler = SingleBranchScheduler("all", "main", 60, ["full"], properties={"b": "ours", "c": [1, {"d": None}]})
        self.configure(scheduler)
        self.change(properties=(("a", "old"), ("old", 1)))
        self.change(properties=(("a", 1), ("b", 2)))
        self.now = 1060.0
        self.drive(scheduler)
        found = self.properties(self.buildsets()[0])
        self.assertEqual({name: (p.value, p.source) for name, p in found.items()}, {
            "a": (1, "Change"),
            "b": ("ours", "Scheduler"),
            "c": ([1, {"d": None}], "Scheduler"),
            "scheduler": ("all", "Scheduler"),
        })  # fmt: skip

    def test_priority(self) -> None:
        scheduler = SingleBranchScheduler("all", "main", builderNames=["full", "quick"], priority=7)
        self.configure(scheduler)
        self.change()
        self.drive(scheduler)
        self.assertEqual([request.priority for request in self.requests(self.buildsets()[0])], [7, 7])

    def test_priority_may_be_a_function_of_the_changes(self) -> None:
        asked = []

        async def priority(builder_names: list[str], by_codebase: dict[str, list[Any]]) -> int:
            asked.append((builder_names, {name: [c["branch"] for c in seen] for name, seen in by_codebase.items()}))
            return 9

        scheduler = AnyBranchScheduler("all", builderNames=["full"], priority=priority)
        self.configure(scheduler)
        self.change(branch="x")
        self.drive(scheduler)
        self.assertEqual(asked, [(["full"], {"": ["x"]})])
        self.assertEqual(self.requests(self.buildsets()[0])[0].priority, 9)

    def test_properties_may_be_rendered(self) -> None:
        properties = {"who": Interpolate("by %(prop:scheduler)s"), "ticket": Property("issue"), "plain": 1}
        scheduler = AnyBranchScheduler("all", builderNames=["full"], properties=properties)
        self.configure(scheduler)
        self.change(properties=(("issue", 12),))
        self.drive(scheduler)
        found = self.properties(self.buildsets()[0])
        self.assertEqual((found["who"].value, found["ticket"].value, found["plain"].value), ("by all", 12, 1))

    def test_builder_names_may_be_rendered(self) -> None:
        @renderer
        def names(properties: Any) -> list[str]:
            return ["quick"] if properties.getProperty("hurry") else ["full", "quick"]

        scheduler = AnyBranchScheduler("all", builderNames=names)
        self.configure(scheduler)
        self.change(properties=(("hurry", True),))
        self.change()
        self.drive_until_idle(scheduler)
        self.assertEqual([len(self.requests(buildset)) for buildset in self.buildsets()], [1, 2])
        self.assertEqual(scheduler.listBuilderNames(), [])

    def test_a_list_of_names_may_hold_renderables(self) -> None:
        scheduler = AnyBranchScheduler("all", builderNames=["full", Interpolate("%(src::branch)s")])
        self.configure(scheduler)
        self.change(branch="quick")
        self.drive_until_idle(scheduler)
        self.assertEqual(len(self.requests(self.buildsets()[0])), 2)

    def test_a_change_for_which_no_builder_is_wanted_is_not_built(self) -> None:
        @renderer
        def names(props: Any) -> list[str]:
            return ["full"] if "x.c" in props.files else []

        scheduler = AnyBranchScheduler("all", builderNames=names)
        self.configure(scheduler)
        other, mine = self.change(files=("x.txt",)), self.change(files=("x.c",))
        self.drive_until_idle(scheduler)
        self.assertEqual(self.built(), [[mine]])
        (verdict,) = schedulers.verdicts(self.store, other)
        self.assertEqual(verdict.verdict, Verdict.NOT_MINE)
        self.assertIn("builderNames gives no builder", verdict.reason)

    def test_renderables_see_what_will_be_built(self) -> None:
        asked = []

        @renderer
        def names(props: Any) -> list[str]:
            asked.append((props.files, [change.revision for change in props.changes], props.sourcestamps))
            return ["full"]

        scheduler = AnyBranchScheduler(
            "all",
            builderNames=names,
            codebases={"": {}, "lib": {"repository": "L", "branch": "stable"}},
            properties={"on": Interpolate("%(src::branch)s/%(src:lib:branch)s/%(src:no:branch:-none)s")},
        )
        self.configure(scheduler)
        self.change(revision="1", files=("b.c", "a.c"), repository="R", project="P")
        self.drive_until_idle(scheduler)
        lib = {"codebase": "lib", "repository": "L", "project": None, "branch": "stable", "revision": None}
        main = {"codebase": "", "repository": "R", "project": "P", "branch": "main", "revision": "1"}
        self.assertEqual(asked, [(["a.c", "b.c"], ["1"], [main, lib])])
        self.assertEqual(self.properties(self.buildsets()[0])["on"].value, "main/stable/none")


class TestArguments(SchedulerCase):
    def test_the_order_of_0_7(self) -> None:
        scheduler = Scheduler("all", "main", 60, ["full"], no_docs, {"a": 1})
        self.assertEqual(
            (scheduler.branches, scheduler.treeStableTimer, scheduler.builderNames), (("main",), 60, ["full"])
        )
        self.assertIs(scheduler.fileIsImportant, no_docs)
        self.assertEqual(scheduler.properties, {"a": 1})
        other = AnyBranchScheduler("any", ["main"], 60, ["full"], no_docs)
        self.assertEqual((other.branches, other.treeStableTimer), (("main",), 60))

    def refused(self, expected: str, make: Any, *args: Any, **kwargs: Any) -> None:
        with self.assertRaises(ConfigErrors) as caught:
            make(*args, **kwargs)
        self.assertIn(expected, str(caught.exception))

    def test_mistakes_are_named(self) -> None:
        names = {"builderNames": ["full"]}
        table: list[tuple[str, Any, dict[str, Any]]] = [
            ("needs a branch or a change_filter", SingleBranchScheduler, names),
            ("takes one branch", SingleBranchScheduler, {**names, "branches": ["a"], "branch": "a"}),
            ("takes branches", AnyBranchScheduler, {**names, "branch": "a"}),
            ("branches is a list", AnyBranchScheduler, {**names, "branches": "main"}),
            ("branch is a string or None", SingleBranchScheduler, {**names, "branch": 7}),
            ("builderNames is a list", AnyBranchScheduler, {"builderNames": "full"}),
            ("builderNames is a list", AnyBranchScheduler, {}),
            ("in builderNames is not the name", AnyBranchScheduler, {"builderNames": ["full", 3]}),
            ("treeStableTimer is a number", AnyBranchScheduler, {**names, "treeStableTimer": "60"}),
            ("treeStableTimer is a number", AnyBranchScheduler, {**names, "treeStableTimer": -1}),
            ("fileIsImportant is a function", AnyBranchScheduler, {**names, "fileIsImportant": "*.c"}),
            ("change_filter is a ChangeFilter", AnyBranchScheduler, {**names, "change_filter": no_docs}),
            ("not both", AnyBranchScheduler, {**names, "change_filter": ByAuthor(), "categories": ["a"]}),
            ("not both", SingleBranchScheduler, {**names, "change_filter": ByAuthor(), "branch": "a"}),
            ("properties is a dictionary", AnyBranchScheduler, {**names, "properties": [1]}),
            ("must be plain data", AnyBranchScheduler, {**names, "properties": {"a": object()}}),
            ("codebases is a list", AnyBranchScheduler, {**names, "codebases": "x"}),
            ("did you mean 'repository'?", AnyBranchScheduler, {**names, "codebases": {"x": {"repositry": "y"}}}),
            ("priority is an int", AnyBranchScheduler, {**names, "priority": "high"}),
            ("reason takes", AnyBranchScheduler, {**names, "reason": "%(builder)s"}),
            ("did you mean 'treeStableTimer'?", AnyBranchScheduler, {**names, "treeStableTimr": 3}),
        ]
        for expected, make, kwargs in table:
            self.refused(expected, make, "sched", **kwargs)

    def test_a_name_is_needed(self) -> None:
        self.refused("name is a string", AnyBranchScheduler, "", builderNames=[])
