"""Custom steps of each era for the torture run, and what they must have left when they have ended well.

Each runs one recorded command and small ones, and writes down in a log of its own and in a property what it has seen.
"""

from __future__ import annotations

from pathlib import Path

STEPS = """
from buildbot.process.buildstep import BuildStep, LoggedRemoteCommand, RemoteShellCommand, ShellMixin
from buildbot.status.builder import FAILURE, SUCCESS
from buildbot.steps.shell import ShellCommand
from twisted.internet import defer


class Judged(ShellCommand):
    '''0.8: a summary and a result of what the command has said.'''

    def start(self):
        self.notes = self.addLog('notes')
        self.notes.addStdout('begun\\n')
        ShellCommand.start(self)

    def createSummary(self, log):
        self.count = sum(1 for line in log.readlines() if ' line ' in line)
        self.notes.addStdout('%d lines\\n' % self.count)
        self.setProperty('judged', self.count, 'Judged')

    def evaluateCommand(self, cmd):
        return SUCCESS if cmd.rc == 0 and self.count == 30 else FAILURE

    def getText(self, cmd, results):
        return ['%d lines' % self.count]


class Chained(BuildStep):
    '''0.7: Deferreds; whatever goes wrong is a failure.'''
    renderables = ['command']

    def __init__(self, command, **kwargs):
        BuildStep.__init__(self, **kwargs)
        self.addFactoryArguments(command=command)
        self.command = command

    def start(self):
        self.notes = self.addLog('notes')
        self.notes.addStdout('begun\\n')
        d = self.runCommand(LoggedRemoteCommand('mkdir', {'dir': 'build/chained'}))
        d.addCallback(lambda cmd: self.runCommand(RemoteShellCommand('build', self.command)))
        d.addCallback(self.count)
        d.addCallback(lambda _: self.runCommand(LoggedRemoteCommand('stat', {'file': 'build/chained'})))
        d.addCallback(lambda cmd: self.finished(SUCCESS if 'stat' in cmd.updates else FAILURE))
        d.addErrback(lambda why: self.finished(FAILURE))

    def count(self, cmd):
        count = sum(1 for line in self.getLog('stdio').readlines() if ' line ' in line)
        self.notes.addStdout('%d lines\\n' % count)
        self.setProperty('chained', count, 'Chained')


class Inlined(ShellMixin, BuildStep):
    '''0.9 to 4.x.'''

    def __init__(self, **kwargs):
        super().__init__(**self.setupShellMixin(kwargs))

    @defer.inlineCallbacks
    def run(self):
        notes = yield self.addLog('notes')
        yield notes.addStdout('begun\\n')
        yield self.runCommand(LoggedRemoteCommand('mkdir', {'dir': 'build/inlined'}))
        cmd = yield self.makeRemoteShellCommand(collectStdout=True)
        yield self.runCommand(cmd)
        count = cmd.stdout.count(' line ')
        yield notes.addStdout('%d lines\\n' % count)
        yield self.setProperty('inlined', count, 'Inlined')
        return cmd.results()


"""
BUILDER = "custom"
LINES = 30  # of each command
NOTES = f"begun\n{LINES} lines\n".encode()

ENDED_WELL = f"""
SELECT r.name || '/' || b.number || '/' || s.name, l.path, (
    SELECT json_extract(p.value, '$') FROM build_properties AS p WHERE p.build_id = b.id AND p.name = s.name)
FROM steps AS s JOIN builds AS b ON b.id = s.build_id JOIN builders AS r ON r.id = b.builder_id
LEFT JOIN logs AS l ON l.step_id = s.id AND l.name = 'notes'
WHERE r.name = '{BUILDER}' AND s.result = 0 AND b.complete_at IS NOT NULL
"""


def notes_of(logs: Path, path: str | None) -> bytes:
    """What a step has written down; nothing, if it has no such log."""
    return b"" if path is None else (logs / path).read_bytes()
