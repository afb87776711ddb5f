"""A build of two codebases, from the change to the child: each part sees the right source of each."""

from __future__ import annotations

import subprocess
from pathlib import Path

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes

CONFIG = """
lib, app = {lib!r}, {app!r}
c['codebaseGenerator'] = lambda chdict: {{lib: 'lib', app: 'app'}}[chdict['repository']]
tell = util.Interpolate(
    '%(prop:buildername)s lib=%(src:lib:branch)s@%(src:lib:revision)s:%(prop:got_revision)s '
    'app=%(src:app:branch)s@%(src:app:revision)s')
told = steps.ShellCommand(name='told', command=['sh', '-c', 'echo "$1" >> ../../../TOLD', 'x', tell])
c['builders'] = [
    util.BuilderConfig(name='parent', slavenames=['one'], factory=util.BuildFactory([
        steps.Git(repourl=lib, codebase='lib', mode='full', method='clobber', workdir='lib'),
        steps.Git(repourl=app, codebase='app', mode='full', method='clobber', workdir='app'),
        told,
        steps.Trigger(schedulerNames=['same'], waitForFinish=True),
        steps.Trigger(schedulerNames=['asked'], waitForFinish=True, updateSourceStamp=False),
        steps.Trigger(schedulerNames=['latest'], waitForFinish=True, alwaysUseLatest=True),
        steps.Trigger(schedulerNames=['other'], waitForFinish=True, sourceStamps=[
            {{'codebase': 'app', 'branch': 'main', 'revision': util.Property('app_revision')}}]),
    ]), properties={{'app_revision': 'aaa'}}),
    *(util.BuilderConfig(name=name, slavenames=['one'], factory=util.BuildFactory([told]))
      for name in ('same', 'asked', 'latest', 'other')),
]
sources = {{'lib': {{'repository': lib, 'branch': 'main'}}, 'app': {{'repository': app, 'branch': 'stable'}}}}
c['schedulers'] = [
    schedulers.SingleBranchScheduler(name='s', branch='main', builderNames=['parent'], codebases=sources),
    *(schedulers.Triggerable(name=name, builderNames=[name], codebases=sources)
      for name in ('same', 'asked', 'latest', 'other')),
    schedulers.ForceScheduler(name='forced', builderNames=['same'], codebases=[
        util.CodebaseParameter('lib', label='The library', repository=lib, project=None,
            branch=util.ChoiceStringParameter(name='branch', choices=['main', 'old'], default='main')),
        util.CodebaseParameter('app', repository=app, project='', branch='stable',
            revision=util.StringParameter(name='revision', default='')),
    ]),
]
"""


def git(*words: str | Path) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


def repository(where: Path, branch: str) -> str:
    """A repository with one commit on a branch; the commit."""
    git("init", "-q", "-b", branch, where)
    (where / "file").write_text(f"{where.name}\n")
    git("-C", where, "add", "file")
    git("-C", where, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "one")
    return git("-C", where, "rev-parse", "HEAD")


def test_two_codebases_from_the_change_to_the_child(processes: Processes, tmp_path: Path) -> None:
    lib, app = tmp_path / "lib", tmp_path / "app"
    lib_head, app_head = repository(lib, "main"), repository(app, "stable")
    master = AMaster(processes, tmp_path)
    slaves = "\nc['slaves'] = [buildslave.BuildSlave('one', 'secret', max_builds=3)]\n"
    master.configure(CONFIG.format(lib=str(lib), app=str(app)) + slaves)
    master.start()
    master.slave()
    master.send(lib_head, branch="main", repository=str(lib))
    assert master.finished("parent", 1).result is Result.SUCCESS
    got = str({"lib": lib_head, "app": app_head})
    told = dict(line.split(" ", 1) for line in (tmp_path / "TOLD").read_text().splitlines())
    assert told == {
        "parent": f"lib=main@{lib_head}:{got} app=stable@",
        "same": f"lib=main@{lib_head}: app=stable@{app_head}",
        "asked": f"lib=main@{lib_head}: app=stable@",
        "latest": "lib=main@: app=stable@",
        "other": "lib=main@: app=main@aaa",
    }
    assert master.value("SELECT codebase FROM changes") == "lib"
    page = master.web.get("/builders/parent/builds/1").text
    for text in (">lib<", ">app<", lib_head[:12], app_head[:12], ">stable<"):
        assert text in page, text
    assert "<dd>lib</dd>" in master.web.get("/changes/1").text
    master.web.log_in()
    form = master.web.get("/builders/same").text
    assert all(f'name="{name}"' in form for name in ("lib_branch", "lib_revision", "app_revision")), form
    fields = {"forcescheduler": "forced", "reason": "try", "lib_branch": "old", "lib_revision": ""}
    fields["app_revision"] = "bbb"
    assert master.web.press("/builders/same", "/builders/same/force", **fields).status == 200
    assert master.finished("same", 2).result is Result.SUCCESS
    assert (tmp_path / "TOLD").read_text().splitlines()[-1] == "same lib=old@: app=stable@bbb"
