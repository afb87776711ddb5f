"""The command line: every option that users know is there, and means what it meant."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from buildbot import __version__
from buildbot.scripts import client_commands
from buildbot.scripts.options import load_options
from buildbot.scripts.outcome import CommandFailed
from buildbot.scripts.runner import main, outcome_of

# Of Buildbot 0.8.14 and 4.3: what each subcommand takes.
KNOWN = {
    "create-master": "-q --quiet -f --force -c --config -r --relocatable -n --no-logrotate -s --log-size "
    "-l --log-count --db",
    "upgrade-master": "-q --quiet -r --replace --develop",
    "start": "-q --quiet --nodaemon --start_timeout",
    "stop": "-q --quiet -c --clean --no-wait",
    "restart": "-q --quiet --nodaemon -c --clean --start_timeout",
    "reconfig": "-q --quiet --progress_timeout",
    "sighup": "-q --quiet --progress_timeout",
    "checkconfig": "-q --quiet",
    "sendchange": "-m --master -a --auth -W --who -R --repository -s --vc -P --project -b --branch -C --category "
    "--codebase -r --revision --revision_file -p --property -c --comments -F --logfile -w --when -l --revlink "
    "-e --encoding -u --username -n --revision_number",
    "statuslog": "-m --master -u --username -p --passwd",
    "try": "-c --connect --host --port --jobdir --ssh --buildbotbin -m --master -u --username --passwd --vc --branch "
    "--baserev --topdir --topfile --diff -p --patchlevel -b --builder --repository --project -w --who -C --comment "
    "--properties --property --wait -q --quiet -n --dryrun --get-builder-names",
    "tryserver": "--jobdir",
    "backup": "-q --quiet --copy",
    "check": "-q --quiet --repair",
    "quickstart": "--repo --branch --port --http-port",
}


def options_of(name: str) -> set[str]:
    return {flag for option in main.commands[name].params if isinstance(option, click.Option) for flag in option.opts}


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_option_is_there(name: str) -> None:
    assert set(KNOWN[name].split()) <= options_of(name)


def test_no_command_is_missing_in_this_table() -> None:
    assert set(main.commands) == set(KNOWN)


def test_the_manual_has_every_command_and_option() -> None:
    from tests.tools import ROOT

    manual = (ROOT / "docs" / "manual" / "commands.md").read_text()
    for name, command in main.commands.items():
        assert f"buildbot {name}" in manual, name
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert f"`{option.opts[-1]}" in manual or f"`{option.opts[0]}" in manual, (name, option.opts)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome_of(["--version"]) == 0
    assert capsys.readouterr().out == f"Buildbot version: {__version__}\n"


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome_of(["start", "--nodeamon"]) == 2
    assert "nodaemon" in capsys.readouterr().err


def test_failures_are_said_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome_of(["start", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "create-master" in err


def test_another_database_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome_of(["create-master", "--db", "postgresql://x/y", str(tmp_path)]) == 2
    assert "sqlite" in capsys.readouterr().err


def test_quiet_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome_of(["create-master", "-q", str(tmp_path / "m")]) == 0
    assert capsys.readouterr() == ("", "")


def test_log_options_reach_the_tac(tmp_path: Path) -> None:
    assert outcome_of(["create-master", "-q", "-s", "77", "-l", "None", str(tmp_path / "m")]) == 0
    text = (tmp_path / "m" / "buildbot.tac").read_text()
    assert "rotateLength = 77 " in text
    assert "maxRotatedFiles = None" in text


class TestClientOptions:
    @pytest.fixture
    def ran(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, dict[str, object]]]:
        """What would be run, in a directory and a home of the test's own."""
        runs: list[tuple[str, dict[str, object]]] = []

        def run(module: str, options: dict[str, object]) -> int:
            runs.append((module, dict(options)))
            return 0

        monkeypatch.setattr(client_commands, "run_client", run)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "home" / ".buildbot").mkdir(parents=True)
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        return runs

    def test_sendchange(self, ran: list[tuple[str, dict[str, object]]]) -> None:
        words = "sendchange -m h:1 -a u:p -W joe -b main -r 5 -p a:b -p c:d -c why f1 f2"
        assert outcome_of(words.split()) == 0
        assert ran == [
            (
                "buildbot.clients.sendchange",
                {
                    "master": "h:1",
                    "auth": "u:p",
                    "who": "joe",
                    "branch": "main",
                    "revision": "5",
                    "properties": ("a:b", "c:d"),
                    "comments": "why",
                    "files": ("f1", "f2"),
                },
            )
        ]

    def test_old_spellings_work_and_are_noted(
        self, ran: list[tuple[str, dict[str, object]]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert outcome_of(["sendchange", "--master", "h:1", "--username", "joe", "--revision_number", "5", "f"]) == 0
        assert ran[0][1]["who"] == "joe"
        assert ran[0][1]["revision"] == "5"
        err = capsys.readouterr().err
        assert "--who" in err
        assert "--revision" in err

    def test_a_comment_given_to_m_is_told_apart(self, ran: object, capsys: pytest.CaptureFixture[str]) -> None:
        assert outcome_of(["sendchange", "-m", "fixed it", "f"]) == 2
        assert "--comments" in capsys.readouterr().err
        assert ran == []

    def test_the_options_file_gives_defaults(self, ran: list[tuple[str, dict[str, object]]], tmp_path: Path) -> None:
        file = tmp_path / "home" / ".buildbot" / "options"
        file.write_text('master = "h:9"\nwho = "ann"\nbranch = "main"\nmasterstatus = "s:8"\n')
        outcome_of(["sendchange", "-b", "other", "f"])
        outcome_of(["statuslog", "-u", "me"])
        assert ran[0][1] == {"master": "h:9", "who": "ann", "branch": "other", "files": ("f",)}
        assert ran[1][1] == {"master": "s:8", "username": "me", "passwd": "clientpw"}

    def test_try(self, ran: list[tuple[str, dict[str, object]]], tmp_path: Path) -> None:
        file = tmp_path / "home" / ".buildbot" / "options"
        file.write_text(
            "try_connect = 'pb'\ntry_master = 'h:1'\nmaster = 'h:2'\nusername = 'joe'\ntry_password = 'pw'\n"
            "try_builders = 'one'\ntry_wait = True\ntry_dir = 'd'\ntry_properties = {'a': 1}\ntry_topfile = 'f'\n"
        )
        assert outcome_of(["try", "--vc", "svn", "-w", "ann"]) == 0
        words = "try -c ssh -b x -b y --property a=1 --properties b=2,c=3 -n -q"
        assert outcome_of(words.split()) == 0
        module, options = ran[0]
        assert module == "buildbot.clients.tryclient"
        assert options == {
            "connect": "pb", "master": "h:1", "username": "joe", "passwd": "pw", "builders": ["one"], "wait": True,
            "jobdir": "d", "properties": ["a=1"], "topfile": "f", "vc": "svn", "who": "ann",
        }  # fmt: skip
        assert ran[1][1]["builders"] == ("x", "y")
        assert (ran[1][1]["property"], ran[1][1]["properties"]) == (("a=1",), ("b=2,c=3",))
        assert (ran[1][1]["connect"], ran[1][1]["dryrun"], ran[1][1]["quiet"]) == ("ssh", True, True)

    def test_the_nearest_file_counts(self, tmp_path: Path) -> None:
        for directory, name in ((tmp_path / "home", "far"), (tmp_path, "near")):
            (directory / ".buildbot").mkdir(parents=True)
            (directory / ".buildbot" / "options").write_text(f"who = {name!r}")
        (tmp_path / "a" / "b").mkdir(parents=True)
        assert load_options(tmp_path / "a" / "b", tmp_path / "home") == {"who": "near"}

    def test_a_broken_file_is_said_with_its_name(self, tmp_path: Path) -> None:
        (tmp_path / ".buildbot").mkdir()
        (tmp_path / ".buildbot" / "options").write_text("who = joe")
        with pytest.raises(CommandFailed, match="options: NameError"):
            load_options(tmp_path, tmp_path)

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
    def test_somebody_elses_file_is_not_run(self, tmp_path: Path) -> None:
        (tmp_path / ".buildbot").mkdir()
        (tmp_path / ".buildbot" / "options").write_text("raise SystemExit('run')")
        os.chown(tmp_path / ".buildbot", 12345, 12345)
        assert load_options(tmp_path, tmp_path) == {}
