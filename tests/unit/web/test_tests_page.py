"""Results of tests on the page of their build, on a page of their own, and of one test."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import Build, Result
from buildbot.store import testresults
from buildbot.store.testresults import Counts, NewResult
from tests.unit.web.served import Served, build_path
from tests.unit.web.test_build_page import MOST_STATEMENTS, words


def result(name: str | None, passed: bool | None, **more: object) -> NewResult:
    given = NewResult(name, None, None, None, "1" if passed else "0", passed, None)
    return given._replace(**more)  # type: ignore[arg-type]


class TestsPageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.served = Served()
        self.addCleanup(self.served.close)

    def with_results(
        self, *results: NewResult, unit: str = "boolean", category: str = "pass_fail", sets: int = 1
    ) -> Build:
        build = self.served.build()
        step = self.served.step(build, name="test <it>")
        counts = Counts(len(results), sum(r.passed is True for r in results), sum(r.passed is False for r in results))
        for number in range(sets):
            set_id = self.served.store.transact(
                testresults.begin_set,
                self.served.builder,
                build.id,
                step,
                number,
                description="unit <b>",
                category=category,
                value_unit=unit,
            )
            self.served.store.transact(testresults.put, self.served.builder, set_id, 0, results, counts)
        self.served.end_step(step, Result.FAILURE)
        self.served.finish(build, Result.FAILURE)
        return build

    def text(self, path: str, status: int = 200) -> str:
        answer = self.served.ask(path)
        self.assertEqual(answer.status, status)
        return answer.text

    def test_a_build_tells_what_fails_and_what_is_new(self) -> None:
        self.with_results(result("old <i>", False), result("new", True))
        build = self.with_results(
            result("old <i>", False), result("new", False), result("good", True), result("odd", None)
        )
        page = self.text(build_path(build))
        said = words(page)
        self.assertIn("unit &lt;b&gt; test &lt;it&gt; 2 failed 1 passed 1 other 1 new compared with #1", said)
        self.assertIn("new new old &lt;i&gt; Changes", said)
        self.assertIn(f'<a href="{build_path(build)}/tests/old%20%3Ci%3E">old &lt;i&gt;</a>', page)

    def test_the_list_of_a_build_is_bounded(self) -> None:
        build = self.with_results(*(result(f"t{number}.", False) for number in range(40)), sets=25)
        page = self.text(build_path(build))
        self.assertEqual(page.count(">t9.<"), 20)
        self.assertNotIn(">t10.<", page)
        self.assertIn("all 40 that failed", page)
        self.assertIn(">and more</a>", page)

    def test_few_statements(self) -> None:
        self.with_results(*(result(f"t{number}", True) for number in range(40)), sets=3)
        build = self.with_results(*(result(f"t{number}", False) for number in range(40)), sets=3)
        for path in ("", "/tests", "/tests?failed=1", "/tests/t7"):
            before = self.served.store.statements
            self.text(build_path(build) + path)
            self.assertLessEqual(self.served.store.statements - before, MOST_STATEMENTS, path)

    def test_without_results_a_build_says_nothing(self) -> None:
        build = self.served.build()
        self.assertNotIn("Results of tests", self.text(build_path(build)))
        self.assertIn("have told no results", self.text(f"{build_path(build)}/tests"))

    def test_all_results_a_page_at_a_time(self) -> None:
        build = self.with_results(*(result(f"t{number}.", number % 2 > 0) for number in range(150)))
        path = f"{build_path(build)}/tests"
        first = self.text(path)
        self.assertIn(">t99.<", first)
        self.assertNotIn(">t100.<", first)
        self.assertIn(f"{path}?set=1&amp;first=100", first)
        second = self.text(f"{path}?set=1&first=100")
        self.assertIn(">t149.<", second)
        self.assertNotIn("more results", second)
        self.assertIn("the first results", second)
        failed = self.text(f"{path}?set=1&failed=1")
        self.assertIn(">t148.<", failed)
        self.assertNotIn(">t1.<", failed)

    def test_what_is_asked_for_must_be_there(self) -> None:
        build = self.with_results(result("a", True))
        self.text(f"{build_path(build)}/tests?set=99", 404)
        self.text(f"{build_path(build)}/tests?set=x", 400)
        self.text(f"{build_path(build)}/tests?first=-5")
        self.text(f"{build_path(build)}/tests/none", 404)
        self.text("/builders/other/builds/1/tests", 404)

    def test_values_places_and_times(self) -> None:
        build = self.with_results(
            result(None, False, path="a <b>.py", line=7, value="C01: <Missing>", duration_ns=1_500),
            result("long", False, value="x" * 3000, duration_ns=95_000_000_000),
            unit="message",
            category="code_issue",
        )
        said = words(self.text(f"{build_path(build)}/tests"))
        self.assertIn("a &lt;b&gt;.py:7 failed C01: &lt;Missing&gt; 1.5 µs", said)
        self.assertIn("2 issues", said)
        self.assertIn(f"{'x' * 500} … 1 min 35 s", said)

    def test_one_test_with_what_it_said_and_where_it_failed(self) -> None:
        self.with_results(result("mod.<test>", False))
        self.with_results(result("another", True))
        details = json.dumps({"text": ["bad", "<b>"], "logs": {"log <1>": "Traceback & <more>", "long": "y" * 30_000}})
        build = self.with_results(result("mod.<test>", False, value="2", details=details), unit="result")
        page = self.text(f"{build_path(build)}/tests/mod.%3Ctest%3E")
        said = words(page)
        self.assertIn("mod.&lt;test&gt; unit &lt;b&gt; test &lt;it&gt; failure bad &lt;b&gt;", said)
        self.assertIn("log &lt;1&gt; Traceback &amp; &lt;more&gt;", said)
        self.assertIn("… and 10000 characters more", said)
        self.assertIn("#3 failed #2 #1 failed", said)
