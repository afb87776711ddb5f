"""`try` and `tryserver`: their options. What `try` does is in buildbot.clients.tryclient."""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import click

from buildbot.scripts import client_commands
from buildbot.scripts.outcome import CommandFailed

# Keys of .buildbot/options: which option of `try` each one is the default of.
_SAME = (
    "vc branch repository project topdir topfile host port ssh buildbotbin username who comment wait quiet properties"
)
TRY_KEYS = {
    "try_connect": "connect",
    "try_builders": "builders",
    **{f"try_{name}": name for name in _SAME.split()},
    "try_password": "passwd",
    "try_passwd": "passwd",
    "try_jobdir": "jobdir",
    "try_dir": "jobdir",
    "try_master": "master",
    "master": "master",
    "username": "username",
    "who": "who",
}


@click.command("try")
@click.option("-c", "--connect", type=click.Choice(["ssh", "pb"]), help="How to reach the master.")
@click.option("--host", "--tryhost", help="By ssh: the master's machine.")
@click.option("--port", type=int, help="By ssh: its port.")
@click.option("--jobdir", "--trydir", help="By ssh: the directory of the Try_Jobdir.")
@click.option("--ssh", help="By ssh: the program and its words (ssh).")
@click.option("--buildbotbin", help="By ssh: the buildbot program on the master's machine (buildbot).")
@click.option("-m", "--master", metavar="HOST:PORT", help="By pb: where the Try_Userpass listens.")
@click.option("-u", "--username", help="Whom to log in as.")
@click.option("--passwd", "--password", "--pbpassword", help="By pb: the password; it is asked for otherwise.")
@click.option("--vc", help="Version control system: bzr cvs darcs git hg mtn p4 repo svn.")
@click.option("--branch", help="Branch, where the version control system does not tell.")
@click.option("--baserev", help="Revision to begin with, instead of what the working copy tells.")
@click.option("--topdir", help="For cvs, svn and p4: the top of the working copy.")
@click.option("--topfile", help="For cvs, svn and p4: a file at the top of the working copy.")
@click.option("--diff", metavar="FILE", help="A patch to send instead of looking for one; - is standard input.")
@click.option("-p", "--patchlevel", type=int, default=None, help="Of --diff: directories to cut from its paths (0).")
@click.option("-b", "--builder", "--builders", "builders", multiple=True, help="May be given repeatedly; none: all.")
@click.option("--repository", help="Address of the repository.")
@click.option("--project", help="Project.")
@click.option("-w", "--who", help="Who wants it tried.")
@click.option("-C", "--comment", "--reason", help="Why, for who sees the build.")
@click.option("--properties", multiple=True, metavar="NAME=VALUE,...", help="Properties of the builds.")
@click.option("--property", multiple=True, metavar="NAME=VALUE", help="May be given repeatedly.")
@click.option("--wait", is_flag=True, default=None, help="By pb: wait until all is built; 0 if all succeeded.")
@click.option("-q", "--quiet", is_flag=True, default=None, help="While waiting, say only the results.")
@click.option("-n", "--dryrun", is_flag=True, default=None, help="Show what would be sent.")
@click.option("--get-builder-names", is_flag=True, default=None, help="By pb: show what can be tried.")
def try_(**given: Any) -> int:
    """Have the changes of this working copy built before they are committed."""
    options = _listed(client_commands.with_defaults(given, TRY_KEYS))
    return client_commands.run_client("buildbot.clients.tryclient", options)


def _listed(options: dict[str, Any]) -> dict[str, Any]:
    """An options file may name one builder, or give the properties as a dictionary."""
    if isinstance(options.get("builders"), str):
        options["builders"] = [options["builders"]]
    properties = options.get("properties")
    if isinstance(properties, str):
        options["properties"] = [properties]
    elif isinstance(properties, dict):
        options["properties"] = [f"{name}={value}" for name, value in properties.items()]
    return options


@click.command()
@click.option("--jobdir", required=True, type=click.Path(path_type=Path), help="The directory of the Try_Jobdir.")
def tryserver(jobdir: Path) -> None:
    """Put the job that comes on standard input into a jobdir. `buildbot try` runs it by ssh."""
    job = sys.stdin.buffer.read()
    if not job:
        raise CommandFailed("there is no job on standard input")
    if not jobdir.is_dir():
        raise CommandFailed(f"there is no directory {jobdir}: is it the jobdir of the master's Try_Jobdir?")
    put(jobdir, job)


def put(jobdir: Path, job: bytes) -> Path:
    """Write a job as a maildir takes a message: it is in `new` only when all of it is on the disk."""
    name = f"{time.time():.6f}.{os.getpid()}-{secrets.token_hex(4)}"
    for part in ("tmp", "new"):
        (jobdir / part).mkdir(exist_ok=True)
    unfinished, finished = jobdir / "tmp" / name, jobdir / "new" / name
    with open(unfinished, "xb") as file:
        file.write(job)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(finished)
    directory = os.open(jobdir / "new", os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return finished
