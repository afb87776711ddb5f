"""What this version does not have is said, and the rest of the configuration is read all the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from buildbot.config import names
from buildbot.config.names.absent import Absent, stand_in, without_absent
from tests.unit.config.files import GOOD, loaded, told

WHOLE = """\
from buildbot.changes.svnpoller import SVNPoller, split_file_branches
import buildbot.changes.p4poller
from buildbot.plugins import changes, schedulers, steps, util, worker
from buildbot.status import mail, words
from buildbot.www import auth

class Mine(auth.UserInfoProviderBase):
    def __init__(self):
        super().__init__()
        self.url = 1

c = BuildmasterConfig = {}
c['workers'] = [worker.Worker("bot", "pw")]
c['change_source'] = [SVNPoller("svn://x", split_file=split_file_branches), changes.HgPoller(repourl="x")]
c['change_source'].append(buildbot.changes.p4poller.P4Source(p4port="x").anything())
f = util.BuildFactory([steps.ShellCommand(comand=["make"])])
c['builders'] = [util.BuilderConfig(name="full", workernames=["bot"], factory=f)]
c['schedulers'] = [schedulers.AnyBranchScheduler(name="all", builderNames=["ful"])]
c['status'] = [words.IRC("irc.example.org", "bot", channels=["#x"])]
c['www'] = {'port': 8010, 'auth': Mine()}
c['titel'] = "x"
"""
LATER = "but not in this version)"


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    said = told(tmp_path, WHOLE)
    assert [line for line in said if line.endswith(LATER)] == [
        f"1: there is no module buildbot.changes.svnpoller (it is a module of Buildbot, {LATER}",
        f"2: there is no module buildbot.changes.p4poller (it is a module of Buildbot, {LATER}",
        f"4: there is no 'words' in buildbot.status (it is a name of Buildbot, {LATER}",
        f"7: there is no 'UserInfoProviderBase' in buildbot.www.auth (it is a name of Buildbot, {LATER}",
        f"14: there is no 'HgPoller' in buildbot.plugins.changes (it is a name of Buildbot, {LATER}",
    ]
    assert [line for line in said if not line.endswith(LATER)] == [
        "16: ShellCommand has no argument 'comand' (did you mean 'command'?)",
        "21: c['titel'] is not a key of BuildmasterConfig (did you mean 'title'?)",
        "18: scheduler 'all': there is no builder 'ful' (did you mean 'full'?)",
    ]


def test_what_refers_to_it_is_not_wrong_for_that(tmp_path: Path) -> None:
    text = GOOD.replace('[worker.Worker("bot", "pw")]', '[worker.LibVirtWorker("bot", "pw", None)]')
    (said,) = told(tmp_path, text)
    assert said == f"3: there is no 'LibVirtWorker' in buildbot.plugins.worker (it is a name of Buildbot, {LATER}"


def test_it_is_told_again_at_the_next_load(tmp_path: Path) -> None:
    before = set(sys.modules)
    for _ in range(2):
        assert told(tmp_path, "import buildbot.changes.svnpoller\n" + GOOD) == [
            f"1: there is no module buildbot.changes.svnpoller (it is a module of Buildbot, {LATER}"
        ]
    assert "buildbot.changes.svnpoller" not in set(sys.modules) - before
    loaded(tmp_path, GOOD)


def test_outside_of_a_configuration_an_import_fails() -> None:
    names.install()
    with pytest.raises(ImportError):
        from buildbot.changes import svnpoller  # noqa: F401
    with pytest.raises(ImportError, match="not in this version"):
        from buildbot.plugins.changes import HgPoller  # noqa: F401


def test_stand_ins_take_whatever_is_done_with_them() -> None:
    kind = stand_in("Poller")
    thing = kind(1, two=2)
    assert isinstance(thing.anything.more(), Absent)
    assert isinstance(kind.anything, type)
    assert thing(len) is len  # a decorator leaves the function
    assert repr(thing) == "Poller, which is not in this version"
    with pytest.raises(AttributeError):
        _ = kind.__nothing__


def test_stand_ins_are_taken_out_of_the_dict() -> None:
    kind = stand_in("Poller")
    given = {"a": kind(), "b": [1, kind()], "c": {"x": 1, "y": kind}, "d": (1, 2), "e": "text"}
    assert without_absent(given) == ({"b": [1], "c": {"x": 1}, "d": (1, 2), "e": "text"}, {"a", "b", "c"})
