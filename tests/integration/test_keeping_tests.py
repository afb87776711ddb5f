"""Results of tests, and data of builds, over kill -9 of the master: each is there once, and later steps find them."""

from __future__ import annotations

from pathlib import Path

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until

STEPS = """
import os
from buildbot.process.buildstep import BuildStep, RemoteShellCommand
from buildbot.status.builder import FAILURE, SUCCESS, TestResult


class Ended(BuildStep):
    '''Has told all before the master is killed.'''
    name = 'ended'

    async def run(self):
        for name in ('one', 'two'):
            self.build.build_status.addTestResult(TestResult(('mod', name), FAILURE, ['bad'], {'log': 'why ' + name}))
        await self.setBuildData('diff', b'\\xffdata', 'Ended')
        return SUCCESS


class UnderWay(BuildStep):
    '''Tells some, is killed while its command runs, and tells the rest.'''
    name = 'under way'

    async def addTestResultSets(self):
        self.unit = await self.addTestResultSet('unit', 'pass_fail', 'boolean')

    async def run(self):
        for number in range(600):
            self.addTestResult(self.unit, '1', test_name='test %d' % number)
        self.build.build_status.addTestResult(TestResult(('mod', 'three'), FAILURE, ['bad'], {}))
        await self.build.tests._write()
        wait = 'touch BEGAN; while [ ! -e GO ]; do sleep 0.05; done'
        await self.runCommand(RemoteShellCommand('build', ['sh', '-c', wait]))
        for number in range(600, 1200):
            self.addTestResult(self.unit, str(number % 2), test_name='test %d' % number)
        return SUCCESS


class Later(BuildStep):
    name = 'later'

    async def run(self):
        found = self.build.build_status.getTestResults()
        self.setProperty('found', sorted('.'.join(name) + '=' + ''.join(each.getLogs().values())
                                         for name, each in found.items()))
        self.setProperty('data', repr(self.build.build_data['diff']))
        return SUCCESS


c_steps = [Ended(), UnderWay(), Later()]
"""
CONFIGURATION = """
c['builders'] = [util.BuilderConfig(name='b', slavenames=['one'], factory=util.BuildFactory(c_steps))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['b'])]
"""


def test_killed_between_two_halves(processes: Processes, tmp_path: Path) -> None:
    master = AMaster(processes, tmp_path)
    master.configure(CONFIGURATION, before=STEPS)
    master.start()
    master.slave()
    master.send("r1", branch="main")
    there = master.where / "slave-one" / "b" / "build"
    wait_until(lambda: (there / "BEGAN").exists(), 60)
    assert master.value("SELECT count(*) FROM test_results") == 603
    for _ in range(2):
        master.kill()
        master.start()
    (there / "GO").touch()
    build = master.finished("b", 1)
    assert (build.result, build.attempt) == (Result.SUCCESS, 1), master.log[-3000:]
    assert master.rows(
        "SELECT t.name, s.number, s.told, s.passed, s.failed, count(*), count(DISTINCT r.name_id) "
        "FROM test_result_sets AS s JOIN steps AS t ON t.id = s.step_id JOIN test_results AS r ON r.set_id = s.id "
        "GROUP BY s.id ORDER BY s.id"
    ) == [("ended", 0, 2, 0, 2, 2, 2), ("under way", 0, 1200, 900, 300, 1200, 1200), ("under way", 1, 1, 0, 1, 1, 1)]
    properties = dict(master.rows("SELECT name, value FROM build_properties WHERE name IN ('found', 'data')"))
    assert properties["found"] == '["mod.one=why one", "mod.three=", "mod.two=why two"]'
    assert "\\\\xffdata" in properties["data"]
    (there / "BEGAN").unlink()
    master.send("r2", branch="main")  # whose names are known
    assert master.finished("b", 2).result == Result.SUCCESS
    assert master.value("SELECT count(*) FROM test_texts") == 1203
    master.stop()
    assert master.buildbot("check", master.basedir)
