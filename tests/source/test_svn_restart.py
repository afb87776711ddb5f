"""A checkout goes on when its master is killed: no command of it is run twice."""

from __future__ import annotations

import shutil
from pathlib import Path

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until
from tests.source.vcs_servers import Subversion
from tests.tools import require_tool

SLOW = """#!/bin/sh
echo "$@" >> {here}/calls
case "$*" in *" checkout "*) touch {here}/begun; while [ ! -e {here}/go ]; do sleep 0.1; done;; esac
exec {svn} "$@"
"""
CONFIG = """
c['schedulers'] = [schedulers.SingleBranchScheduler('all', treeStableTimer=None, branch=None, builderNames=['b'])]
step = steps.SVN({url!r}, mode='full', env={{'PATH': [{here!r}, '${{PATH}}']}})
c['builders'] = [util.BuilderConfig('b', slavenames=['one'], factory=util.BuildFactory([step]))]
"""


def test_a_checkout_goes_on_when_its_master_is_killed(processes: Processes, tmp_path: Path) -> None:
    svn = require_tool("svn", "subversion")
    repository = Subversion(processes, tmp_path / "svn")
    repository.commit(a="one\n")
    here = tmp_path / "bin"
    here.mkdir()
    (here / "svn").write_text(SLOW.format(here=here, svn=shutil.which(svn)))
    (here / "svn").chmod(0o755)
    master = AMaster(processes, tmp_path)
    master.configure(CONFIG.format(url=repository.url, here=str(here)))
    master.start()
    master.slave()
    master.send("1")
    wait_until((here / "begun").exists, 30, "the checkout")
    master.kill()
    master.start()
    (here / "go").touch()
    assert master.finished("b", 1).result is Result.SUCCESS
    assert (tmp_path / "slave-one" / "b" / "build" / "a").read_text() == "one\n"
    words = [next(word for word in line.split() if not word.startswith("-")) for line in (here / "calls").open()]
    assert words == ["checkout", "revert", "status", "info"]
