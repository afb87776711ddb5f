"""The waterfall: boxes, classes, links, filters in the address, bounded work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot.config.builder import BuilderConfig
from buildbot.model import EventKind, NewChange, Result
from buildbot.process.factory import BuildFactory
from buildbot.store import builds, buildsets, changes, events, logs, slaves, sourcestamps, steps
from tests.history import fill
from tests.unit.web.visitor import NOW, SiteCase, links_in


class WaterfallCase(SiteCase):
    def setUp(self) -> None:
        super().setUp()
        self.configure({"a/b <x>": ["s1"], "linux": ["s1"], "mac": ["s2"]}, tags={"linux": ["fast"], "mac": ["slow"]})

    def build(
        self,
        name: str,
        at: float,
        took: float | None = 60,
        result: Result = Result.SUCCESS,
        branch: str | None = "main",
        author: str = "Ann <ann@example.org>",
        project: str = "p",
        text: str | None = None,
    ) -> int:
        """A build with two steps, that began `at` seconds before now."""
        start = NOW - at

        def work(store) -> int:
            new = NewChange(author=author, comments="<i>mend</i>\nmore", branch=branch, project=project)
            change, _ = changes.add(store, new, start - 5)
            stamp = sourcestamps.add(store, branch=branch, project=project, changes=[change], now=start)
            builder = self.builders[name]
            _, asked = buildsets.submit(store, builders=[builder], source_stamps=[stamp], reason="r", now=start)
            build = builds.start(
                store, builder=builder, slave=self.slaves["s1"], claimed=asked, reason="why & how", now=start
            )
            first = steps.start(store, build.id, 0, "compile <1>", "compiling", start + 1)
            logs.add(store, step=first, name="stdio", slug="stdio", kind="stream", path=f"{build.id}", now=start + 1)
            if took is not None:
                middle = start + 1 + took / 2
                steps.finish(store, first, Result.SUCCESS, "compiled", False, middle)
                last = steps.start(store, build.id, 1, "test", "testing", middle)
                steps.finish(store, last, result, text or f"test {result.css_class}", False, start + took)
                hidden = steps.start(store, build.id, 2, "hidden step", "", start + took)
                steps.finish(store, hidden, Result.SUCCESS, "hidden text", True, start + took)
                builds.finish(store, build.id, result, f"test {result.css_class}", start + took)
            return build.number

        return self.store.transact(work)


class BoxTests(WaterfallCase):
    def test_steps_builds_and_logs_are_boxes_with_links(self) -> None:
        number = self.build("a/b <x>", 500)
        links = links_in(self.visit("/waterfall").text)
        build = f"/builders/a%2Fb%20%3Cx%3E/builds/{number}"
        for address in (
            build,
            f"{build}/steps/compile%20%3C1%3E",
            f"{build}/steps/compile%20%3C1%3E/logs/stdio",
            f"{build}/steps/test",
        ):
            self.assertIn(address, links)

    def test_every_result_is_a_class(self) -> None:
        for number, result in enumerate(Result):
            if result is not Result.RETRY:
                self.build("linux", 5000 - number * 200, result=result)
        text = self.visit("/waterfall").text
        for result in Result:
            if result is not Result.RETRY:
                self.assertIn(f'class="{result.css_class}"', text)
                self.assertIn(f'class="{result.css_class} build"', text)

    def test_a_running_build_says_what_it_does_and_when_it_ends(self) -> None:
        self.build("linux", 5000, took=600)
        self.build("linux", 300, took=None)
        answer = self.visit("/waterfall")
        self.assertIn('class="running build"', answer.text)
        self.assertIn("building #2 compiling ends in 5 min", answer.words)

    def test_a_step_that_failed_says_its_name(self) -> None:
        self.build("linux", 500, result=Result.FAILURE, text="3 of 10 red")
        words = self.visit("/waterfall").words
        self.assertIn("test: 3 of 10 red", words)
        self.assertIn("Build 1: test failure", words)

    def test_hidden_steps_are_not_shown(self) -> None:
        self.build("linux", 500)
        self.assertNotIn("hidden text", self.visit("/waterfall").text)

    def test_markup_in_names_and_comments_is_text(self) -> None:
        self.build("a/b <x>", 500, author="<script>x</script> <a@b>")
        text = self.visit("/waterfall").text
        self.assertNotIn("<i>mend", text)
        self.assertNotIn("<script>x", text)
        self.assertIn("a/b &lt;x&gt;</a>", text)

    def test_newest_is_at_the_top(self) -> None:
        self.build("linux", 5000)
        self.build("linux", 500)
        body = self.visit("/waterfall").text.partition("<tbody>")[2]
        self.assertLess(body.index(">Build 2<"), body.index(">Build 1<"))

    def test_changes_have_their_column(self) -> None:
        self.build("linux", 500)
        answer = self.visit("/waterfall")
        self.assertIn('href="/changes/1">Ann</a>', answer.text)
        self.assertIn('title="&lt;i&gt;mend&lt;/i&gt;"', answer.text)

    def test_heads_tell_what_each_builder_does(self) -> None:
        self.store.transact(slaves.connected, self.slaves["s1"], NOW, incarnation="i", version="1", details={})
        words = self.visit("/waterfall").words
        self.assertIn("idle", words)
        self.assertIn("offline", words)
        self.assertIn("none yet", words)


class EventTests(WaterfallCase):
    def test_events_are_boxes_when_asked_for(self) -> None:
        self.build("linux", 5000)
        self.store.transact(slaves.connected, self.slaves["s1"], NOW - 100, incarnation="i", version="1", details={})
        self.store.transact(slaves.lost, self.slaves["s1"], NOW - 90, "the cable <broke>")
        events.add(self.store, NOW - 80, EventKind.MASTER_STARTED)
        plain, told = self.visit("/waterfall").words, self.visit("/waterfall?show_events=true")
        self.assertNotIn("connect s1", plain)
        for text in ("connect s1", "disconnect s1", "master started"):
            self.assertIn(text, told.words)
        self.assertIn('class="event"', told.text)
        self.assertIn("the cable &lt;broke&gt;", told.text)


class FilterTests(WaterfallCase):
    def setUp(self) -> None:
        super().setUp()
        self.build("linux", 9000, branch="main", author="Ann <ann@example.org>", project="p")
        self.build("linux", 8000, branch="stable", author="Ben <ben@example.org>", project="q")
        self.build("mac", 7000, branch="main", result=Result.FAILURE)

    def shown(self, query: str) -> list[str]:
        """The builds that have boxes."""
        body = self.visit(f"/waterfall?{query}").text.partition("<tbody>")[2]
        links = [link.removeprefix("/builders/") for link in links_in(body) if link.count("/") == 4]
        return sorted(link.replace("/builds/", " ") for link in links)

    def columns(self, query: str) -> list[str]:
        head = self.visit(f"/waterfall?{query}").text.partition('<tr class="names">')[2].partition("</tr>")[0]
        return [link.removeprefix("/builders/") for link in links_in(head) if link.startswith("/builders/")]

    def test_builders_by_name_and_pattern(self) -> None:
        self.assertEqual(self.columns("builder=linux"), ["linux"])
        self.assertEqual(self.columns("builder=li*&show=mac"), ["linux", "mac"])
        self.assertEqual(self.columns("builder=a/b%20%3Cx%3E"), ["a%2Fb%20%3Cx%3E"])
        self.assertEqual(self.columns("builder=none"), [])
        self.assertEqual(len(self.columns("")), 3)

    def test_builders_by_tag_and_category(self) -> None:
        self.assertEqual(self.columns("tag=fast"), ["linux"])
        self.assertEqual(self.columns("category=slow&tag=fast"), ["linux", "mac"])

    def test_failures_only_keeps_builders_that_fail(self) -> None:
        self.assertEqual(self.columns("failures_only=true"), ["mac"])
        self.build("mac", 3000)
        self.assertEqual(self.columns("failures_only=true"), [])

    def test_builds_by_branch_project_and_committer(self) -> None:
        self.assertEqual(self.shown(""), ["linux 1", "linux 2", "mac 1"])
        self.assertEqual(self.shown("branch=main"), ["linux 1", "mac 1"])
        self.assertEqual(self.shown("branch=main&branch=stable"), ["linux 1", "linux 2", "mac 1"])
        self.assertEqual(self.shown("project=q"), ["linux 2"])
        self.assertEqual(self.shown("committer=BEN"), ["linux 2"])
        self.assertEqual(self.shown("branch=main&project=q"), [])

    def test_changes_follow_the_filter(self) -> None:
        self.assertNotIn(">Ann</a>", self.visit("/waterfall?committer=ben").text)
        self.assertIn(">Ben</a>", self.visit("/waterfall?committer=ben").text)

    def test_spans_of_time(self) -> None:
        now = int(NOW)
        self.assertEqual(self.shown(f"last_time={now - 7500}"), ["linux 1", "linux 2"])
        self.assertEqual(self.shown(f"first_time={now - 8500}"), ["linux 2", "mac 1"])
        self.assertEqual(self.shown(f"last_time={now - 7500}&show_time=1000"), ["linux 2"])
        self.assertEqual(self.shown("show_time=7600"), ["mac 1"])

    def test_num_events_bounds_the_boxes_and_older_goes_on(self) -> None:
        answer = self.visit("/waterfall?num_events=3&branch=main")
        self.assertEqual(self.shown("num_events=3&branch=main"), ["mac 1"])
        older = next(link for link in links_in(answer.text) if "last_time" in link)
        self.assertIn("branch=main", older)
        self.assertIn("num_events=3", older)
        self.assertEqual(self.shown(older.partition("?")[2]), ["linux 1"])
        newest = next(link for link in links_in(self.visit(older).text) if link.startswith("/waterfall?"))
        self.assertNotIn("last_time", newest)

    def test_everything_shown_has_no_older_link(self) -> None:
        self.assertFalse([link for link in links_in(self.visit("/waterfall").text) if "last_time" in link])

    def test_reload_is_never_faster_than_fifteen_seconds(self) -> None:
        self.assertIn('http-equiv="refresh" content="15"', self.visit("/waterfall?reload=1").text)
        self.assertIn('http-equiv="refresh" content="60"', self.visit("/waterfall?reload=60").text)
        self.assertNotIn("refresh", self.visit("/waterfall").text)

    def test_only_the_newest_page_is_live(self) -> None:
        self.assertIn('data-events="/events"', self.visit("/waterfall").text)
        self.assertNotIn("data-events", self.visit(f"/waterfall?last_time={int(NOW)}").text)

    def test_filter_form_keeps_what_is_chosen(self) -> None:
        text = self.visit("/waterfall/help?builder=li*&tag=fast&branch=main&failures_only=true").text
        self.assertIn('name="builder" list="builders" value="li*"', text)
        self.assertIn("<option selected>fast", text)
        self.assertIn('name="failures_only" value="true" checked', text)


class ManyTests(WaterfallCase):
    def test_a_build_of_a_thousand_steps_does_not_flood_the_page(self) -> None:
        self.build("linux", 9000)
        number = self.build("mac", 5000, took=None)
        build = builds.by_number(self.store, self.builders["mac"], number)
        assert build is not None

        def work(store) -> None:
            for step in range(1, 1000):
                steps.start(store, build.id, step, f"step {step}", "", NOW - 4000 + step)

        self.store.transact(work)
        answer = self.visit("/waterfall")
        self.assertLess(len(answer.body), 100_000)
        self.assertIn("Build 1", answer.words)

    def test_many_builders_are_shown_some_at_a_time(self) -> None:
        self.configure({f"b{number:03}": ["s1"] for number in range(100)})
        answer = self.visit("/waterfall")
        self.assertIn("60 more builders", answer.words)
        following = next(link for link in links_in(answer.text) if "columns_from" in link)
        self.assertIn("b040", self.visit(following).text)
        self.assertNotIn(">b039<", self.visit(following).text)


class BudgetTests(SynchronousTestCase):
    """With 20,000 builds of history."""

    def test_pages_keep_their_budgets(self) -> None:
        case = SiteCase()
        case.setUp()
        self.addCleanup(case.doCleanups)
        history = fill(case.store, now=NOW, builds_count=20_000)
        self.assertEqual(history.finished, 20_000)
        known = {name: ["slave-1", "slave-2"] for name in history.builders}

        builders = tuple(
            BuilderConfig(name=name, slavenames=its, factory=BuildFactory()) for name, its in known.items()
        )
        case.config = replace(case.config, builders=builders)
        paths = (
            "/",
            "/waterfall",
            "/waterfall?show_events=true&failures_only=true",
            "/waterfall?branch=release-1.0&committer=ada&project=buildbot&show_events=true",
            "/builders",
            "/builders/a%2Fb%20%3Cx%3E",
            "/buildslaves",
            "/buildslaves/slave-2",
            "/changes",
            f"/changes/{history.last_change}",
            "/about",
        )
        for path in paths:
            asked = case.store.statements
            answer = case.visit(path)
            self.assertEqual(answer.status, 200, path)
            self.assertLessEqual(case.store.statements - asked, 10, path)
            self.assertLess(len(answer.body), 100_000, path)
        self.assertTrue(Path(case.store.path).exists())
