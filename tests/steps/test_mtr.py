"""MTR: the output of mysql-test-run.pl, and the database where its results go."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.process.recipe import digest
from buildbot.process.results import SUCCESS, WARNINGS
from buildbot.steps.mtrlogobserver import MTR, EqConnectionPool
from tests.steps.case import StepsCase

OUTPUT = """Logging: mysql-test-run.pl  --force
==============================================================================
TEST                                      RESULT   TIME (ms) or COMMENT
--------------------------------------------------------------------------
worker[1] Using MTR_BUILD_THREAD 300, with reserved ports 16000..16019
main.1st                                 [ pass ]      3
main.a_very_long_name_of_a_test 'innodb' w2 [ pass ]     12
rpl.rpl_sp 'mix' w1                      [ fail ]
        Test ended at 2010-05-05 10:10:10

CURRENT_TEST: rpl.rpl_sp
mysqltest: At line 10: query 'SELECT 1' failed
--------------------------------------------------------------------------
main.alias                               [ skipped ]  not today
main.group_by_a_long_name                [ retry-fail ]
mysqltest: again
main.last                                [ retry-pass ]  1
***Warnings generated in error logs during shutdown after running tests: main.1st rpl.rpl_sp
MTR's internal check of the test case 'main.last' failed.
Completed: Failed 2/6 tests
"""


class TestMTR(StepsCase):
    def pool(self) -> EqConnectionPool:
        pool = EqConnectionPool("sqlite3", str(self.rig.base / "tests.sqlite"), check_same_thread=False)
        self.addCleanup(pool.close)
        return pool

    def mtr(self, **options: Any) -> MTR:
        run = self.program("mtr", OUTPUT, 1)
        log = "mysql-test/var/2/log"
        command = f"mkdir -p {log}; echo a server says > {log}/mysqld.1.err; {run}"
        return MTR(command=command, test_type="nightly", name="mtr", **options)

    async def test_they_are_written_into_a_database_once(self) -> None:
        pool = self.pool()
        built = await self.run_steps(self.mtr(dbpool=pool, autoCreateTables=True), self.mtr(dbpool=pool))
        assert "err.text" not in built.logs("mtr_1")
        ask = pool.runQuery
        assert await ask("SELECT platform, bbnum, typ FROM test_run") == [("b", 1, "nightly")]
        failures = await ask("SELECT test_run_id, test_name, test_variant FROM test_failure ORDER BY test_name")
        assert failures == [(1, "main.group_by_a_long_name", ""), (1, "rpl.rpl_sp", "mix")]
        warnings = await ask("SELECT list_id, list_idx, test_name FROM test_warnings")
        assert warnings == [(0, 0, "main.1st"), (0, 1, "rpl.rpl_sp")]

    async def test_a_database_that_cannot_be_written_is_a_warning(self) -> None:
        step = MTR(command="true", dbpool=self.pool(), name="mtr")
        built = await self.run_steps(step)
        assert built.results == {"mtr": WARNINGS}
        assert "no such table" in built.text("mtr", "err.text")
        assert len(self.flushLoggedErrors()) >= 1
        assert (await self.run_steps(MTR(command="true"))).results == {"test": SUCCESS}

    def test_equal_pools_are_one_recipe(self) -> None:
        pools = [EqConnectionPool("sqlite3", name) for name in ("a", "a", "b")]
        assert pools[0] == pools[1] != pools[2]
        assert digest(pools[0]) == digest(pools[1]) != digest(pools[2])

    def test_mistakes_are_said(self) -> None:
        for options in ({"parallel": "4"}, {"textLimit": -1}, {"dbpool": "mysql://"}):
            with self.assertRaises(ConfigErrors):
                MTR(command="mtr", **options)  # type: ignore[arg-type]
