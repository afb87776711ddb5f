"""Builders, builder, buildslaves, buildslave, changes, change, about and home, on a small known history."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from buildbot.config.retention import Keep, RetentionPlan
from buildbot.model import EventKind, NewChange, Property, Result, Verdict
from buildbot.store import (
    actions,
    builders,
    builds,
    buildsets,
    changes,
    events,
    passes,
    properties,
    requests,
    schedulers,
    slaves,
    sources,
    sourcestamps,
    steps,
)
from tests.unit.web.visitor import NOW, SiteCase, links_in


class PageCase(SiteCase):
    def setUp(self) -> None:
        super().setUp()
        self.configure(
            {"linux": ["s1", "s2"], "a/b <x>": ["s2"]}, tags={"linux": ["fast", "<odd>"], "a/b <x>": ["slow"]}
        )

    def connect(self, name: str, **details: object) -> None:
        self.store.transact(
            slaves.connected, self.slaves[name], NOW - 3600, incarnation="i", version="1.0", details=details
        )

    def ask(self, name: str = "linux", at: float = 100, reason: str = "because", change: bool = False):
        def work(store):
            ids = []
            if change:
                new = NewChange(author="Ann <ann@x.org>", comments="mend", branch="main", revision="r1", files=("a.c",))
                ids = [changes.add(store, new, NOW - at)[0]]
            stamp = sourcestamps.add(store, branch="main", revision="a" * 40, changes=ids, now=NOW - at)
            _, asked = buildsets.submit(
                store, builders=[self.builders[name]], source_stamps=[stamp], reason=reason, now=NOW - at
            )
            return asked[0]

        return self.store.transact(work)

    def build(self, name: str = "linux", at: float = 100, took: float | None = 60, result: Result = Result.SUCCESS):
        request = self.ask(name, at)

        def work(store):
            build = builds.start(
                store, builder=self.builders[name], slave=self.slaves["s1"], claimed=[request], reason="r", now=NOW - at
            )
            steps.start(store, build.id, 0, "compile", "compiling <now>", NOW - at)
            if took is not None:
                steps.finish(store, steps.of_build(store, build.id)[0].id, result, "compiled", False, NOW - at + took)
                builds.finish(store, build.id, result, f"ended {result.css_class}", NOW - at + took)
            return build

        return self.store.transact(work)


class HomeTests(PageCase):
    def test_shows_what_runs_and_what_ended(self) -> None:
        self.build(at=1000, took=600)
        self.build(at=100, took=None)
        words = self.visit("/").words
        self.assertIn("linux #2 compiling &lt;now&gt; on s1 , for 1 min 40 s ; ends in 8 min 20 s", words)
        self.assertIn("linux #1 success", words)

    def test_without_builds_says_what_comes(self) -> None:
        self.assertIn("Nothing was built yet", self.visit("/").words)

    def test_default_page_of_the_configuration(self) -> None:
        self.set_www(options={"default_page": "waterfall"})
        answer = self.visit("/")
        self.assertEqual((answer.status, answer.header("location")), (303, "/waterfall"))


class BuildersTests(PageCase):
    def test_every_builder_at_a_glance(self) -> None:
        self.connect("s1")
        self.build(at=5000, result=Result.WARNINGS)
        self.build(at=30, took=None)
        self.ask()
        self.ask("a/b <x>")
        words = self.visit("/builders").words
        self.assertIn("warnings #1 1 h 22 min ago ended warnings", words)
        self.assertIn("building #2 compiling &lt;now&gt; ends in 30 s 1 waiting 1 of 2 connected", words)
        self.assertIn("none yet offline 1 waiting 0 of 1 connected", words)

    def test_tags_filter_and_are_switched_off_again(self) -> None:
        text = self.visit("/builders?tag=fast").text
        self.assertNotIn("a/b", text)
        links = links_in(text)
        self.assertIn("/builders?tag=fast&tag=slow", links)
        self.assertIn("/builders", links)
        self.assertIn("&lt;odd&gt;", text)

    def test_names_and_patterns_filter(self) -> None:
        self.assertNotIn(">linux<", self.visit("/builders?builder=a*").text)

    def test_hundreds_of_builders_come_in_pages(self) -> None:
        self.configure({f"b{number:03}": ["s1"] for number in range(150)}, tags={f"b{n:03}": ["t"] for n in range(150)})
        text = self.visit("/builders?tag=t").text
        following = next(link for link in links_in(text) if "from=60" in link)
        self.assertIn("tag=t", following)
        self.assertIn(">b060<", self.visit(following).text)

    def test_long_queues_are_not_counted_to_the_end(self) -> None:
        def work(store):
            for _ in range(1005):
                buildsets.submit(store, builders=[self.builders["linux"]], source_stamps=[], reason="r", now=NOW)

        self.store.transact(work)
        self.assertIn("1000+ waiting", self.visit("/builders").words)


class BuilderTests(PageCase):
    def test_waiting_requests_say_why(self) -> None:
        self.ask(reason="The scheduler <main>")
        words = self.visit("/builders/linux").words
        why = "none of its slaves is connected: s1 has never been here, s2 has never been here"
        self.assertIn(f"The scheduler &lt;main&gt; main aaaaaaaaaaaa {why}", words)
        self.connect("s1")
        self.assertIn("its turn comes now", self.visit("/builders/linux").words)
        self.build(at=30, took=None)
        self.assertIn("its slave is busy: linux #1 on s1, for 30 s so far", self.visit("/builders/linux").words)

    def test_parked_request_says_so(self) -> None:
        request = self.ask()

        def work(store):
            for _ in range(requests.MOST_RETRIES + 1):
                requests.claim(store, request, NOW)
                requests.put_back(store, request, NOW, "slave lost")

        self.store.transact(work)
        self.assertIn("parked: tried 4 times; the last time: slave lost", self.visit("/builders/linux").words)

    def test_builds_are_paged_by_number(self) -> None:
        for number in range(12):
            self.build(at=9000 - number * 100)
        first = self.visit("/builders/linux?numbuilds=5")
        self.assertIn("#12", first.words)
        self.assertNotIn("#7", first.words)
        older = next(link for link in links_in(first.text) if "before=" in link)
        self.assertEqual(older, "/builders/linux?numbuilds=5&before=8")
        second = self.visit(older)
        self.assertIn("#7 ", second.words)
        self.assertNotIn("#8 ", second.words)
        self.assertNotIn("data-events", second.text)

    def test_removed_builder_keeps_its_builds(self) -> None:
        self.build(at=500)
        self.store.transact(builders.sync, [("a/b <x>", "", ())], NOW)
        words = self.visit("/builders/linux").words
        self.assertIn("no longer names this builder", words)
        self.assertIn("#1 success", words)

    def test_cancel_buttons_only_for_who_might(self) -> None:
        request = self.ask()
        self.assertNotIn("cancelbuild", self.visit("/builders/linux").text)
        self.log_in()
        text = self.visit("/builders/linux").text
        self.assertIn('action="/builders/linux/cancelbuild"', text)
        self.assertIn(f'name="id" value="{request}"', text)

    def test_got_revision_wins_over_what_was_asked(self) -> None:
        build = self.build(at=500)
        self.store.transact(properties.put, "build", build.id, [Property("got_revision", "b" * 40, "Git")])
        self.assertIn("bbbbbbbbbbbb", self.visit("/builders/linux").words)


class SlavesTests(PageCase):
    def test_states_builders_and_versions(self) -> None:
        self.connect("s1")
        self.build(at=50, took=None)
        words = self.visit("/buildslaves").words
        self.assertIn("1 of 2 connected", words)
        self.assertIn("s1 connected 1 h ago linux #1 linux 1.0", words)
        self.assertIn("s2 not connected never — linux , a/b &lt;x&gt; —", words)
        self.assertNotIn("a/b", self.visit("/buildslaves?no_builders=1").words)

    def test_one_slave_tells_of_itself_but_not_its_environment(self) -> None:
        self.connect("s1", admin="Ann <ann@x.org>", environ={"PASSWORD": "hunter2"}, slave_commands={"shell": "3"})
        self.build(at=500)
        words = self.visit("/buildslaves/s1").words
        self.assertIn("admin Ann &lt;ann@x.org&gt;", words)
        self.assertIn("shell 3", words)
        self.assertNotIn("hunter2", words)
        self.assertIn("linux #1 success", words)

    def test_a_slave_of_another_version_says_so(self) -> None:
        self.connect("s1")
        self.assertNotIn("It is of another version", self.visit("/buildslaves/s1").words)
        connected = {"incarnation": None, "version": "4.3.0", "details": {}}
        self.store.transact(slaves.connected, self.slaves["s1"], NOW, **connected)
        self.assertIn("It is of another version", self.visit("/buildslaves/s1").words)

    def test_lost_slave_says_since_when(self) -> None:
        self.connect("s1")
        self.store.transact(slaves.lost, self.slaves["s1"], NOW - 120, "gone")
        self.assertIn("not connected for 2 min", self.visit("/buildslaves/s1").words)

    def test_unknown_slave_is_404(self) -> None:
        self.assertEqual(self.visit("/buildslaves/none").status, 404)


class ChangesTests(PageCase):
    def change(self, number: int = 1, **given) -> int:
        new = NewChange(author="Ann <ann@x.org>", comments="mend <b>\nmore", revision=f"r{number}", **given)
        return self.store.transact_durable(changes.add, new, NOW - 1000 + number)[0]

    def test_paging_by_id(self) -> None:
        for number in range(12):
            self.change(number)
        first = self.visit("/changes?num=5")
        older = next(link for link in links_in(first.text) if "before=" in link)
        self.assertEqual(older, "/changes?num=5&before=8")
        text = self.visit(older).text
        self.assertIn('href="/changes/7"', text)
        self.assertNotIn('href="/changes/8"', text)

    def test_only_web_addresses_become_links(self) -> None:
        self.change(1, revlink="javascript:alert(1)")
        self.change(2, revlink="https://git.example.org/r2")
        text = self.visit("/changes").text
        self.assertNotIn("javascript:", text)
        self.assertIn("https://git.example.org/r2", text)

    def test_verdicts_in_words_with_their_builds(self) -> None:
        id = self.change(1, files=("src/<a>.c",), properties=(("k", ["v"]),), branch="main")

        def work(store):
            for name, verdict, why in (
                ("main", Verdict.IMPORTANT, "matches"),
                ("docs", Verdict.NOT_MINE, "branch main is not docs"),
                ("wait", Verdict.UNIMPORTANT, "only comments"),
                ("odd", Verdict.FAILED, "ZeroDivisionError: x"),
            ):
                schedulers.sync(store, ["main", "docs", "wait", "odd"], NOW - 2000)
                schedulers.classify(store, name, id, verdict, why, NOW)
            stamp = sourcestamps.add(store, changes=[id], now=NOW)
            buildset, asked = buildsets.submit(
                store,
                builders=[self.builders["linux"], self.builders["a/b <x>"]],
                source_stamps=[stamp],
                reason="r",
                scheduler="main",
                now=NOW,
            )
            schedulers.retire(store, "main", [id], buildset)
            build = builds.start(
                store,
                builder=self.builders["linux"],
                slave=self.slaves["s1"],
                claimed=[asked[0] if isinstance(asked, list) else asked[self.builders["linux"]]],
                reason="r",
                now=NOW,
            )
            builds.finish(store, build.id, Result.FAILURE, "failed", NOW + 1)

        self.store.transact(work)
        self.now += 60
        answer = self.visit(f"/changes/{id}")
        self.assertIn("main important: built matches failure linux #1 waiting a/b &lt;x&gt; for 1 min", answer.words)
        self.assertIn("docs not for this scheduler branch main is not docs", answer.words)
        self.assertIn("unimportant: waits for an important change only comments", answer.words)
        self.assertIn("own filter failed ZeroDivisionError: x", answer.words)
        self.assertIn("src/&lt;a&gt;.c", answer.words)
        self.assertIn("/builders/linux/builds/1", links_in(answer.text))

    def test_a_poller_that_fails_is_shown_until_it_succeeds(self) -> None:
        self.config = replace(self.config, change_sources=(SimpleNamespace(name="git://x/<y>"),))
        state = {"failures": 3, "error": "git ls-remote failed: <no> access", "succeeded_at": NOW - 7200}
        self.store.transact(sources.set_state, "git://x/<y>", sources.POLL_STATE, state)
        words = self.visit("/changes").words
        self.assertIn("git://x/&lt;y&gt;: the last 3 polls failed; the last good one was 2 h ago", words)
        self.assertIn("git ls-remote failed: &lt;no&gt; access", words)
        self.store.transact(sources.set_state, "git://x/<y>", sources.POLL_STATE, {"failures": 1, "error": "no"})
        self.assertIn("the last poll failed, none has succeeded yet. no", self.visit("/changes").words)
        self.store.transact(sources.set_state, "git://x/<y>", sources.POLL_STATE, {"failures": 0, "error": None})
        self.assertNotIn("polls failed", self.visit("/changes").words)

    def test_the_first_change_finds_a_place_on_an_open_page(self) -> None:
        self.assertIn('data-live="changes"', self.visit("/changes").text)

    def test_unjudged_change_says_so(self) -> None:
        self.assertIn("No scheduler has looked at it", self.visit(f"/changes/{self.change()}").words)

    def test_unknown_change_is_404(self) -> None:
        self.assertEqual(self.visit("/changes/99").status, 404)


class AboutTests(PageCase):
    def test_versions_store_and_configuration(self) -> None:
        self.store.transact(actions.master_started, "i", NOW - 50)
        events.add(self.store, NOW - 40, EventKind.CONFIG_LOADED)
        self.set_www(options={"versions": [("Project", "7.1 <beta>")]})
        words = self.visit("/about").words
        for text in ("in force since", "Running since", "schema", "Twisted", "SQLite", "Project 7.1 &lt;beta&gt;"):
            self.assertIn(text, words)

    def test_without_rules_everything_is_kept(self) -> None:
        self.assertIn("Everything is kept.", self.visit("/about").words)

    def test_what_retention_did_and_when_it_looks_again(self) -> None:
        rules = (Keep("logs", days=30), Keep("builds", newest=7, builders=["<b>"]))
        self.configure({}, retention=RetentionPlan(rules))
        row = self.store.transact(passes.begin, NOW - 60)
        self.assertIn("under way", self.visit("/about").words)
        self.store.transact(passes.end, row, NOW - 50, {"logs": 12, "builds": 0}, None)
        words = self.visit("/about").words
        for text in ("Keep(&#39;logs&#39;, days=30)", "&lt;b&gt;", "Removed 12 logs Next look"):
            self.assertIn(text, words)
        row = self.store.transact(passes.begin, NOW - 40)
        self.store.transact(passes.end, row, NOW - 30, {}, "OSError: <no>")
        self.assertIn("not done OSError: &lt;no&gt; Removed nothing", self.visit("/about").words)

    def test_receivers_that_fail_are_shown(self) -> None:
        self.store.transact(events.start_cursor, "mail")
        self.store.transact(events.note_failure, "mail", NOW + 60, "connection <refused>")
        self.assertIn("failed 1 times connection &lt;refused&gt;; next try in 1 min", self.visit("/about").words)
