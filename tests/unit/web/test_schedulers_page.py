"""The pages of schedulers: what they say, what they cost, and what people may do there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import ensureDeferred

from buildbot.config.authz import ActionAuthz, Authz, EnableSchedulerEndpointMatcher, ForceBuildEndpointMatcher
from buildbot.model import NewChange
from buildbot.schedulers.base import drive
from buildbot.schedulers.basic import AnyBranchScheduler, SingleBranchScheduler
from buildbot.schedulers.forcesched import ForceScheduler
from buildbot.schedulers.timed import Nightly, Periodic
from buildbot.store import actions, changes, pauses, schedulers
from buildbot.store.pauses import Kind
from tests.unit.web.test_actions import USERS
from tests.unit.web.visitor import NOW, SiteCase

NIGHTLY = "/schedulers/n%20%3Cx%3E"


class SchedulerPages(SiteCase):
    def setUp(self) -> None:
        super().setUp()
        self.configure({"full": ["s1"], "quick": ["s1"]})
        self.use(
            Nightly("n <x>", ["full"], hour=3, timezone="UTC"),
            SingleBranchScheduler("main", "main", 600, ["full", "quick"]),
            ForceScheduler("force", ["full"]),
        )

    def use(self, *given: Any) -> None:
        self.config = replace(self.config, schedulers=given)
        self.store.transact(schedulers.sync, [scheduler.name for scheduler in given], self.now)
        self.drive()

    def drive(self) -> None:
        for scheduler in self.config.schedulers:
            self.successResultOf(ensureDeferred(drive(scheduler, self.store, self.now)))

    def change(self, **fields: Any) -> None:
        self.store.transact(changes.add, NewChange(author="Ann <ann@x>", comments="mend it", **fields), self.now)
        self.drive()


class TestWhatTheySay(SchedulerPages):
    def test_the_list(self) -> None:
        self.change(branch="main", revision="1")
        words = self.visit("/schedulers").words
        self.assertIn("Schedulers 3", words)
        self.assertIn("n &lt;x&gt; Nightly idle in", words)
        self.assertIn("main SingleBranchScheduler 1 change waiting — — full , quick", words)

    def test_the_next_five_times(self) -> None:
        page = self.visit(NIGHTLY).words
        self.assertIn("builds at the times 0 3 * * * UTC", page)
        start = datetime.fromtimestamp(NOW, UTC).replace(hour=3, minute=0, second=0)
        for day in range(1, 6):
            moment = start.timestamp() + 86400 * day
            self.assertIn(datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S"), page)

    def test_verdicts_in_words(self) -> None:
        self.change(branch="topic", revision="abc")
        self.change(branch="main", revision="def")
        page = self.visit("/schedulers/main").words
        self.assertIn("branch &#39;topic&#39; does not match: it builds &#39;main&#39;", page)
        self.assertIn("not for this scheduler", page)
        self.assertIn("important: a build will follow", page)
        self.assertIn("what has changed will be built in 10 min unless something more changes", page)

    def test_what_it_had_built(self) -> None:
        self.change(branch="main", revision="def")
        self.now += 700
        self.drive()
        page = self.visit("/schedulers/main")
        self.assertIn("important: built", page.words)
        self.assertIn("not complete main def full waits, quick waits", page.words)
        self.assertIn('href="/buildrequests/1"', page.text)

    def test_a_pause(self) -> None:
        self.store.transact(pauses.begin, Kind.SCHEDULER, "n <x>", self.now, who="bob", why="<moving>")
        words = self.visit(NIGHTLY).words
        self.assertIn("by bob: &lt;moving&gt;. It starts nothing", words)
        self.assertNotIn("When it fires next", words)
        self.assertIn("paused", self.visit("/schedulers").words)

    def test_unknown(self) -> None:
        self.assertEqual(self.visit("/schedulers/nope").status, 404)

    def test_no_schedulers(self) -> None:
        self.use()
        self.assertIn("No schedulers are configured", self.visit("/schedulers").words)

    def test_few_statements_whatever_there_is(self) -> None:
        many = [AnyBranchScheduler(f"any {n}", None, 600, ["full", "quick"]) for n in range(40)]
        self.use(*many, *(Nightly(f"n {n}", ["full"], hour=3) for n in range(90)))
        for number in range(30):
            self.change(branch=f"b{number % 7}", revision=str(number))
        self.now += 700
        self.drive()
        for path in ("/schedulers", "/schedulers?from=100", "/schedulers/any%201", "/schedulers/n%201"):
            before = self.store.statements
            self.assertEqual(self.visit(path).status, 200)
            self.assertLessEqual(self.store.statements - before, 10, path)


class TestWhatPeopleDo(SchedulerPages):
    def reasons(self) -> list[str]:
        return self.store.column("SELECT reason FROM buildsets ORDER BY id")

    def test_nothing_without_a_login(self) -> None:
        self.assertNotIn("Run now", self.visit(NIGHTLY).text)
        self.assertEqual(self.post(f"{NIGHTLY}/run").status, 403)
        self.assertEqual(self.reasons(), [])

    def test_it_is_run(self) -> None:
        self.log_in()
        self.assertIn("Run now", self.visit(NIGHTLY).text)
        answer = self.post(f"{NIGHTLY}/run", token=self.token(), comments="to see")
        self.assertEqual((answer.status, answer.header("location")), (303, NIGHTLY))
        self.assertEqual(self.reasons(), ["scheduler n <x> was run by ada: to see"])
        page = self.visit(NIGHTLY).words
        self.assertIn("n &lt;x&gt; was run.", page)
        self.assertIn("run scheduler to see", page)

    def test_one_that_cannot_be_run_says_so(self) -> None:
        self.log_in()
        self.assertNotIn("Run now", self.visit("/schedulers/force").text)
        answer = self.post("/schedulers/force/run", token=self.token())
        self.assertEqual(answer.status, 400)
        self.assertIn("a ForceScheduler builds only what it is given", answer.words)

    def test_a_paused_one_is_not_run(self) -> None:
        self.store.transact(pauses.begin, Kind.SCHEDULER, "n <x>", self.now, who="bob", why="")
        self.log_in()
        self.assertNotIn("Run now", self.visit(NIGHTLY).text)
        self.assertEqual(self.post(f"{NIGHTLY}/run", token=self.token()).status, 400)
        self.assertEqual(self.reasons(), [])

    def test_pause_and_unpause(self) -> None:
        self.log_in()
        self.post(f"{NIGHTLY}/pause", token=self.token(), comments="moving")
        self.post(f"{NIGHTLY}/unpause", token=self.token())
        self.assertEqual(
            self.control.asked,
            [("pause", Kind.SCHEDULER, "n <x>", "ada", "moving"), ("unpause", Kind.SCHEDULER, "n <x>", "ada", "")],
        )

    def test_rules_of_0_8_deny_what_they_do_not_name(self) -> None:
        self.set_www(auth=USERS, authz=ActionAuthz(auth=USERS, forceBuild=True))
        self.log_in()
        page = self.visit(NIGHTLY).text
        self.assertNotIn("Run now", page)
        self.assertNotIn("Pause", page)
        self.assertEqual(self.post(f"{NIGHTLY}/run", token=self.token()).status, 403)
        self.assertEqual(self.post(f"{NIGHTLY}/pause", token=self.token()).status, 403)

    def test_running_needs_the_right_to_force_each_builder(self) -> None:
        self.set_www(
            auth=USERS,
            authz=ActionAuthz(auth=USERS, runScheduler=True, forceBuild=lambda user, builder: builder == "full"),
        )
        self.log_in()
        self.assertEqual(self.post(f"{NIGHTLY}/run", token=self.token()).status, 303)
        answer = self.post("/schedulers/main/run", token=self.token())
        self.assertIn("ada may not force quick", answer.words)
        self.assertEqual(len(self.reasons()), 1)

    def test_the_later_rules(self) -> None:
        rules = [ForceBuildEndpointMatcher(role="admins"), EnableSchedulerEndpointMatcher(role="admins")]
        self.set_www(auth=USERS, authz=Authz(allowRules=rules))
        self.log_in()
        self.assertNotIn("Run now", self.visit(NIGHTLY).text)
        self.assertIn("ada may not force full", self.post(f"{NIGHTLY}/run", token=self.token()).words)
        self.assertEqual(self.post(f"{NIGHTLY}/pause", token=self.token()).status, 403)
        self.assertEqual(self.control.asked, [])

    def test_a_periodic_that_was_run_is_written_down(self) -> None:
        self.use(Periodic("p", ["full"], 60))
        self.log_in()
        self.post("/schedulers/p/run", token=self.token())
        self.assertEqual([each.what for each in actions.about(self.store, "scheduler p")], ["run scheduler"])
