"""Builds go on over the end of the master and of the slave's connection, and end as an undisturbed build does."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import buildbot
from buildbot.model import Result
from buildbot.store.store import connect
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until

STEPS = """
from buildbot.process.buildstep import LineConsumerLogObserver, ShellMixin


class Counts(ShellMixin, steps.BuildStep):
    '''Counts the lines of its command with an observer, asks twice, and makes another step.'''
    def __init__(self, **kwargs):
        kwargs = self.setupShellMixin(kwargs)
        super().__init__(**kwargs)
        self.lines = 0

    def consume(self):
        while True:
            stream, line = yield
            self.lines += 1

    async def run(self):
        log = await self.addLog('notes')
        self.addLogObserver('stdio', LineConsumerLogObserver(self.consume))
        await log.addStdout('before\\n')
        first = await self.makeRemoteShellCommand(collectStdout=True)
        await self.runCommand(first)
        second = await self.makeRemoteShellCommand(collectStdout=True, stdioLogName=None)
        await self.runCommand(second)
        await log.addStdout('after %d lines\\n' % self.lines)
        self.setProperty('count', self.getProperty('count', 0) + 1)
        self.setProperty('sizes', [len(first.stdout), len(second.stdout)])
        await self.addURL('notes', 'http://localhost/notes')
        self.build.addStepsAfterCurrentStep([steps.ShellCommand(name='made', command=lines('made', 40))])
        return first.results()

    def getResultSummary(self):
        return {'step': '%d lines' % self.lines, 'build': '%d lines' % self.lines}


def lines(name, count):
    return ['sh', '-c', 'echo %s >> RAN; for i in $(seq %d); do echo %s $i; [ $((i %% 7)) = 0 ] && echo err $i >&2; '
            'sleep 0.02; done' % (name, count, name)]


def numbered():
    return util.BuildFactory([
        steps.ShellCommand(name='one', command=lines('one', 50)),
        Counts(name='counts', command=lines('counts', 50)),
        steps.ShellCommand(name='fails', command=lines('fails', 40)[:2] + [lines('fails', 40)[2] + '; exit 3'],
                           haltOnFailure=False, flunkOnFailure=False, warnOnFailure=True),
        steps.ShellCommand(name='quiet', command=['sh', '-c', 'echo quiet >> RAN; sleep 1.5; echo done']),
        steps.ShellCommand(name='skipped', command=['false'], doStepIf=False),
        steps.ShellCommand(name='last', command=lines('last', 50), alwaysRun=True),
    ])
"""

BUILDERS = """
c['builders'] = []
for name in {names!r}:
    c['builders'].append(util.BuilderConfig(name=name, slavenames=['one'], factory=numbered()))
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames={names!r})]
"""


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


def everything(master: AMaster, builder: str) -> dict[str, Any]:
    """All of a build that must not depend on what happened to the master: results, texts, logs, properties."""
    of_builder = "SELECT b.id FROM builds AS b JOIN builders AS r ON r.id = b.builder_id WHERE r.name = ?"
    build = master.value(of_builder, builder)
    found: dict[str, Any] = {
        "build": master.rows("SELECT number, result, state_text, attempt FROM builds WHERE id = ?", build),
        "steps": master.rows(
            "SELECT number, name, result, state_text, hidden, words FROM steps WHERE build_id = ? ORDER BY number",
            build,
        ),
        "urls": master.rows(
            "SELECT u.name, u.url FROM step_urls AS u JOIN steps AS s ON s.id = u.step_id WHERE s.build_id = ?", build
        ),
        "properties": {
            name: (json.loads(value.replace(str(master.where), "WHERE")), source)
            for name, value, source in master.rows(
                "SELECT name, value, source FROM build_properties WHERE build_id = ?", build
            )
        },
        "commands": master.rows(
            "SELECT s.name, c.ordinal, c.name, c.state, json_extract(c.outcome, '$.rc') FROM commands AS c "
            "JOIN steps AS s ON s.id = c.step_id WHERE s.build_id = ? ORDER BY s.number, c.ordinal",
            build,
        ),
        "logs": {},
    }
    logs = master.rows(
        "SELECT s.name, l.name, l.path, l.size FROM logs AS l JOIN steps AS s ON s.id = l.step_id WHERE s.build_id = ?",
        build,
    )
    for step, name, path, size in logs:
        data = (master.basedir / "logs" / path).read_bytes()
        assert size == len(data), (step, name)
        found["logs"][step, name] = by_channel(master, path)
    found["files"] = sorted(
        path.name for path in (master.basedir / "logs" / builder).rglob("*") if path.is_file()
    )
    return found


def by_channel(master: AMaster, path: str) -> dict[str, list[bytes]]:
    """The lines of each channel, without what differs between any two builds: times, environments, process ids."""
    from buildbot.store.logfiles import LogFiles

    channels: dict[str, bytes] = {}
    with LogFiles(master.basedir / "logs").read(path) as reader:
        for run, data in reader.pieces(0, reader.size):
            channels[run.channel.name] = channels.get(run.channel.name, b"") + data
    kept = {name: data.splitlines() for name, data in channels.items()}
    if "HEADER" in kept:
        lines = [re.sub(rb"elapsed time [0-9.]+", b"elapsed time", line) for line in kept["HEADER"]]
        kept["HEADER"] = [line for line in lines if not line.startswith((b"  ", b" in dir"))]
    return kept


def ran(master: AMaster, builder: str) -> list[str]:
    return (master.where / "slave-one" / builder / "build" / "RAN").read_text().split()


def begin(master: AMaster, configuration: str) -> None:
    """A master with this configuration and its slave, and a change to build."""
    master.configure(configuration, before=STEPS_FIRST)
    master.start()
    master.slave()
    master.send("r1", branch="main")


WHOLE = ["one", "counts", "counts", "made", "fails", "quiet", "last"]


STEPS_FIRST = "from buildbot.plugins import buildslave, changes, schedulers, steps, util\n" + STEPS


def test_the_master_is_killed_many_times_in_one_build(master: AMaster) -> None:
    begin(master, BUILDERS.format(names=["wild"]))
    master.running("wild", 1)
    kills = 0
    while master.builds()[0].result is None and kills < 6:
        time.sleep(0.4 + 0.23 * kills % 0.7)
        master.kill()
        kills += 1
        master.start()
    wild = master.finished("wild", 1)
    assert kills >= 4
    assert wild.result is Result.WARNINGS, master.log[-3000:]
    assert ran(master, "wild") == WHOLE
    found = everything(master, "wild")
    assert master.open_rows() == {}
    assert "Traceback" not in master.log
    assert master.value("SELECT count(*) FROM absences WHERE slave_id IS NULL") >= 3
    page = master.web.get("/builders/wild/builds/1").text
    assert "the master was away" in page

    master.stop()
    calm = AMaster(master.processes, master.where / "calm")
    calm.configure(BUILDERS.format(names=["wild"]), before=STEPS_FIRST)
    calm.start()
    calm.slave()
    calm.send("r1", branch="main")
    calm.finished("wild", 1)
    expected = everything(calm, "wild")
    for name, channels in expected["logs"].items():
        for channel, text in channels.items():
            assert found["logs"][name][channel] == text, (name, channel)
    for what in expected:
        assert found[what] == expected[what], what
    calm.stop()


def test_a_stop_and_a_start_do_not_wait_for_builds(master: AMaster) -> None:
    begin(master, BUILDERS.format(names=["wild"]))
    master.running("wild", 1)
    master.stop()
    assert master.builds()[0].result is None
    master.start()
    assert master.finished("wild", 1).result is Result.WARNINGS
    assert ran(master, "wild") == WHOLE
    assert "Traceback" not in master.log


def test_another_version_of_the_master_goes_on(master: AMaster, tmp_path: Path) -> None:
    newer = tmp_path / "newer" / "buildbot"
    shutil.copytree(Path(buildbot.__file__).parent, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "__init__.py").write_text((newer / "__init__.py").read_text().replace(buildbot.__version__, "1.0.99"))
    shell = newer / "steps" / "shell.py"
    shell.write_text(shell.read_text() + "\n\ndef new_in_this_version():\n    pass\n")
    begin(master, BUILDERS.format(names=["wild"]))
    master.running("wild", 1)
    master.stop()
    run = "from buildbot.scripts.runner import run; run()"
    master.start(["env", f"PYTHONPATH={newer.parent}", sys.executable, "-P", "-c", run])
    assert "1.0.99" in master.web.get("/about").text
    assert master.finished("wild", 1).result is Result.WARNINGS
    assert ran(master, "wild") == WHOLE
    assert master.open_rows() == {}


def test_other_steps_in_the_configuration_end_the_build_as_retry(master: AMaster) -> None:
    begin(master, BUILDERS.format(names=["wild"]))
    master.running("wild", 1)
    master.kill()
    master.configure(BUILDERS.format(names=["wild"]), before=STEPS_FIRST.replace("sleep 1.5", "sleep 0.1"))
    master.start()
    cut = master.finished("wild", 1)
    assert cut.result is Result.RETRY
    assert "the configuration is another one now: step 4 is another one now" in cut.text
    assert master.finished("wild", 2).result is Result.WARNINGS
    assert master.open_rows() == {}


def ask_to_stop(master: AMaster) -> None:
    """As a master leaves the store that dies after it has written down the wish and before it has told the slave."""
    with closing(connect(master.basedir / "state.sqlite")) as connection:
        connection.execute("UPDATE builds SET stop_reason = 'enough', stop_result = 6, stop_step = 0")


def test_a_stop_that_was_asked_for_before_the_master_died(master: AMaster) -> None:
    begin(master, BUILDERS.format(names=["wild"]))
    master.running("wild", 1)
    master.kill()
    ask_to_stop(master)
    master.start()
    stopped = master.finished("wild", 1)
    assert stopped.result is Result.CANCELLED
    assert "enough" in stopped.text
    assert ran(master, "wild") == ["one", "last"]
    assert master.open_rows() == {}


WATCHED = """
class Watched(ShellMixin, steps.BuildStep):
    def __init__(self, **kwargs):
        kwargs = self.setupShellMixin(kwargs)
        super().__init__(**kwargs)

    def consume(self):
        while True:
            yield

    async def run(self):
        self.addLogObserver('stdio', LineConsumerLogObserver(self.consume))
        command = await self.makeRemoteShellCommand(collectStdout=True)
        await self.runCommand(command)
        return command.results()


c['builders'] = [util.BuilderConfig(name='wild', slavenames=['one'], factory=util.BuildFactory([
    Watched(name='watched', command=['sh', '-c', 'seq 2000; exec sleep 300'])]))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['wild'])]
"""


def test_a_stop_reaches_a_step_that_still_reads_its_own_log(master: AMaster) -> None:
    begin(master, WATCHED)
    master.running("wild", 1)
    wait_until(lambda: b"\n2000\n" in master.log_file("wild", 1).read_bytes(), what="its last line")
    master.kill()
    ask_to_stop(master)
    master.start()
    assert master.finished("wild", 1).result is Result.CANCELLED
    assert master.value("SELECT json_extract(outcome, '$.reason') FROM commands") == "interrupted"
    assert master.open_rows() == {}


AT_ONCE = """
from twisted.internet import defer


class AtOnce(ShellMixin, steps.BuildStep):
    '''Two rows of commands at once; the second of the one is asked for before the second of the other.'''
    def __init__(self, **kwargs):
        super().__init__(**self.setupShellMixin(kwargs))

    async def row(self, name, counts):
        said = []
        for number, count in enumerate(counts):
            command = await self.makeRemoteShellCommand(
                collectStdout=True, stdioLogName=name, command=lines(name + str(number), count))
            await self.runCommand(command)
            said.append([command.rc, command.stdout.split()[0], len(command.stdout.splitlines())])
        return said

    async def run(self):
        rows = [self.row('left', [40, 20, 20]), self.row('right', [10, 100])]
        self.setProperty('said', await defer.gatherResults([defer.ensureDeferred(each) for each in rows]))
        return 0


class Asked(steps.BuildStep):
    '''Was wanted when it began, and would not be any more.'''
    async def run(self):
        command = buildstep.RemoteShellCommand('build', ['sh', '-c', 'echo asked >> RAN; sleep 2'])
        await self.runCommand(command)
        return command.results()


import os
from buildbot.process import buildstep
c['builders'] = [util.BuilderConfig(name='wild', slavenames=['one'], factory=util.BuildFactory([
    AtOnce(name='both'), Asked(name='asked', doStepIf=lambda step: not os.path.exists('HERE'))]))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['wild'])]
"""


def test_commands_at_once_are_told_apart_and_what_had_begun_was_wanted(master: AMaster) -> None:
    begin(master, AT_ONCE)
    asked = "SELECT count(*) FROM commands AS c JOIN steps AS s ON s.id = c.step_id WHERE s.name = ?"
    for count in (3, 4, 5):
        wait_until(lambda count=count: master.value(asked, "both") == count, 60, f"command {count}")  # type: ignore[misc]
        master.kill()
        master.start()
    wait_until(lambda: master.value(asked, "asked") == 1, 60, "the second step")
    master.running("wild", 1)
    master.kill()
    (master.basedir / "HERE").touch()
    master.start()
    assert master.finished("wild", 1).result is Result.SUCCESS
    said = [[[0, "left0", 40], [0, "left1", 20], [0, "left2", 20]], [[0, "right0", 10], [0, "right1", 100]]]
    assert json.loads(master.value("SELECT value FROM build_properties WHERE name = 'said'")) == said
    assert sorted(ran(master, "wild")) == ["asked", "left0", "left1", "left2", "right0", "right1"]
    assert master.open_rows() == {}


PROPERTIES = """
class Sets(steps.BuildStep):
    '''Sets properties that others were rendered with before.'''
    async def run(self):
        self.setProperty('pair', (1, {2: 'two'}), 'Sets')
        self.setProperty('late', True, 'Sets')
        if self.build.builder_name == 'secretive':
            self.setProperty('word', await self.build.getSecret('word'), 'Sets')
        return 0


class Shows(steps.BuildStep):
    async def run(self):
        self.addCompleteLog('shown', repr((self.getProperty('pair'), self.build.env)))
        return 0


def early_and_late():
    late = util.Property('late', default=False)
    return util.BuildFactory([
        steps.ShellCommand(name='fails', command=['false'], haltOnFailure=late, flunkOnFailure=late),
        Sets(name='sets'),
        steps.ShellCommand(name='waits', command=['sh', '-c', 'echo waits >> RAN; sleep 3']),
        Shows(name='shows'),
    ])


from buildbot.plugins import secrets
c['secretsProviders'] = [secrets.SecretInAFile('secrets')]
c['builders'] = [
    util.BuilderConfig(name=name, slavenames=['one'], factory=early_and_late(),
                       env={'LATE': util.Interpolate('%(prop:late:-no)s')})
    for name in ('wild', 'secretive')
]
c['slaves'] = [buildslave.BuildSlave('one', 'secret', max_builds=2)]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['wild', 'secretive'])]
"""


def test_properties_come_back_as_they_were_and_what_was_rendered_stays(master: AMaster) -> None:
    secrets = master.basedir / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "word").write_text("xyzzy-and-more")
    (secrets / "word").chmod(0o600)
    begin(master, PROPERTIES)
    for name in ("wild", "secretive"):
        master.running(name, 1)
    wait_until(lambda: master.value("SELECT count(*) FROM steps WHERE name = 'waits'") == 2, what="both to wait")
    master.kill()
    master.start()
    assert master.finished("wild", 1).result is Result.SUCCESS
    path = master.value("SELECT path FROM logs WHERE name = 'shown'")
    assert (master.basedir / "logs" / path).read_text() == "((1, {2: 'two'}), {'LATE': 'no'})"
    assert ran(master, "wild") == ["waits"]
    cut = master.finished("secretive", 1)
    assert cut.result is Result.RETRY
    assert "property 'word' holds a secret, which is not kept" in cut.text
    assert master.finished("secretive", 2).result is Result.SUCCESS
    assert master.open_rows() == {}
    assert master.value("SELECT count(*) FROM steps WHERE began_with IS NOT NULL") == 0
    assert "xyzzy" not in "".join(map(str, master.rows("SELECT * FROM build_properties")))
