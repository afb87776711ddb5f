"""buildbot.tac: what is written, and what is read of other eras' files."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildbot.scripts.outcome import CommandFailed
from buildbot.scripts.tac import TacSettings, config_name, new_tac, require_tac

OLD = """
from twisted.application import service
from buildbot.master import BuildMaster
basedir = r'/home/bb/master'
configfile = r'special.cfg'
application = service.Application('buildmaster')
BuildMaster(basedir, configfile).setServiceParent(application)
"""


@pytest.mark.parametrize("relocatable", [True, False])
@pytest.mark.parametrize("log_size", [None, 5000])
def test_what_is_written_is_python_and_names_the_configuration(
    tmp_path: Path, relocatable: bool, log_size: int | None
) -> None:
    text = new_tac(TacSettings(basedir=tmp_path, relocatable=relocatable, config="my.cfg", log_size=log_size))
    compile(text, "buildbot.tac", "exec")
    (tmp_path / "buildbot.tac").write_text(text)
    assert config_name(tmp_path) == "my.cfg"
    assert (str(tmp_path) in text.replace(f"restart {tmp_path}", "")) is not relocatable
    assert ("rotateLength = 5000" in text) is (log_size is not None)


def test_an_old_tac_names_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "buildbot.tac").write_text(OLD)
    assert config_name(tmp_path) == "special.cfg"
    assert require_tac(tmp_path) == tmp_path / "buildbot.tac"


def test_a_tac_that_cannot_be_read_means_master_cfg(tmp_path: Path) -> None:
    assert config_name(tmp_path) == "master.cfg"
    (tmp_path / "buildbot.tac").write_text("umask = 022\n")
    assert config_name(tmp_path) == "master.cfg"


def test_a_slaves_directory_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "buildbot.tac").write_text("from buildslave.bot import BuildSlave\n")
    with pytest.raises(CommandFailed, match="directory of a slave"):
        require_tac(tmp_path)


def test_an_empty_directory_is_no_masters(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="create-master"):
        require_tac(tmp_path)
