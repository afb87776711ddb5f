"""Checkouts and updates go on when the master is killed in the middle of them: all comes of them that comes of those at
which nothing happened, and no command is run twice."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from buildbot.model import Result
from buildbot.store.logfiles import Channel, LogFiles
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until
from tests.source.stubs import MonotoneProgram, Perforce
from tests.source.vcs_servers import (
    BazaarBranch,
    CVSRepository,
    DarcsRepository,
    MercurialRepository,
    Subversion,
)
from tests.tools import require_tool

# Stands before a program on the slave's PATH. In the middle of what brings the source, that of a build which is to be
# disturbed waits for the file `go`.
WRAPPER = """#!/bin/sh
echo "$*" >> {here}/calls-{name}-$HOW
case " $* " in {words})
    echo half way
    if [ $HOW = killed ]; then
        touch {here}/begun-{name}
        while [ ! -e {here}/go ]; do sleep 0.1; done
    fi;;
esac
exec {real} "$@"
"""
# A server that is away at the first try, and slow at the second.
TRIES = """#!/bin/sh
case " $* " in *" pull "*)
    if [ -e {here}/down ]; then rm {here}/down; exit 1; fi
    touch {here}/held
    while [ -e {here}/held ]; do sleep 0.1; done;;
esac
exec {here}/real "$@"
"""
PATIENT = """
class Patient(steps.Monotone):
    def __init__(self, **options):
        with open('{where}/seconds') as file:
            super().__init__(retry=(float(file.read()), 1), **options)


step = Patient(repourl='mtn://h/x', branch='main', env={env!r})
c['builders'] = [util.BuilderConfig('tests', slavenames=['one'], factory=util.BuildFactory([step]))]
"""
CONFIG = """
c['builders'] = []
c['schedulers'] = []
for name, (kind, options) in {made!r}.items():
    both = [f'{{name}}-calm', f'{{name}}-killed']
    only = util.ChangeFilter(category=name)
    c['schedulers'].append(schedulers.AnyBranchScheduler(name, change_filter=only, builderNames=both))
    for builder, how in zip(both, ('calm', 'killed')):
        env = {{'PATH': [{here!r}, '${{PATH}}'], 'HOW': how, 'BRZ_LOG': '/dev/null'}}
        env['CVS_PASSFILE'] = f'{where}/{{builder}}'
        step = getattr(steps, kind)(**options, env=env, logEnviron=False)
        c['builders'].append(util.BuilderConfig(builder, slavenames=['one'], factory=util.BuildFactory([step])))
"""
OWN = {".svn", ".hg", "CVS", ".bzr", "_darcs", "_MTN"}
GOT_REVISION = """
SELECT p.value FROM build_properties AS p JOIN builds AS b ON b.id = p.build_id
JOIN builders AS r ON r.id = b.builder_id WHERE p.name = 'got_revision' AND r.name = ? AND b.number = ?
"""
_WORD = re.compile(r"[^\s>]+")


class Disturbed:
    """A master, and of each version control system two builders of the same source: at one nothing happens; the
    programs of the other wait in the middle of their work until `go`."""

    def __init__(self, processes: Processes, where: Path) -> None:
        for name, package in (("svn", "subversion"), ("hg", "mercurial"), ("cvs", "cvs"), ("bzr", "brz")):
            require_tool(name, package)
        require_tool("darcs", "darcs")
        self.where = where
        self.here = where / "bin"
        self.here.mkdir()
        svn = Subversion(processes, where / "svn")
        hg = MercurialRepository(processes, where / "hg")
        hg("identify", hg.url)  # its first answers, of two at once, would be "Internal Server Error"
        cvs = CVSRepository(processes, where / "cvs")
        bzr = BazaarBranch(processes, where / "bzr")
        darcs = DarcsRepository(processes, where / "darcs")
        self.p4 = Perforce(where / "p4")
        self.mtn = MonotoneProgram(where / "mtn")
        self._files: dict[str, str] = {}
        self.repositories: list[Any] = [svn, hg, cvs, bzr, darcs]
        self.made: dict[str, tuple[str, dict[str, Any]]] = {
            "svn": ("SVN", {"repourl": svn.url}),
            "hg": ("Mercurial", {"repourl": hg.url}),
            "cvs": ("CVS", {"cvsroot": cvs.root, "cvsmodule": "module", "login": "wonder-land"}),
            "bzr": ("Bzr", {"repourl": bzr.url}),
            "darcs": ("Darcs", {"repourl": darcs.url}),
            "p4": ("P4", {"p4base": "//depot/project"}),
            "mtn": ("Monotone", {"repourl": "mtn://host", "branch": "main"}),
        }
        words = {"svn": "checkout update", "cvs": "checkout update", "p4": "sync"}
        for name in self.made:
            held = "|".join(f'*" {word} "*' for word in words.get(name, "pull").split())
            stub = {"p4": self.p4, "mtn": self.mtn}.get(name)
            real = shutil.which(name) if stub is None else stub.directory / name
            program = self.here / name
            program.write_text(WRAPPER.format(here=self.here, name=name, words=held, real=real))
            program.chmod(0o755)
        self.master = AMaster(processes, where)
        self.master.configure(CONFIG.format(made=self.made, here=str(self.here), where=where))

    def commit(self, revision: str, **files: str) -> None:
        for repository in self.repositories:
            repository.commit(**files)
        self._files |= {
            name.rpartition("__")[2]: content for name, content in files.items()
        }  # they have no directories
        self.p4.put(f"depot/{revision}", **self._files)
        self.mtn.put(f"revisions/{revision * 40}", **self._files)
        self.mtn.head("main", revision * 40)

    def build(self, number: int) -> None:
        """Have all built, the master killed in the middle, and see what came of it."""
        for path in (*self.here.glob("calls-*"), *self.here.glob("begun-*"), self.here / "go"):
            path.unlink(missing_ok=True)
        for name in self.made:
            self.master.send(f"203{number}-01-01 00:00:00 +0000" if name == "cvs" else "", category=name)
        for name in self.made:
            wait_until((self.here / f"begun-{name}").exists, 60, f"{name} to be under way")
        for name in self.made:
            assert self.master.finished(f"{name}-calm", number).result is Result.SUCCESS, self.log(name, "calm", number)
        self.master.kill()
        self.master.start()
        (self.here / "go").touch()
        for name in self.made:
            build = self.master.finished(f"{name}-killed", number)
            assert (build.result, build.attempt) == (Result.SUCCESS, 1), self.log(name, "killed", number)

    def log(self, name: str, how: str, number: int) -> dict[Channel, str]:
        """What each channel of its log holds."""
        path = self.master.log_file(f"{name}-{how}", number).relative_to(self.master.basedir / "logs")
        found: dict[Channel, str] = {}
        with LogFiles(self.master.basedir / "logs").read(str(path)) as reader:
            for run, data in reader.pieces(0, reader.size):
                found[run.channel] = found.get(run.channel, "") + data.decode()
        return found

    def came_of(self, name: str, how: str, number: int) -> dict[str, Any]:
        """All that came of a build, without what no two builds share."""

        def common(text: str) -> str:
            return re.sub(r"(?<=elapsed time )[\d.]+", "", text.replace(f"{name}-{how}", name))

        top = self.where / "slave-one" / f"{name}-{how}" / "build"
        paths = {str(path.relative_to(top)): path for path in top.rglob("*") if path.is_file()}
        return {
            "files": {each: path.read_text() for each, path in paths.items() if not OWN.intersection(each.split("/"))},
            "got_revision": self.master.value(GOT_REVISION, f"{name}-{how}", number),
            "calls": common((self.here / f"calls-{name}-{how}").read_text()),
            # svn writes files, and attributes in XML, in any order
            "log": {each: sorted(_WORD.findall(common(text))) for each, text in self.log(name, how, number).items()},
        }


def test_checkouts_and_updates_go_on(processes: Processes, tmp_path: Path) -> None:
    disturbed = Disturbed(processes, tmp_path)
    disturbed.commit("1", a="one\n", lib__b="b\n")
    disturbed.master.start()
    disturbed.master.slave()
    for number, content in ((1, {"a": "one\n", "b": "b\n"}), (2, {"a": "two\n", "b": "b\n", "c": "c\n"})):
        if number == 2:
            disturbed.commit("2", a="two\n", c="c\n")
        disturbed.build(number)
        for name in disturbed.made:
            calm, killed = (disturbed.came_of(name, how, number) for how in ("calm", "killed"))
            assert killed == calm
            assert {path.rpartition("/")[2]: text for path, text in killed["files"].items()} == content
            assert killed["calls"] and "half" in killed["log"][Channel.STDOUT]


def test_a_wait_before_the_next_try_is_not_begun_again(processes: Processes, tmp_path: Path) -> None:
    """The master is killed in the second try; a wait that began again would now take an hour."""
    mtn = MonotoneProgram(tmp_path / "mtn")
    mtn.put(f"revisions/{'1' * 40}", a="one\n")
    mtn.head("main", "1" * 40)
    program = mtn.directory / "mtn"
    program.rename(mtn.directory / "real")
    program.write_text(TRIES.format(here=mtn.directory))
    program.chmod(0o755)
    (mtn.directory / "down").touch()
    held = mtn.directory / "held"
    master = AMaster(processes, tmp_path)

    master.configure(PATIENT.format(where=tmp_path, env=mtn.env))
    (tmp_path / "seconds").write_text("0.1")
    master.start()
    master.slave()
    master.send("")
    wait_until(held.exists, 60, "the second try")
    master.kill()
    (tmp_path / "seconds").write_text("3600")
    master.start()
    held.unlink()
    build = master.finished("tests", 1)
    assert (build.result, build.attempt) == (Result.SUCCESS, 1)
    assert [words[0] for words in mtn.calls()] == ["db", "db", "pull", "checkout", "automate"]
