"""`quickstart`: a master and one slave on this machine for one git repository, ready to be started."""

from __future__ import annotations

import os
import secrets
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import click

from buildbot.scripts.create import create_master
from buildbot.scripts.outcome import CommandFailed, ExitCode, Say
from buildbot.scripts.tac import TacSettings
from buildbot.status.web import passwords

WEB_USER = "admin"
SLAVE = "local"
BUILDER = "build"

_CONFIG = """\
# Made by `buildbot quickstart`. It is plain Python, and yours to change: check it with `buildbot checkconfig`, put it
# in force with `buildbot reconfig`. master.cfg.sample shows more.
import os

from buildbot.plugins import changes, schedulers, steps, util, worker

c = BuildmasterConfig = {{}}

REPOSITORY = {repository!r}

# The slave's password is in a file of its own, so that this file can be shown to others.
with open(os.path.join(basedir, "slave-password")) as file:
    SLAVE_PASSWORD = file.read().strip()

c["workers"] = [worker.Worker({slave!r}, SLAVE_PASSWORD)]
c["protocols"] = {{"pb": {{"port": "tcp:{port}:interface=127.0.0.1"}}}}

# Which commits are seen: the master asks every half minute. branches=True is all branches, ["main"] only that one.
c["change_source"] = [
    changes.GitPoller(repourl=REPOSITORY, branches={branches!r}, pollInterval=30, pollAtLaunch=True),
]

# When is it built: five seconds after the last commit, and when somebody asks for it on the web.
c["schedulers"] = [
    schedulers.AnyBranchScheduler(name="commits", treeStableTimer=5, builderNames=[{builder!r}]),
    schedulers.ForceScheduler(name="force", builderNames=[{builder!r}]),
]

# How it is built. The second step is the place for your project's own commands.
factory = util.BuildFactory()
factory.addStep(steps.Git(repourl=REPOSITORY, mode="incremental"))
factory.addStep(steps.ShellCommand(name="test", command={command!r}))
c["builders"] = [util.BuilderConfig(name={builder!r}, workernames=[{slave!r}], factory=factory)]

c["title"] = {title!r}
c["titleURL"] = {title_url!r}
c["buildbotURL"] = "http://localhost:{http_port}/"

# Everybody on this machine may look; whoever is in the file htpasswd may force and stop builds.
c["www"] = {{"port": "tcp:{http_port}:interface=127.0.0.1", "auth": util.HTPasswdAuth("htpasswd")}}
"""


class Wanted(NamedTuple):
    """What the options say."""

    directory: Path
    repository: str
    branch: str | None
    port: int
    http_port: int
    command: str


def config_text(wanted: Wanted) -> str:
    name = wanted.repository.rstrip("/").rpartition("/")[2].removesuffix(".git") or "Project"
    is_page = wanted.repository.startswith(("http://", "https://")) and "@" not in wanted.repository
    return _CONFIG.format(
        repository=wanted.repository,
        branches=True if wanted.branch is None else [wanted.branch],
        slave=SLAVE,
        builder=BUILDER,
        port=wanted.port,
        http_port=wanted.http_port,
        command=wanted.command,
        title=name,
        title_url=wanted.repository if is_page else f"http://localhost:{wanted.http_port}/",
    )


def make(wanted: Wanted, say: Say) -> ExitCode:
    """Make DIR/master and DIR/slave. Nothing that exists is touched."""
    master, slave = wanted.directory / "master", wanted.directory / "slave"
    for taken in (master, slave):
        if taken.exists():
            raise CommandFailed(f"{taken} exists already: choose another directory")
    create_master(TacSettings(basedir=master, relocatable=True), force=False, say=lambda sentence: None)
    slave_password, web_password = secrets.token_hex(12), secrets.token_hex(6)
    _write_private(master / "slave-password", slave_password + "\n")
    _write_private(master / "htpasswd", f"{WEB_USER}:{passwords.make(web_password)}\n")
    (master / "master.cfg").write_text(config_text(wanted), encoding="utf-8")
    where = f"localhost:{wanted.port}"
    code = import_module("buildslave.scripts.runner").main(
        ["create-slave", "--quiet", "--relocatable", str(slave), where, SLAVE, slave_password]
    )
    if code:
        raise CommandFailed(f"the slave could not be made in {slave}")
    say(f"""\
made a buildmaster in {master} and a buildslave in {slave}

start them:   buildbot start {master}
              buildslave start {slave}
look:         http://localhost:{wanted.http_port}/waterfall
log in:       as {WEB_USER} with the password {web_password}   (said only once)
new password: htpasswd -B {master / "htpasswd"} {WEB_USER}
change:       {master / "master.cfg"}, then  buildbot reconfig {master}""")
    return ExitCode.OK


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _is_a_path(repo: str) -> bool:
    """As git sees it: no `scheme://`, and no `host:` before the first slash."""
    return "://" not in repo and ":" not in repo.partition("/")[0]


@click.command()
@click.option("--repo", required=True, metavar="URL", help="Address or path of the git repository.")
@click.option("--branch", default=None, help="Build only this branch (default: all).")
@click.option("--port", type=click.IntRange(1, 65535), default=9989, show_default=True, help="For slaves.")
@click.option("--http-port", type=click.IntRange(1, 65535), default=8010, show_default=True, help="For browsers.")
@click.option("--command", default="git log -1 --stat", show_default=True, help="What the builder runs in a checkout.")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
def quickstart(directory: Path, repo: str, branch: str | None, port: int, http_port: int, command: str) -> int:
    """Make a master and a slave for one git repository in DIR, ready to be started."""
    local = Path(repo).expanduser()
    repository = str(local.absolute()) if local.exists() else repo
    if not local.exists() and _is_a_path(repo):
        raise CommandFailed(f"there is no repository {local.absolute()}: --repo is its path or address")
    return make(Wanted(directory.absolute(), repository, branch, port, http_port, command), click.echo)
