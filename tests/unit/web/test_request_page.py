"""The page of a build request, and what the builder's page says of those that wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from buildbot.config.builder import BuilderConfig
from buildbot.model import BuildRequestID, Result
from buildbot.process.factory import BuildFactory
from buildbot.store import builds, requests
from tests.unit.web.test_pages import NOW, PageCase


class RequestTests(PageCase):
    def merge(self, *ids: BuildRequestID, because: str = "they ask for the same") -> Any:
        return self.store.transact(
            builds.start,
            builder=self.builders["linux"],
            slave=self.slaves["s1"],
            claimed=ids,
            because=dict.fromkeys(ids[1:], because),
            reason="r",
            now=NOW - 50,
        )

    def test_one_that_waits_says_why_and_offers_what_can_be_done(self) -> None:
        id = self.ask(reason="The scheduler <main>", change=True)
        self.log_in()
        page = self.visit(f"/buildrequests/{id}")
        for said in (
            f"Request {id}",
            "waiting for 1 min 40 s",
            "none of its slaves is connected: s1 has never been here, s2 has never been here",
            "When it begins cannot be said.",
            "The scheduler &lt;main&gt;",
            "Ann: mend",
        ):
            self.assertIn(said, page.words)
        self.assertIn("/builders/linux/cancelbuild", page.text)

    def test_one_that_can_begin_says_so(self) -> None:
        self.connect("s1")
        id = self.ask()
        self.assertIn("its turn comes now It should begin at once.", self.visit(f"/buildrequests/{id}").words)

    def test_one_behind_others_says_when(self) -> None:
        self.connect("s1")
        self.build(at=1000, took=100)
        self.build(at=20, took=None)
        first, second = self.ask(), self.ask(at=50)
        words = self.visit(f"/buildrequests/{second}").words
        self.assertIn("its slave is busy: linux #2 on s1, for about 80 s more", words)
        self.assertIn(f"request {first} of this builder goes before it (asked for earlier)", words)
        self.assertIn("It should begin in 3 min", words)

    def test_one_that_was_merged_says_into_what_and_why(self) -> None:
        first, second, third = self.ask(), self.ask(), self.ask()
        build = self.merge(first, second, third)
        words = self.visit(f"/buildrequests/{second}").words
        self.assertIn(
            f"linux #{build.number} on s1 , begun 50 s ago : it was merged into this build, which was made for "
            f"request {first} , because they ask for the same",
            words,
        )
        self.assertIn("2 more requests were merged into it", self.visit(f"/buildrequests/{first}").words)
        page = self.visit(f"/builders/linux/builds/{build.number}")
        self.assertIn(f"/buildrequests/{second}", page.text)
        self.assertIn("merged: they ask for the same", page.words)

    def test_one_that_is_over_says_how(self) -> None:
        id, cancelled = self.ask(), self.ask()
        build = self.merge(id)
        self.store.transact(builds.finish, build.id, Result.FAILURE, "failed compile", NOW - 5)
        self.assertIn("failure 5 s ago", self.visit(f"/buildrequests/{id}").words)
        self.store.transact(requests.cancel, cancelled, NOW, "ada", "not <needed>")
        self.assertIn("cancelled by ada: not &lt;needed&gt;", self.visit(f"/buildrequests/{cancelled}").words)

    def test_one_that_is_parked_can_be_tried_again(self) -> None:
        id = self.ask()
        self.store.execute("UPDATE build_requests SET parked_reason = 'tried <4> times', retries = 4")
        self.log_in()
        page = self.visit(f"/buildrequests/{id}")
        self.assertIn("parked: tried &lt;4&gt; times", page.words)
        self.assertIn("/builders/linux/retrybuild", page.text)

    def test_one_that_does_not_exist(self) -> None:
        self.assertEqual(self.visit("/buildrequests/99").status, 404)
        self.assertEqual(self.visit("/buildrequests/x").status, 400)

    def test_few_statements_whatever_waits(self) -> None:
        self.connect("s1")
        self.build(at=20, took=None)
        ids = [self.ask(change=True) for _ in range(60)]
        for address in ("/builders/linux", f"/buildrequests/{ids[-1]}"):
            before = self.store.statements
            self.assertEqual(self.visit(address).status, 200)
            self.assertLessEqual(self.store.statements - before, 10, address)

    def test_the_slaves_page_says_what_it_may_build_next(self) -> None:
        later, first = self.ask("a/b <x>", at=50), self.ask("linux", at=100)
        self.ask("linux", at=10)
        page = self.visit("/buildslaves/s2")
        self.assertIn(
            f"What it may build next waiting request {first} of linux , for 1 min 40 s "
            f"waiting request {later} of a/b &lt;x&gt; , for 50 s",
            page.words,
        )

    def test_a_builder_whose_slaves_are_many_and_shared(self) -> None:
        config = self.config
        names = [f"s{number}" for number in range(300)]
        shared = tuple(
            BuilderConfig(name=name, slavenames=names, factory=BuildFactory()) for name in ("linux", "a/b <x>")
        )
        self.config = replace(config, builders=shared)
        id = self.ask()
        self.assertIn("and 296 more", self.visit(f"/buildrequests/{id}").words)

    def test_the_page_of_all_that_waits_says_why_for_each(self) -> None:
        self.connect("s1")
        self.build(at=1000, took=100)
        self.build(at=20, took=None)
        first, second, other = self.ask(), self.ask(at=50), self.ask("a/b <x>", at=10)
        page = self.visit("/pendingbuildrequests").words
        self.assertIn("its slave is busy: linux #2 on s1, for about 80 s more should begin in 1 min 20 s", page)
        self.assertIn(f"request {first} of this builder goes before it (asked for earlier)", page)
        self.assertEqual(page.count("none of its slaves is connected: s2 has never been here"), 1)
        self.assertIn("should begin in 3 min", page)
        self.assertIn(f"/buildrequests/{other}", self.visit(f"/pendingbuildrequests?after={second}").text)

    def test_few_statements_however_many_builders_have_something_that_waits(self) -> None:
        names = [f"b{number}" for number in range(120)]
        self.configure({name: [f"s{number % 7}", "s1"] for number, name in enumerate(names)})
        for name in names:
            self.ask(name)
        before = self.store.statements
        page = self.visit("/pendingbuildrequests")
        self.assertEqual(page.status, 200)
        self.assertLessEqual(self.store.statements - before, 10)
        self.assertEqual(page.words.count("none of its slaves is connected"), 100)

    def test_a_long_line_is_not_counted_to_its_end(self) -> None:
        ids = [self.ask(at=100 - at / 1000) for at in range(1010)]
        self.connect("s1")
        self.assertIn("at least 1000 requests", self.visit(f"/buildrequests/{ids[-1]}").words)
        self.assertIn("999 requests, the first of them", self.visit(f"/buildrequests/{ids[999]}").words)
