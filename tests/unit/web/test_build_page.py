"""The page of one build."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import NewChange, Result
from buildbot.store import builds, buildsets, changes, sourcestamps, steps
from buildbot.store.logfiles import Channel
from tests.unit.web.served import BUILDER, START, Served, build_path

MOST_STATEMENTS = 10


def words(page: str) -> str:
    """What a person reads, spaces made single."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition("<main")[2].partition("</main>")[0]).split())


class BuildPageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.served = Served()
        self.addCleanup(self.served.close)

    def test_says_what_why_where_and_how_long(self) -> None:
        build = self.served.build(revision="a" * 40, branch="stable", repository="git://example.org/x")
        self.served.put_property(build, "got_revision", "b" * 40)
        self.served.finish(build)
        page = self.served.ask(build_path(build))
        self.assertEqual(page.status, 200)
        text = words(page.text)
        for said in (
            "a/b &lt;x&gt; #1 success",
            "Took 1 min",
            "Slave bot",
            "Reason because &lt;b&gt;",
            "git://example.org/x branch stable aaaaaaaaaaaa",
            "got bbbbbbbbbbbb",
            "Blame list Ann &lt;ann@example.org&gt;",
            "mend it",
            "scheduler all",
            "waited 10 s",
        ):
            self.assertIn(said, text)
        self.assertIn("<title>success: a/b &lt;x&gt; #1", page.text)

    def test_steps_have_result_text_time_logs_and_links(self) -> None:
        build = self.served.build()
        step = self.served.step(build, 0, "compile <all>")
        id, writer = self.served.log(build, step)
        writer.append(b"x" * 2000, Channel.STDOUT, 1, START)
        self.served.finish_log(id, writer)
        self.served.store.transact(steps.put_url, step, "report", "https://example.org/r")
        self.served.store.transact(steps.put_url, step, "bad", "javascript:alert(1)")
        self.served.end_step(step, Result.WARNINGS)
        page = self.served.ask(build_path(build)).text
        base = f"{build_path(build)}/steps/compile%20%3Call%3E"
        self.assertIn(f'<a class="name" href="{base}">compile &lt;all&gt;</a>', page)
        self.assertIn(f'<a href="{base}/logs/stdio">stdio</a> <small>2.0 kB</small>', page)
        self.assertIn('<a href="https://example.org/r" rel="nofollow">report</a>', page)
        self.assertNotIn('href="javascript', page)
        self.assertIn('<li class="step warnings"', page)

    def test_a_failed_step_shows_the_end_of_its_log(self) -> None:
        build = self.served.build()
        step = self.served.step(build)
        id, writer = self.served.log(build, step)
        writer.append(b"".join(b"line %d\n" % n for n in range(500)), Channel.STDOUT, 1, START)
        writer.append(b"\x1b[31mError: <boom>\n", Channel.STDERR, 1, START)
        self.served.finish_log(id, writer)
        self.served.end_step(step, Result.FAILURE)
        page = self.served.ask(build_path(build)).text
        self.assertIn('<span class="stderr f1">Error: &lt;boom&gt;</span>', page)
        self.assertIn(">line 499<", page)
        self.assertNotIn(">line 400<", page)

    def test_ends_of_logs_are_bounded(self) -> None:
        build = self.served.build()
        for number in range(6):
            step = self.served.step(build, number, f"step{number}")
            id, writer = self.served.log(build, step)
            writer.append(b"y" * (1 << 20), Channel.STDOUT, 1, START)
            self.served.finish_log(id, writer)
            self.served.end_step(step, Result.FAILURE)
        page = self.served.ask(build_path(build)).text
        self.assertEqual(page.count('class="tail"'), 3)
        self.assertLess(len(page), 100_000)

    def test_hidden_steps_wait_behind_a_link(self) -> None:
        build = self.served.build()
        self.served.end_step(self.served.step(build, 0, "secretive"), hidden=True)
        self.served.end_step(self.served.step(build, 1, "visible"))
        page = self.served.ask(build_path(build)).text
        self.assertNotIn("secretive", page)
        self.assertIn(f'<a href="{build_path(build)}?hidden=1">show 1 hidden steps</a>', page)
        self.assertIn("secretive", self.served.ask(f"{build_path(build)}?hidden=1").text)

    def test_a_running_build_says_when_it_may_end(self) -> None:
        for seconds in (100, 200):
            self.served.finish(self.served.build(), now=START + 10 + seconds)
        self.served.finish(self.served.build(), Result.FAILURE, START + 11)
        build = self.served.build()
        self.served.now = START + 20
        self.assertIn("Expected in 2 min 20 s", words(self.served.ask(build_path(build)).text))
        self.served.now = START + 10 + 160
        self.assertIn("Expected 10 s longer than usual", words(self.served.ask(build_path(build)).text))

    def test_no_estimate_without_a_history(self) -> None:
        self.assertNotIn("Expected", self.served.ask(build_path(self.served.build())).text)

    def test_leads_to_the_builds_around_it(self) -> None:
        first = self.served.build()
        self.served.build("other")
        second, third = self.served.build(), self.served.build()
        page = self.served.ask(build_path(second)).text
        self.assertIn(f'<a rel="prev" href="{build_path(first)}">', page)
        self.assertIn(f'<a rel="next" href="{build_path(third)}">', page)
        self.assertNotIn('rel="prev"', self.served.ask(build_path(first)).text)

    def test_negative_numbers_count_from_the_newest(self) -> None:
        self.served.build()
        build = self.served.build()
        base = build_path(build).rpartition("/")[0]
        self.assertIn("#2", words(self.served.ask(f"{base}/-1").text))
        for wrong in ("-3", "3", "0", "x", "1e3", "²", "9" * 30):
            self.assertEqual(self.served.ask(f"{base}/{wrong}".replace("²", "%C2%B2")).status, 404, wrong)

    def test_properties_with_their_sources(self) -> None:
        build = self.served.build()
        self.served.put_property(build, "flags", {"a": [1, "<x>"]}, "Scheduler")
        self.served.put_property(build, "long", "v" * 100_000)
        page = self.served.ask(build_path(build)).text
        self.assertIn("2 properties", page)
        self.assertIn("&#34;&lt;x&gt;&#34;", page)
        self.assertIn("<td>Scheduler</td>", page)
        self.assertLess(len(page), 20_000)

    def test_removed_logs_are_struck_out(self) -> None:
        build = self.served.build()
        step = self.served.step(build)
        id, writer = self.served.log(build, step)
        self.served.finish_log(id, writer)
        self.served.store.execute("UPDATE logs SET removed_at = ?, removed_by = 'keep 10'", START)
        self.served.end_step(step, Result.FAILURE)
        self.assertIn('retention rule keep 10.">stdio</s>', self.served.ask(build_path(build)).text)

    def test_a_triggered_build_leads_to_its_parent(self) -> None:
        parent = self.served.build("other")
        stamp = self.served.store.transact(sourcestamps.add, now=START)
        _, (request,) = self.served.store.transact(
            buildsets.submit,
            builders=[self.served.builder],
            source_stamps=[stamp],
            reason="triggered",
            now=START,
            parent_build_id=parent.id,
        )
        build = self.served.store.transact(
            builds.start, builder=self.served.builder, slave=self.served.slave, claimed=[request], reason="", now=START
        )
        self.assertIn(
            'triggered by <a href="/builders/other/builds/1">other #1</a>', self.served.ask(build_path(build)).text
        )

    def test_many_changes_are_not_all_shown(self) -> None:
        ids = [
            self.served.store.transact(changes.add, NewChange(author=f"a{n}", comments=f"change {n}."), START)[0]
            for n in range(70)
        ]
        stamp = self.served.store.transact(sourcestamps.add, now=START, changes=ids)
        _, (request,) = self.served.store.transact(
            buildsets.submit, builders=[self.served.builder], source_stamps=[stamp], reason="", now=START
        )
        build = self.served.store.transact(
            builds.start, builder=self.served.builder, slave=self.served.slave, claimed=[request], reason="", now=START
        )
        page = self.served.ask(build_path(build)).text
        self.assertIn("change 69.", page)
        self.assertNotIn("change 19.", page)
        self.assertIn("and older ones", page)

    def test_few_statements_whatever_there_is(self) -> None:
        build = self.served.build(revision="1")
        for number in range(40):
            step = self.served.step(build, number, f"s{number}")
            id, writer = self.served.log(build, step)
            self.served.finish_log(id, writer)
            self.served.end_step(step, Result.FAILURE)
        before = self.served.store.statements
        self.served.ask(build_path(build))
        self.assertLessEqual(self.served.store.statements - before, MOST_STATEMENTS)

    def test_its_stream_begins_with_what_it_shows(self) -> None:
        build = self.served.build()
        page = self.served.ask(build_path(build)).text
        stream = re.search(r'data-events="([^"]+)"', page)
        assert stream is not None
        address = stream[1].replace("&amp;", "&")
        self.served.finish(build)
        told = self.served.ask(address).events(0.5)
        self.assertEqual([data.get("kind") for _, data, _ in told], [None, "build finished"])

    def test_nobody_is_offered_what_needs_a_login(self) -> None:
        page = self.served.ask(build_path(self.served.build())).text
        self.assertNotIn('action="/builders', page)

    def test_an_unknown_builder(self) -> None:
        answer = self.served.ask("/builders/none/builds/1")
        self.assertEqual(answer.status, 404)
        self.assertIn("no builder", answer.text)

    def test_the_name_is_never_markup(self) -> None:
        page = self.served.ask(build_path(self.served.build())).text
        self.assertNotIn(BUILDER, page)
