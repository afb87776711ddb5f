"""Results of tests in the store: written twice they are there once, names are shared, and what is old goes."""

from __future__ import annotations

from buildbot.model import Build, Result, StepID
from buildbot.store import builddata, builds, retention, steps, testresults
from buildbot.store.builddata import MOST_OF_BUILD, MOST_OF_ONE, Datum, TooMuchData
from buildbot.store.checking import Check, Kind
from buildbot.store.testresults import LAG, Counts, Failing, NewResult
from tests.unit.store.cases import NOW, StoreCase


def result(name: str, passed: bool | None = True, **more: object) -> NewResult:
    given = NewResult(name, None, None, None, str(int(bool(passed))), passed, None)
    return given._replace(**more)  # type: ignore[arg-type]


class ResultsCase(StoreCase):
    def with_results(
        self, *results: NewResult, description: str = "unit", ended: bool = True
    ) -> tuple[Build, StepID, int]:
        """A build whose one step tells these."""
        build = self.start(self.ask())
        step = self.step(build)
        set_id = self.begin(build, step, 0, description)
        self.put(set_id, 0, *results)
        if ended:
            self.end(build, step)
        return build, step, set_id

    def begin(self, build: Build, step: StepID, number: int, description: str = "unit") -> int:
        return self.store.transact(
            testresults.begin_set,
            self.builder,
            build.id,
            step,
            number,
            description=description,
            category="pass_fail",
            value_unit="boolean",
        )

    def put(self, set_id: int, ordinal: int, *results: NewResult) -> None:
        counts = Counts(
            ordinal + len(results),
            sum(each.passed is True for each in results),
            sum(each.passed is False for each in results),
        )
        self.store.transact(testresults.put, self.builder, set_id, ordinal, results, counts)

    def end(self, build: Build, step: StepID) -> None:
        self.store.transact(steps.finish, step, Result.SUCCESS, "done", False, NOW + 1)
        self.store.transact(builds.finish, build.id, Result.SUCCESS, "done", NOW + 1)

    def names(self, set_id: int) -> list[str | None]:
        return [each.name for each in testresults.page(self.store, set_id, 0, 100, failed=False)]

    def texts(self) -> set[str]:
        return set(self.store.column("SELECT text FROM test_texts"))


class TestWriting(ResultsCase):
    def test_what_a_step_tells_again_is_there_once(self) -> None:
        build, step, set_id = self.with_results(result("a"), result("b", False), ended=False)
        self.assertEqual(self.begin(build, step, 0), set_id)
        self.put(set_id, 0, result("a"), result("b", False), result("c"))
        self.assertEqual(self.names(set_id), ["a", "b", "c"])
        (row,) = testresults.sets_of(self.store, build.id, 10)
        self.assertEqual(row.counts, (3, 2, 1))
        self.assertEqual(row.step, "compile")

    def test_counts_do_not_go_back_while_it_tells_again(self) -> None:
        build, _, set_id = self.with_results(result("a"), result("b", False), result("c"), ended=False)
        self.put(set_id, 0, result("a"))
        (row,) = testresults.sets_of(self.store, build.id, 10)
        self.assertEqual(row.counts, (3, 2, 1))

    def test_what_a_repeated_step_does_not_tell_again_goes(self) -> None:
        build, step, first = self.with_results(*(result(f"t{n}") for n in range(9)), ended=False)
        second = self.begin(build, step, 1)
        self.put(second, 0, result("x"))
        rounds = 1
        while self.store.transact(testresults.remove_leftovers, step, [2], 3):
            rounds += 1
        self.assertGreater(rounds, 2)
        self.assertEqual(self.names(first), ["t0", "t1"])
        self.assertEqual([row.id for row in testresults.sets_of(self.store, build.id, 10)], [first])

    def test_names_and_paths_are_kept_once_a_builder(self) -> None:
        _, _, one = self.with_results(result("a", path="p.c", line=3), result("a"))
        _, _, two = self.with_results(result("a", path="p.c"), result("b"))
        self.assertEqual(self.store.value("SELECT count(*) FROM test_texts"), 3)
        (first, _) = testresults.page(self.store, one, 0, 10, failed=False)
        self.assertEqual((first.name, first.path, first.line), ("a", "p.c", 3))
        self.assertEqual(self.names(two), ["a", "b"])

    def test_a_batch_is_a_few_statements(self) -> None:
        build, step, _ = self.with_results(ended=False)
        batch = [result(f"test.module.class{n // 50}.test_{n}") for n in range(250)]
        for number in (1, 2):  # with new names, and with known ones
            set_id = self.begin(build, step, number)
            before = self.store.statements
            self.put(set_id, 0, *batch)
            self.assertLessEqual(self.store.statements - before, 5)
        self.assertEqual(len(self.texts()), 250)


class TestReading(ResultsCase):
    def test_what_fails_newly_is_told_first(self) -> None:
        self.with_results(result("old", False), result("mended", False), result("new"))
        self.with_results(result("other", False), description="of another kind")
        build, _, _ = self.with_results(
            result("old", False), result("mended"), result("new", False), result("skipped", None)
        )
        (told,) = testresults.summaries(self.store, build.id, 10, 10)
        self.assertEqual(told.failing, [Failing("new", True), Failing("old", False)])
        self.assertEqual((told.compared_with, told.new, told.set.counts), (1, 1, (4, 1, 2)))

    def test_without_an_earlier_build_nothing_is_new(self) -> None:
        build, _, _ = self.with_results(result("a", False))
        (told,) = testresults.summaries(self.store, build.id, 10, 10)
        self.assertEqual((told.compared_with, told.new, told.failing), (None, None, [Failing("a", False)]))

    def test_a_build_that_still_tells_is_not_compared_with(self) -> None:
        self.with_results(result("a"))
        self.with_results(result("b"), ended=False)
        build, _, _ = self.with_results(result("a", False))
        (told,) = testresults.summaries(self.store, build.id, 10, 10)
        self.assertEqual((told.compared_with, told.new), (1, 1))

    def test_many_failures_are_compared_one_by_one_and_not_each_with_all(self) -> None:
        many = [result(f"t{number}", False) for number in range(1000)]
        self.with_results(*many)
        build, _, _ = self.with_results(*many, result("new", False))
        ticks: list[int] = []
        self.store._connection.set_progress_handler(lambda: ticks.append(1), 1000)
        (told,) = testresults.summaries(self.store, build.id, 10, 10)
        testresults.failures_of_test(self.store, self.builder, "t3", 10)
        self.store._connection.set_progress_handler(None, 0)
        self.assertEqual(told.new, 1)
        self.assertLess(len(ticks), 500)  # thousands of SQLite's instructions: some for each failure

    def test_pages_of_it(self) -> None:
        _, _, set_id = self.with_results(*(result(f"t{n}", n % 3 > 0) for n in range(10)))
        self.assertEqual([r.ordinal for r in testresults.page(self.store, set_id, 4, 3, failed=False)], [4, 5, 6])
        self.assertEqual([r.ordinal for r in testresults.page(self.store, set_id, 4, 9, failed=True)], [6, 9])

    def test_one_test_and_where_it_failed(self) -> None:
        self.with_results(result("a", False), result("b"))
        self.with_results(result("b", False))
        build, _, _ = self.with_results(result("a", True, value="7", details='{"text": ["x"]}'), result("b"))
        (told,) = testresults.of_test(self.store, self.builder, build.id, "a", 10)
        self.assertEqual((told.step, told.result.value, told.result.details), ("compile", "7", '{"text": ["x"]}'))
        self.assertEqual(
            testresults.failures_of_test(self.store, self.builder, "a", 10), [(3, False), (2, False), (1, True)]
        )
        self.assertEqual(testresults.of_test(self.store, self.builder, build.id, "none", 10), [])


class TestRemoving(ResultsCase):
    def remove(self, build: Build) -> None:
        while self.store.transact(retention.delete_steps, build.id, 2):
            pass

    def test_results_go_with_the_steps_some_at_a_time(self) -> None:
        build, _, set_id = self.with_results(*(result(f"t{n}") for n in range(5)))
        self.assertEqual(self.store.transact(retention.delete_steps, build.id, 2), 2)
        self.assertEqual(len(self.names(set_id)), 3)
        self.remove(build)
        self.assertEqual(self.store.value("SELECT count(*) FROM test_result_sets"), 0)

    def test_names_go_when_no_result_has_them(self) -> None:
        old, _, _ = self.with_results(result("gone"), result("stays"))
        self.store.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'test_result_sets'", 2 * LAG)
        self.with_results(result("stays"), result("new"))
        self.assertFalse(self.store.transact(testresults.delete_texts, self.builder, 10))
        self.assertEqual(self.texts(), {"gone", "stays", "new"})
        self.remove(old)
        self.assertTrue(self.store.transact(testresults.delete_texts, self.builder, 1))
        self.assertEqual(self.texts(), {"stays", "new"})

    def test_without_results_all_names_go(self) -> None:
        build, _, _ = self.with_results(result("gone"))
        self.remove(build)
        self.store.transact(testresults.delete_texts, self.builder, 10)
        self.assertEqual(self.texts(), set())

    def test_a_name_that_is_missing_is_found(self) -> None:
        self.with_results(result("a"))
        check = Check(self.store, self.directory / "logs")
        self.assertEqual(check.findings(), [])
        self.store.execute("DELETE FROM test_texts")
        self.assertEqual([finding.kind for finding in check.findings()], [Kind.STATE])


class TestBuildData(StoreCase):
    def test_the_latest_of_a_name_is_kept(self) -> None:
        build = self.start(self.ask())
        for value in (b"one", b"\xfftwo"):
            self.store.transact(builddata.put, build.id, "diff", value, "Step")
        self.assertEqual(builddata.get(self.store, build.id, "diff"), Datum(b"\xfftwo", "Step"))
        self.assertIsNone(builddata.get(self.store, build.id, "other"))
        self.assertEqual(builddata.names(self.store, build.id), ["diff"])

    def test_it_is_bounded(self) -> None:
        build = self.start(self.ask())
        with self.assertRaises(TooMuchData):
            self.store.transact(builddata.put, build.id, "a", bytes(MOST_OF_ONE + 1), "Step")
        for name in "abcd"[: MOST_OF_BUILD // MOST_OF_ONE]:
            self.store.transact(builddata.put, build.id, name, bytes(MOST_OF_ONE), "Step")
        self.store.transact(builddata.put, build.id, "a", bytes(MOST_OF_ONE), "Step")
        with self.assertRaises(TooMuchData):
            self.store.transact(builddata.put, build.id, "e", b"1", "Step")

    def test_it_is_removed_name_by_name_when_the_build_has_ended(self) -> None:
        build = self.start(self.ask())
        for name in "ab":
            self.store.transact(builddata.put, build.id, name, b"1", "Step")
        self.assertFalse(self.store.transact(builddata.delete_one, build.id))
        self.store.transact(builds.finish, build.id, Result.SUCCESS, "done", NOW + 1)
        self.assertEqual([self.store.transact(builddata.delete_one, build.id) for _ in "abc"], [True, True, False])
