"""What the torture run asks of a master, and what of that was acknowledged."""

from __future__ import annotations

import random
import sys
import urllib.error
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from tests.integration.a_master import AMaster, Visitor
from tests.processes import Process
from tests.torture import custom, filler, recorder, sources

CONFIG = """
c['title'] = {title!r}
c['slaves'] = [buildslave.BuildSlave(name, 'secret') for name in ('one', 'two')]
c['status'] = [status.MailNotifier('ci@localhost', mode='all', relayhost='127.0.0.1', smtpPort={smtp},
                                   extraRecipients=['ann@localhost'], sendToInterestedUsers=False)]


def records(name, lines, seconds, code=0, file=None, kind=steps.ShellCommand, **more):
    return kind(name=name, command=[
        {python!r}, '-I', {recorder!r}, {side!r}, util.Interpolate('%(prop:buildername)s/%(prop:buildnumber)s/' + name),
        str(lines), str(seconds), str(code), *([file] if file else [])], **more)


def transfers():
    key = util.Interpolate('%(prop:buildername)s/%(prop:buildnumber)s')
    here = lambda name: util.Interpolate('%(prop:buildername)s/%(prop:buildnumber)s/' + name)
    filler = [{python!r}, '-I', {filler!r}, key]
    return [
        steps.ShellCommand(name='fill', command=filler, logEnviron=False),
        steps.FileUpload(name='up', workersrc='big', masterdest=here('up'), blocksize=2048),
        steps.DirectoryUpload(name='tree', workersrc='tree', masterdest=here('tree'), compress='gz', blocksize=2048),
        steps.FileDownload(name='back', mastersrc=here('up'), workerdest='back', blocksize=2048),
        steps.ShellCommand(name='same', command=[*filler, 'back'], logEnviron=False),
    ]


def builder(name, *parts, **more):
    return util.BuilderConfig(name=name, slavenames=['one', 'two'], factory=util.BuildFactory(list(parts)), **more)


alone = util.MasterLock('alone')
place = util.SlaveLock('place', maxCount={limit})
c['builders'] = [
    builder('plain', records('first', 40, 0.3), records('second', 400, 0), records('last', 10, 0, alwaysRun=True)),
    builder('fails', records('wrong', 20, 0.1, 3, haltOnFailure=True), records('never', 20, 0),
            records('last', 10, 0, alwaysRun=True)),
    builder('alone-a', records('work', 30, 0.2), locks=[alone.access('exclusive')]),
    builder('alone-b', records('before', 5, 0), records('work', 30, 0.2, locks=[alone.access('exclusive')])),
    builder('place-a', records('work', 30, 0.3, locks=[place.access('counting')])),
    builder('place-b', records('work', 30, 0.3, locks=[place.access('counting')])),
    builder('place-c', records('work', 30, 0.3, locks=[place.access('counting')])),
    builder('parent', records('before', 10, 0.1), steps.Trigger(
        name='children', schedulerNames=['kids'], waitForFinish=True, set_properties={{'number': 7}},
        copy_properties=['branch']), records('after', 10, 0.1)),
    builder('source', steps.Git(repourl={sources!r}, tags=True), records('built', 10, 0.1, file={file!r})),
    builder('files', records('before', 5, 0), *transfers()),
    builder('custom', records('judged', 30, 0.2, kind=Judged), records('chained', 30, 0.2, kind=Chained),
            records('inlined', 30, 0.2, kind=Inlined)),
    builder('kid-a', records('work', 20, 0.3)),
    builder('kid-b', records('work', 200, 0)),
    builder('stable', records('work', 10, 0)),
    builder('down', records('work', 10, 0)),
    builder('forced', records('work', 50, 0.4)),
    *[builder(name, records('work', 5, 0)) for name in {extra!r}],
]
upstream = schedulers.AnyBranchScheduler(name='plain', builderNames=['plain'])
c['schedulers'] = [
    upstream,
    schedulers.Dependent(name='down', upstream=upstream, builderNames=['down']),
    schedulers.AnyBranchScheduler(name='each', builderNames=[
        'fails', 'alone-a', 'alone-b', 'place-a', 'place-b', 'place-c', 'parent', 'source', 'files',
        'custom']),
    schedulers.AnyBranchScheduler(name='stable', treeStableTimer=0.7, builderNames=['stable']),
    schedulers.Triggerable(name='kids', builderNames=['kid-a', 'kid-b']),
    schedulers.ForceScheduler(name='force', builderNames=['forced', *{extra!r}]),
]
"""
ON_CHANGES = {"plain", "each", "stable"}  # schedulers that build each change
EXCLUSIVE = {"alone-a": "work", "alone-b": "work"}  # builders and their steps of which one runs at a time
COUNTED = {"place-a": "work", "place-b": "work", "place-c": "work"}  # at most as many a slave as the lock allows
HIGHEST_LIMIT = 2  # of the counted lock, in any configuration
FAILING = {"fails": "wrong"}  # what ends with another code than 0
FORCED = "forced"
TRANSFERS = "files"  # what sends files to the master and back
FROM_SOURCE = {"source": "built"}  # what looks at the revision that was checked out


class Forced(NamedTuple):
    """A build that somebody asked for. `sure`: the master has said that it will be."""

    reason: str
    sure: bool


class Load:
    """Sends changes, presses buttons and rewrites the configuration, and knows what was answered."""

    def __init__(self, master: AMaster, random: random.Random, smtp_port: int) -> None:
        self.master = master
        self.random = random
        self.side = master.where / "side"
        self.side.mkdir()
        self.sources = master.where / "sources.git"
        sources.make(self.sources)
        self.smtp_port = smtp_port
        self.sent: list[str] = []
        self.forced: list[Forced] = []
        self.stopped: dict[tuple[str, int], str] = {}  # a build, and the reason that was given
        self.senders: list[Process] = []
        self.power_lost_at: list[float] = []  # time.monotonic()
        self.settings: dict[str, object] = {"title": "Tortured", "limit": HIGHEST_LIMIT, "extra": []}
        self.configure()

    def configure(self) -> None:
        self.master.configure(
            "from buildbot.plugins import status\n"
            + custom.STEPS
            + CONFIG.format(
                python=sys.executable,
                recorder=str(Path(recorder.__file__)),
                filler=str(Path(filler.__file__)),
                side=str(self.side),
                sources=str(self.sources),
                file=sources.FILE,
                smtp=self.smtp_port,
                **self.settings,
            )
        )

    def other_configuration(self) -> None:
        """Another title, another limit, perhaps another builder: nothing that running builds are made of."""
        self.settings = {
            "title": f"Tortured {self.random.random()}",
            "limit": self.random.randint(1, HIGHEST_LIMIT),
            "extra": self.random.choice([[], ["extra"], ["extra", "more"]]),
        }
        self.configure()

    def send_changes(self, most: int = 4) -> None:
        """A sender in a process of its own, which sends until each is acknowledged."""
        revisions = tuple(f"r{len(self.sent) + number}" for number in range(self.random.randint(1, most)))
        self.sent.extend(revisions)
        self.senders.append(self.master.sending(revisions, repository="r", branch="main"))

    def all_acknowledged(self) -> None:
        """Wait for every sender."""
        for sender in self.senders:
            assert sender.wait_for_exit(180) == 0

    def force(self) -> None:
        reason = f"wanted {len(self.forced)}"
        answer = self._press("/builders/forced", "/builders/forced/force", forcescheduler="force", reason=reason)
        self.forced.append(Forced(reason, "was asked for" in answer))

    def stop_a_build(self) -> None:
        """One that runs, if there is one."""
        try:
            running = [build for build in self.master.builds() if build.result is None]
        except OSError:
            return
        if running:
            build = self.random.choice(running)
            reason = f"not wanted {len(self.stopped)}"
            page = f"/builders/{build.builder}/builds/{build.number}"
            if self._press(page, f"{page}/stop", comments=reason):
                self.stopped[build.builder, build.number] = reason

    def _press(self, page: str, action: str, **fields: str) -> str:
        """The page after a button; '' when the master did not answer, or did not do it."""
        self.master.web = Visitor(self.master.web.root)
        try:
            if self.master.web.log_in().status != 200:
                return ""
            answer = self.master.web.press(page, action, **fields)
        except (urllib.error.URLError, HTTPException, OSError, AssertionError):
            return ""
        return answer.text if answer.status == 200 else ""
