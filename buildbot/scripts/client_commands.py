"""`sendchange` and `statuslog`: their options. What they do is in buildbot.clients, which this names by string only."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from buildbot.scripts.options import load_options

DEFAULT_STATUS_USER, DEFAULT_STATUS_PASSWORD = "statusClient", "clientpw"

# Keys of .buildbot/options: which option of the command each one is the default of.
SENDCHANGE_KEYS = {
    name: name for name in ("master", "auth", "who", "repository", "project", "branch", "category", "codebase", "vc")
} | {"username": "who"}
STATUSLOG_KEYS = {
    "masterstatus": "master",
    "statuslog_username": "username",
    "statuslog_passwd": "passwd",
}


def run_client(module: str, options: Mapping[str, Any]) -> int:
    from twisted.internet import reactor

    code: int = import_module(module).run(options, reactor)
    return code


def with_defaults(given: dict[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """What was given, and for the rest what the options file says."""
    from_file = load_options(Path.cwd(), Path.home())
    merged = {name: value for name, value in given.items() if value not in (None, ())}
    for key, option in keys.items():
        if key in from_file:
            merged.setdefault(option, from_file[key])
    return merged


def _note(sentence: str) -> None:
    click.echo(f"note: {sentence}", err=True)


def _master(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and ":" not in value:
        raise click.BadParameter(f"{value!r} is not HOST:PORT (comments are given with -c or --comments)")
    return value


@click.command()
@click.option("-m", "--master", metavar="HOST:PORT", callback=_master, help="The master's PBChangeSource.")
@click.option("-a", "--auth", metavar="USER:PASSWORD", help="Its login (change:changepw). Without a password: ask.")
@click.option("-W", "--who", help="Author of the change.")
@click.option("-u", "--username", hidden=True)
@click.option("-R", "--repository", help="Address of the repository.")
@click.option("-s", "--vc", help="Version control system: cvs svn darcs hg bzr git mtn p4.")
@click.option("-P", "--project", help="Project.")
@click.option("-b", "--branch", help="Branch.")
@click.option("-C", "--category", help="Category.")
@click.option("--codebase", help="Codebase; needs a master that knows codebases.")
@click.option("-r", "--revision", help="Revision.")
@click.option("-n", "--revision_number", "--revision-number", hidden=True)
@click.option("--revision_file", "--revision-file", help="File that holds the revision.")
@click.option("-p", "--property", "properties", multiple=True, metavar="NAME:VALUE", help="May be given repeatedly.")
@click.option("-c", "--comments", help="What the change does.")
@click.option("-F", "--logfile", help="File that holds the comments; - is standard input.")
@click.option("-w", "--when", help="Time of the change, in seconds since 1970.")
@click.option("-l", "--revlink", help="Address of a page about the change.")
@click.option("-e", "--encoding", default=None, help="Encoding of all that is given (utf-8).")
@click.argument("files", nargs=-1)
def sendchange(username: str | None, revision_number: str | None, **given: Any) -> int:
    """Tell a master of a change to FILES. Returns when the master has stored it."""
    if username is not None:
        _note("--username is now --who")
        given["who"] = given["who"] or username
    if revision_number is not None:
        _note("--revision_number is now --revision")
        given["revision"] = given["revision"] or revision_number
    return run_client("buildbot.clients.sendchange", with_defaults(given, SENDCHANGE_KEYS))


@click.command()
@click.option("-m", "--master", metavar="HOST:PORT", callback=_master, help="The master's PBListener.")
@click.option("-u", "--username", help=f"User ({DEFAULT_STATUS_USER}).")
@click.option("-p", "--passwd", help=f"Password ({DEFAULT_STATUS_PASSWORD}).")
def statuslog(**given: Any) -> int:
    """Print a line for each thing that happens in a master, until it ends or is interrupted."""
    options = with_defaults(given, STATUSLOG_KEYS)
    options.setdefault("username", DEFAULT_STATUS_USER)
    options.setdefault("passwd", DEFAULT_STATUS_PASSWORD)
    return run_client("buildbot.clients.statuslog", options)
