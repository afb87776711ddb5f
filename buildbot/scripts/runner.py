"""The `buildbot` command line: its subcommands and their options, which are Buildbot's own.

Each subcommand imports what it needs when it is called, so that `buildbot --help` is quick. What two parts must agree
upon is elsewhere; nothing here decides anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from buildbot import __version__
from buildbot.scripts.client_commands import sendchange, statuslog
from buildbot.scripts.outcome import CommandFailed, ExitCode, Say
from buildbot.scripts.quickstart import quickstart
from buildbot.scripts.try_commands import try_, tryserver

BASEDIR = click.Path(path_type=Path)
Decorator = Callable[[Any], Any]


def basedir_argument(function: Any) -> Any:
    return click.argument("basedir", type=BASEDIR, default=Path())(function)


def quiet_option(function: Any) -> Any:
    return click.option("-q", "--quiet", is_flag=True, help="Say nothing unless something is wrong.")(function)


def say(quiet: bool) -> Say:
    """Where the sentences of a command go."""
    return (lambda sentence: None) if quiet else click.echo


def warn(sentence: str) -> None:
    click.echo(sentence, err=True)


class Count(click.ParamType[int | None]):
    """A whole number, or None."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value is None or value == "None":
            return None
        if isinstance(value, int):
            return value
        if not str(value).isdigit():
            self.fail(f"{value!r} is neither a whole number nor None", param, ctx)
        return int(value)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="Buildbot", message="%(prog)s version: %(version)s")
@click.option("--verbose", is_flag=True, hidden=True)
def main(verbose: bool) -> None:
    """A continuous integration master. `buildbot COMMAND --help` tells the options of a command."""


@main.command("create-master")
@quiet_option
@click.option("-f", "--force", is_flag=True, help="Replace an existing buildbot.tac (kept as buildbot.tac.old).")
@click.option("-c", "--config", default="master.cfg", show_default=True, help="Name of the configuration file.")
@click.option("-r", "--relocatable", is_flag=True, help="Write no absolute path: the directory may be moved.")
@click.option("-n", "--no-logrotate", is_flag=True, help="Do not rotate twistd.log; the log goes to standard output.")
@click.option("-s", "--log-size", type=int, default=10_000_000, show_default=True, help="Bytes of a twistd.log.")
@click.option("-l", "--log-count", type=Count(), default=10, show_default=True, help="Old logs kept; None: all.")
@click.option("--db", default="sqlite:///state.sqlite", show_default=True, help="Only this database is supported.")
@basedir_argument
def create_master(
    basedir: Path,
    quiet: bool,
    force: bool,
    config: str,
    relocatable: bool,
    no_logrotate: bool,
    log_size: int,
    log_count: int | None,
    db: str,
) -> None:
    """Make a new master's directory."""
    from buildbot.scripts.create import create_master as create
    from buildbot.scripts.tac import TacSettings

    if db != "sqlite:///state.sqlite":
        raise click.UsageError(f"--db {db}: the state is kept in sqlite:///state.sqlite, in the master's directory")
    settings = TacSettings(
        basedir=basedir.absolute(),
        relocatable=relocatable,
        config=config,
        log_size=None if no_logrotate else log_size,
        log_count=log_count,
    )
    create(settings, force=force, say=say(quiet))


@main.command("upgrade-master")
@quiet_option
@click.option("-r", "--replace", is_flag=True, help="Replace changed files of public_html, too.")
@click.option("--develop", is_flag=True, hidden=True)
@basedir_argument
def upgrade_master(basedir: Path, quiet: bool, replace: bool, develop: bool) -> None:
    """Bring a master's directory up to date with this version."""
    from buildbot.scripts.create import upgrade_master as upgrade

    upgrade(basedir.absolute(), replace=replace, say=say(quiet), warn=warn)


_nodaemon = click.option("--nodaemon", is_flag=True, help="Stay in the foreground and log to the terminal as well.")
_start_timeout = click.option(
    "--start_timeout",
    "--start-timeout",
    type=float,
    default=None,
    help="Wait at most so many seconds for the master to be ready (default: as long as it takes).",
)


@main.command()
@quiet_option
@_nodaemon
@_start_timeout
@basedir_argument
def start(basedir: Path, quiet: bool, nodaemon: bool, start_timeout: float | None) -> int:
    """Start a master; it serves when this command returns."""
    from buildbot.scripts import control

    if nodaemon:
        return control.start_in_foreground(basedir.absolute())
    return control.start_daemon(basedir.absolute(), start_timeout, say(quiet))


_clean = click.option("-c", "--clean", is_flag=True, help="Let running builds end first; start no new ones.")
_timeout = click.option("--timeout", type=float, default=None, help="Wait at most so many seconds (60; clean: 3600).")
_cancel = click.option("--cancel", is_flag=True, help="With --clean: call off the clean stop that is under way.")


@main.command()
@quiet_option
@_clean
@_timeout
@_cancel
@click.option("--no-wait", is_flag=True, help="Do not wait until the master is gone.")
@basedir_argument
def stop(basedir: Path, quiet: bool, clean: bool, timeout: float | None, cancel: bool, no_wait: bool) -> int:
    """Stop a master and wait until it is gone."""
    from buildbot.scripts import control

    if cancel and not clean:
        raise click.UsageError("--cancel goes with --clean: a plain stop cannot be called off")
    if cancel:
        return control.cancel_clean_stop(basedir.absolute(), say(quiet))

    return control.stop(basedir.absolute(), say(quiet), clean=clean, wait=not no_wait, timeout=timeout)


@main.command()
@quiet_option
@_nodaemon
@_start_timeout
@_clean
@_timeout
@basedir_argument
def restart(
    basedir: Path, quiet: bool, nodaemon: bool, start_timeout: float | None, clean: bool, timeout: float | None
) -> int:
    """Stop a master, if it runs, and start it."""
    from buildbot.scripts import control

    control.stop(basedir.absolute(), say(quiet), clean=clean, timeout=timeout)
    if nodaemon:
        return control.start_in_foreground(basedir.absolute())
    return control.start_daemon(basedir.absolute(), start_timeout, say(quiet))


@main.command()
@quiet_option
@click.option(
    "--progress_timeout",
    "--progress-timeout",
    type=float,
    default=60,
    show_default=True,
    help="Wait at most so many seconds for the master's answer.",
)
@basedir_argument
def reconfig(basedir: Path, quiet: bool, progress_timeout: float) -> int:
    """Let a running master load its configuration again, and say what came of it."""
    from buildbot.scripts import control

    return control.reconfig(basedir.absolute(), progress_timeout, say(quiet))


main.add_command(reconfig, "sighup")


@main.command()
@quiet_option
@click.argument("config", type=BASEDIR, default=Path(), metavar="[FILE|DIR]")
def checkconfig(config: Path, quiet: bool) -> int:
    """Say everything that is wrong with a configuration: that of a directory, or a file."""
    from buildbot.scripts.checkconfig import check

    return check(config.absolute(), say(quiet), warn)


@main.command()
@quiet_option
@click.option("--copy", is_flag=True, help="Copy every log, also where a second name for the same file would do.")
@click.argument("basedir", type=BASEDIR)
@click.argument("target", type=BASEDIR)
def backup(basedir: Path, target: Path, quiet: bool, copy: bool) -> int:
    """Copy the state and the logs of a master, which may run, to TARGET: a new directory, or a .tar or .tar.gz file."""
    from buildbot.scripts.keeping import backup as back_up

    return back_up(basedir.absolute(), target.absolute(), say(quiet), copy=copy)


@main.command()
@quiet_option
@click.option("--repair", is_flag=True, help="Do what can be done without losing anything; the master must be stopped.")
@basedir_argument
def check(basedir: Path, quiet: bool, repair: bool) -> int:
    """Say what is wrong with the state and the logs of a master, which may run."""
    from buildbot.scripts.keeping import check as check_state

    return check_state(basedir.absolute(), say(quiet), warn, repair=repair)


main.add_command(sendchange)
main.add_command(statuslog)
main.add_command(try_)
main.add_command(tryserver)
main.add_command(quickstart)


def run() -> None:
    """The console script."""
    sys.exit(outcome_of(sys.argv[1:]))


def outcome_of(words: list[str]) -> int:
    """Run one command line; the exit code."""
    try:
        code = main.main(args=words, prog_name="buildbot", standalone_mode=False)
    except click.exceptions.Exit as end:
        return int(end.exit_code)
    except click.Abort:
        warn("buildbot: interrupted")
        return 130
    except click.ClickException as wrong:
        wrong.show()
        return int(wrong.exit_code)
    except CommandFailed as failed:
        warn(f"buildbot: {failed}")
        return failed.code
    except BrokenPipeError:
        return ExitCode.FAILED
    except OSError as error:
        warn(f"buildbot: {error}")
        return ExitCode.FAILED
    return int(code) if isinstance(code, int) else ExitCode.OK
