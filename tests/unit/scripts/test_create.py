"""create-master, upgrade-master and quickstart."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from buildbot.scripts import quickstart
from buildbot.scripts.create import create_master, favicon, sample_text, upgrade_master
from buildbot.scripts.outcome import CommandFailed
from buildbot.scripts.quickstart import Wanted
from buildbot.scripts.runner import outcome_of
from buildbot.scripts.tac import TacSettings
from buildbot.status.web import passwords
from buildbot.store.store import Store
from tests.tools import ROOT


class Said(list[str]):
    def __call__(self, sentence: str) -> None:
        self.append(sentence)

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def said() -> Said:
    return Said()


def create(basedir: Path, said: Said, *, force: bool = False, config: str = "master.cfg") -> None:
    create_master(TacSettings(basedir=basedir, config=config), force=force, say=said)


def test_the_sample_at_the_top_is_the_one_that_is_installed() -> None:
    assert (ROOT / "master.cfg.sample").read_text() == sample_text()


def test_a_new_master_has_all_its_files(tmp_path: Path, said: Said) -> None:
    create(tmp_path / "m", said)
    for name in ("buildbot.tac", "master.cfg.sample", "public_html/index.html", "public_html/robots.txt"):
        assert (tmp_path / "m" / name).read_text()
    assert (tmp_path / "m" / "public_html" / "favicon.ico").read_bytes() == favicon()
    Store.open(tmp_path / "m" / "state.sqlite").close()
    assert f"buildbot start {tmp_path / 'm'}" in said.text
    assert "checkconfig" in said.text


def test_creating_it_again_changes_nothing(tmp_path: Path, said: Said) -> None:
    create(tmp_path, said)
    (tmp_path / "public_html" / "index.html").write_text("mine")
    create(tmp_path, said)
    assert (tmp_path / "public_html" / "index.html").read_text() == "mine"


def test_another_tac_is_refused_unless_forced(tmp_path: Path, said: Said) -> None:
    (tmp_path / "buildbot.tac").write_text("# precious\n")
    with pytest.raises(CommandFailed, match="--force"):
        create(tmp_path, said)
    assert (tmp_path / "buildbot.tac").read_text() == "# precious\n"
    assert not (tmp_path / "state.sqlite").exists()
    create(tmp_path, said, force=True)
    assert (tmp_path / "buildbot.tac.old").read_text() == "# precious\n"


def test_a_database_of_another_buildbot_is_not_touched(tmp_path: Path, said: Said) -> None:
    path = tmp_path / "state.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE migrate_version (version INTEGER)")
    connection.execute("CREATE TABLE changes (changeid INTEGER)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(CommandFailed, match="mv "):
        create(tmp_path, said)
    assert path.read_bytes() == before


def test_garbage_in_place_of_the_database_is_said(tmp_path: Path, said: Said) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(CommandFailed, match="no SQLite file"):
        create(tmp_path, said)


def test_upgrade_renews_the_sample_and_keeps_what_is_the_users(tmp_path: Path, said: Said) -> None:
    create(tmp_path, said)
    (tmp_path / "master.cfg.sample").write_text("old")
    (tmp_path / "public_html" / "robots.txt").write_text("mine")
    (tmp_path / "public_html" / "favicon.ico").unlink()
    warned = Said()
    upgrade_master(tmp_path, replace=False, say=said, warn=warned)
    assert (tmp_path / "master.cfg.sample").read_text() == sample_text()
    assert (tmp_path / "public_html" / "robots.txt").read_text() == "mine"
    assert (tmp_path / "public_html" / "favicon.ico").exists()
    assert warned == []
    upgrade_master(tmp_path, replace=True, say=said, warn=warned)
    assert (tmp_path / "public_html" / "robots.txt").read_text() != "mine"


def test_upgrade_warns_of_what_it_does_not_read(tmp_path: Path, said: Said) -> None:
    create(tmp_path, said)
    (tmp_path / "changes.pck").write_bytes(b"x")
    (tmp_path / "runtests").mkdir()
    (tmp_path / "runtests" / "builder").write_bytes(b"x")
    warned = Said()
    upgrade_master(tmp_path, replace=False, say=said, warn=warned)
    assert "changes.pck" in warned.text
    assert "runtests" in warned.text


def test_a_running_master_is_not_upgraded(tmp_path: Path, said: Said) -> None:
    create(tmp_path, said)
    store = Store.open(tmp_path / "state.sqlite")
    with pytest.raises(CommandFailed, match="in use"):
        upgrade_master(tmp_path, replace=False, say=said, warn=said)
    store.close()


class TestQuickstart:
    def make(self, directory: Path, said: Said, **more: object) -> None:
        wanted = Wanted(directory, "https://git.example.org/hello.git", None, 9989, 8010, "make test")
        quickstart.make(wanted._replace(**more), said)  # type: ignore[arg-type]

    def test_it_makes_a_master_and_a_slave_that_know_each_other(self, tmp_path: Path, said: Said) -> None:
        self.make(tmp_path, said, branch="main")
        password = (tmp_path / "master" / "slave-password").read_text().strip()
        assert password in (tmp_path / "slave" / "buildbot.tac").read_text()
        text = (tmp_path / "master" / "master.cfg").read_text()
        assert password not in text
        assert "branches=['main']" in text
        compile(text, "master.cfg", "exec")
        for line in ("buildbot start", "buildslave start", "http://localhost:8010/"):
            assert line in said.text

    def test_the_web_password_is_said_and_only_its_hash_is_kept(self, tmp_path: Path, said: Said) -> None:
        self.make(tmp_path, said)
        name, stored = (tmp_path / "master" / "htpasswd").read_text().strip().split(":", 1)
        password = said.text.partition("with the password ")[2].split()[0]
        assert passwords.verify(password, stored)
        assert f"as {name} with" in said.text
        assert not (tmp_path / "master" / "htpasswd").stat().st_mode & 0o077
        for path in (tmp_path / "master").iterdir():
            assert path.is_dir() or password.encode() not in path.read_bytes()

    def test_what_exists_is_not_touched(self, tmp_path: Path, said: Said) -> None:
        (tmp_path / "slave").mkdir()
        with pytest.raises(CommandFailed, match="exists already"):
            self.make(tmp_path, said)
        assert not (tmp_path / "master").exists()

    def test_a_path_where_nothing_is_makes_nothing(self, tmp_path: Path) -> None:
        for repository, code in (("/srv/nothing/here", 1), ("here:nothing", 0), ("git://h/nothing", 0)):
            where = tmp_path / str(code) / repository.partition(":")[0].replace("/", "_")
            assert outcome_of(["quickstart", str(where), "--repo", repository]) == code
            assert where.exists() == (code == 0)

    @pytest.mark.parametrize("repository", ["/srv/git/it's {odd}.git", "git@example.org:a/b.git", 'x"y\\z'])
    def test_odd_repositories_make_a_configuration_all_the_same(
        self, tmp_path: Path, said: Said, repository: str
    ) -> None:
        self.make(tmp_path, said, repository=repository, command="echo '{x}' \"y\"")
        names: dict[str, object] = {}
        lines = (tmp_path / "master" / "master.cfg").read_text().splitlines()
        exec("\n".join(line for line in lines if line.startswith("REPOSITORY")), names)
        assert names["REPOSITORY"] == repository
