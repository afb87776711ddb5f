"""What steps tell of tests is in the store when they have ended: bounded, masked, and without stalling the master."""

from __future__ import annotations

from typing import Any

from buildbot.config import names
from buildbot.process import testkeeping
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import FAILURE, SUCCESS
from buildbot.store import testresults
from tests.rig import Built, RigCase

names.install()
from buildbot.status.builder import TestResult  # noqa: E402


class Tells(BuildStep):
    """Does what it is given."""

    name = "tells"

    def __init__(self, does: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.does = does

    async def addTestResultSets(self) -> None:
        self.unit = await self.addTestResultSet("unit", "pass_fail", "boolean")

    async def run(self) -> int:
        answer = self.does(self)
        if answer is not None:
            await answer
        return SUCCESS


def told(built: Built, set_number: int = 0) -> list[testresults.Told]:
    store = built.rig.store
    sets = testresults.sets_of(store, built.row.id, 100)
    return testresults.page(store, sets[set_number].id, 0, 1_000_000, failed=False)


class TestKeeping(RigCase):
    async def test_many_are_written_between_the_turns_of_the_reactor(self) -> None:
        def tells(step: Any) -> None:
            for number in range(3000):
                step.addTestResult(
                    step.unit, str(number % 2), test_name=f"t{number}", test_code_path="a.py", line=number
                )

            stored.append(step.build.store.value("SELECT count(*) FROM test_results"))

        stored: list[int] = []
        built = await self.run_steps(Tells(tells), Tells(lambda step: None))
        assert stored == [0]  # nothing is written while the step's code has the reactor
        results = told(built)
        assert [each.name for each in results] == [f"t{number}" for number in range(3000)]
        assert (results[7].path, results[7].line, results[7].passed, results[8].passed) == ("a.py", 7, 1, 0)
        assert built.results["tells"] == SUCCESS
        (first, second) = testresults.sets_of(built.rig.store, built.row.id, 10)
        assert (first.counts, second.counts) == ((3000, 1500, 1500), (0, 0, 0))

    async def test_what_is_too_much_is_counted_and_said(self) -> None:
        self.patch(testkeeping, "MOST_RESULTS", 300)

        def tells(step: Any) -> None:
            for number in range(310):
                step.addTestResult(step.unit, "1", test_name=f"t{number}")

        built = await self.run_steps(Tells(tells))
        assert len(told(built)) == 300
        assert testresults.sets_of(built.rig.store, built.row.id, 10)[0].counts == (310, 310, 0)
        assert "300 results" in built.text("tells", "results.left_out")

    async def test_texts_are_bounded_and_secrets_hidden(self) -> None:
        def tells(step: Any) -> None:
            step.build.secrets.note("password", "hunter2-hunter2")
            step.addTestResult(step.unit, "x" * 9999, test_name="n" * 990 + "hunter2-hunter2" + "n" * 50)
            step.addTestResult(step.unit, "hunter2-hunter2", test_code_path="\udc80/a\0b")
            step.build.build_status.addTestResult(
                TestResult(
                    ("hunter2-hunter2", "b"), FAILURE, ["hunter2-hunter2"], {"log": b"hunter2-hunter2" + b"x" * 99999}
                )
            )

        built = await self.run_steps(Tells(tells))
        long, secret = told(built)
        assert (len(long.value), len(long.name or "")) == (4000, 1000)
        assert (secret.value, secret.path) == ("<password>", "?/a�b")
        (old,) = told(built, 1)
        assert old.name == "<password>.b"
        assert 60_000 < len(old.details or "") < 70_000
        store = built.rig.store
        everything = str(store.all(lambda *row: row, "SELECT * FROM test_results"))
        assert "hunter2" not in everything + str(store.column("SELECT text FROM test_texts"))

    async def test_mistakes_are_said(self) -> None:
        said: list[str] = []

        async def tells(step: Any) -> None:
            for wrong in (
                lambda: step.addTestResult(step.unit, "1"),
                lambda: step.addTestResult(999, "1", test_name="a"),
                lambda: step.addTestResult(step.unit, "1", test_name="a", line="one"),
                lambda: step.setBuildData("a", "text", "b"),
                lambda: step.setBuildData("", b"", "b"),
                lambda: step.setBuildData("a", bytes(5 << 20), "b"),
            ):
                try:
                    await (wrong() or said.append("nothing"))
                except (TypeError, ValueError, Exception) as mistake:
                    said.append(str(mistake))

        await self.run_steps(Tells(tells))
        assert [sentence.split(":")[0] for sentence in said[:4]] == [
            "addTestResult() takes test_name or test_code_path",
            "no set 999 of test results",
            "addTestResult()",
            "setBuildData()",
        ]
        assert "the name is a string" in said[4]
        assert "at most 4194304 are kept" in said[5]

    async def test_a_finished_build_knows_what_was_told(self) -> None:
        def tells(step: Any) -> None:
            for name in (("mod", "b.c"), ("mod", "a")):
                step.build.build_status.addTestResult(TestResult(name, FAILURE, ["bad"], {"out": "x"}))

        def asks(step: Any) -> None:
            earlier = step.build.getStatus().getPreviousBuild()
            found.extend((each.getName(), each.getText(), each.getLogs()) for each in earlier.getTestResultsOrd())
            found.append(len(earlier.getTestResults()))

        found: list[Any] = []
        await self.run_steps(Tells(tells))
        await self.run_steps(Tells(asks))
        assert found == [(("mod", "a"), ["bad"], {"out": "x"}), (("mod", "b.c"), ["bad"], {"out": "x"}), 2]
