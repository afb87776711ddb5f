"""Custom steps of each era go on over the end of the master, and end as those of an undisturbed build do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.integration.test_durable import everything, ran
from tests.processes import Processes

STEPS = """
from buildbot.plugins import buildslave, changes, schedulers, util
from buildbot.process.base import Build
from buildbot.process.buildstep import BuildStep, LoggedRemoteCommand, LogLineObserver, RemoteShellCommand, ShellMixin
from buildbot.steps.shell import ShellCommand
from buildbot.status.builder import FAILURE, SUCCESS, WARNINGS
from twisted.internet import defer, reactor, task


def lines(name, count):
    return ['sh', '-c', 'echo %s >> RAN; for i in $(seq %d); do echo %s $i; sleep 0.01; done' % (name, count, name)]


class Chained(BuildStep):
    '''0.7: Deferreds, and an error handler that takes whatever comes for a failure.'''
    name = 'chained'

    def start(self):
        self.step_status.setText(['chaining'])
        self.notes = self.addLog('notes')
        self.notes.addStdout('before\\n')
        self.first = RemoteShellCommand('build', lines('chained', 30))
        d = self.runCommand(self.first)
        d.addCallback(self.second)
        d.addCallback(lambda cmd: task.deferLater(reactor, 0.2, self.third, cmd))
        d.addCallbacks(self.finished, lambda why: self.finished(FAILURE))

    def second(self, cmd):
        self.notes.addStdout('first: %d\\n' % cmd.rc)
        return self.runCommand(RemoteShellCommand('build', lines('again', 30)))

    def third(self, cmd):
        self.notes.addStdout('second: %d\\n' % len(self.getLog('stdio').readlines()))
        self.setProperty('chained', self.getProperty('chained', 0) + 1)
        self.addURL('notes', 'http://localhost/notes')
        self.step_status.setText(['chained'])
        return SUCCESS


class Counter(LogLineObserver):
    def __init__(self):
        LogLineObserver.__init__(self)
        self.count = 0

    def outLineReceived(self, line):
        self.count += 1


class Judged(ShellCommand):
    '''0.8: a command that is judged by its output.'''
    name = 'judged'
    warnOnWarnings = True

    def __init__(self, **kwargs):
        ShellCommand.__init__(self, **kwargs)
        self.counter = Counter()
        self.addLogObserver('stdio', self.counter)

    def start(self):
        self.setCommand(lines('judged', 60))
        ShellCommand.start(self)

    def createSummary(self, log):
        self.addCompleteLog('last', log.getText().splitlines()[-1] + '\\n')
        self.step_status.setStatistic('lines', self.counter.count)

    def evaluateCommand(self, cmd):
        return WARNINGS if self.counter.count == 60 else FAILURE

    def getText(self, cmd, results):
        return ['judged', '%d lines' % self.counter.count]

    def getText2(self, cmd, results):
        return ['%d lines' % self.counter.count]


class Inlined(ShellMixin, BuildStep):
    '''0.9 and later.'''
    name = 'inlined'

    def __init__(self, **kwargs):
        kwargs = self.setupShellMixin(kwargs, prohibitArgs=['command'])
        super().__init__(**kwargs)

    @defer.inlineCallbacks
    def run(self):
        yield self.updateSummary()
        log = yield self.addLog('notes')
        first = yield self.makeRemoteShellCommand(command=lines('inlined', 30), collectStdout=True)
        yield self.runCommand(first)
        yield log.addStdout('%d\\n' % len(first.stdout.splitlines()))
        second = yield self.makeRemoteShellCommand(command=lines('twice', 30), stdioLogName=None, collectStdout=True)
        yield self.runCommand(second)
        yield log.addStdout('%d\\n' % len(second.stdout.splitlines()))
        yield self.setProperty('inlined', len(first.stdout))
        return first.results()


class Enough(ShellCommand):
    '''Ends its build.'''
    name = 'enough'

    def evaluateCommand(self, cmd):
        self.build.buildFinished(['that', 'is', 'enough'], WARNINGS)
        return SUCCESS


class MyBuild(Build):
    def setupBuild(self, expectations):
        Build.setupBuild(self, expectations)
        self.done = []

    def setupProperties(self):
        self.setProperty('mine', 'set', 'MyBuild')

    def stepDone(self, result, step):
        self.done.append(step.name)
        self.setProperty('done', list(self.done), 'MyBuild')
        return Build.stepDone(self, result, step)


factory = util.BuildFactory([
    Chained(), Judged(), Inlined(), Enough(command=lines('enough', 20)), ShellCommand(command=lines('never', 1)),
    ShellCommand(name='always', command=lines('always', 30), alwaysRun=True)])
factory.buildClass = MyBuild
"""
CONFIGURATION = """
c['builders'] = [util.BuilderConfig(name='wild', slavenames=['one'], factory=factory)]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['wild'])]
"""
WHOLE = ["chained", "again", "judged", "inlined", "twice", "enough", "always"]


def begin(master: AMaster) -> None:
    master.configure(CONFIGURATION, before=STEPS)
    master.start()
    master.slave()
    master.send("r1", branch="main")
    master.running("wild", 1)


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


def test_the_master_is_killed_and_stopped_many_times(master: AMaster) -> None:
    begin(master)
    ends = 0
    while master.builds()[0].result is None and ends < 6:
        time.sleep(0.4 + 0.23 * ends % 0.7)
        if ends % 3 == 2:
            master.stop()  # its code gets a CancelledError, whatever it makes of that
        else:
            master.kill()
        ends += 1
        master.start()
    wild = master.finished("wild", 1)
    assert ends >= 4
    assert wild.result is Result.WARNINGS, master.log[-3000:]
    assert wild.text == "warnings: that is enough"
    assert ran(master, "wild") == WHOLE
    assert "Traceback" not in master.log
    assert master.open_rows() == {}
    found = everything(master, "wild")
    master.stop()

    calm = AMaster(master.processes, master.where / "calm")
    begin(calm)
    calm.finished("wild", 1)
    expected = everything(calm, "wild")
    assert [step[1:4] for step in expected["steps"]] == [
        ("chained", 0, "chained"),
        ("judged", 1, "judged 60 lines"),
        ("inlined", 0, "finished"),
        ("enough", 0, "'sh -c ...'"),
        ("always", 0, "'sh -c ...'"),
    ]
    assert expected["properties"]["chained"] == (1, "chained")
    assert expected["properties"]["mine"] == ("set", "MyBuild")
    for name, channels in expected["logs"].items():
        for channel, text in channels.items():
            assert found["logs"][name][channel] == text, (name, channel)
    for what in expected:
        assert found[what] == expected[what], what
    calm.stop()
