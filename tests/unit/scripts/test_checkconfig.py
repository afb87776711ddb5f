"""checkconfig sees a configuration as its master would."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildbot.scripts.checkconfig import check
from buildbot.scripts.outcome import CommandFailed

CONFIG = """\
from buildbot.plugins import buildslave, schedulers, secrets, util
c = BuildmasterConfig = {}
c['slaves'] = [buildslave.BuildSlave('one', 'pw')]
c['builders'] = [util.BuilderConfig(name='b', slavename='one', factory=util.BuildFactory())]
c['schedulers'] = [schedulers.AnyBranchScheduler('all', builderNames=['b'])]
c['secretsProviders'] = [secrets.SecretInAFile('secret')]
"""


def test_files_are_looked_for_beside_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "master" / "secret").mkdir(parents=True, mode=0o700)
    (tmp_path / "master" / "master.cfg").write_text(CONFIG)
    said: list[str] = []
    for given in (tmp_path / "master", Path("../master/master.cfg")):
        check(given, said.append, said.append)
    assert said == ["Config file is good!"] * 2
    assert Path.cwd() == tmp_path / "elsewhere"
    (tmp_path / "master" / "secret").rmdir()
    with pytest.raises(CommandFailed, match="1 mistake"):
        check(tmp_path / "master", said.append, said.append)
    assert "secret is not a directory" in said[-1]
