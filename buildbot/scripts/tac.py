"""buildbot.tac: what `create-master` writes, and what can be read from one of any era without running it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from buildbot.scripts.outcome import CommandFailed

TAC_FILE = "buildbot.tac"
CONFIG_FILE = "master.cfg"

_TEMPLATE = """\
# What this buildmaster is. Plain Python; restart the master after a change:
#     buildbot restart {shown_basedir}
import os

from twisted.application import service

from buildbot.master import BuildMaster

basedir = {basedir!r}
{log_settings}configfile = {config!r}
umask = None  # of the files that the master makes, such as 0o022; None: as it was started with

# With basedir '.' the directory may be moved: it is then wherever this file is.
if basedir == '.':
    basedir = os.path.abspath(os.path.dirname(__file__))

application = service.Application('buildmaster')
{log_setup}
m = BuildMaster(basedir, configfile, umask)
m.setServiceParent(application)
"""

_LOG_SETTINGS = """\
rotateLength = {size!r}  # bytes of twistd.log before a new one is begun
maxRotatedFiles = {count!r}  # how many old ones are kept; None: all
"""

_LOG_SETUP = """\
from twisted.python.log import FileLogObserver, ILogObserver
from twisted.python.logfile import LogFile

logfile = LogFile.fromFullPath(
    os.path.join(basedir, 'twistd.log'), rotateLength=rotateLength, maxRotatedFiles=maxRotatedFiles
)
application.setComponent(ILogObserver, FileLogObserver(logfile).emit)
"""

_PLAIN_LOG = """\
import sys

from twisted.python.log import FileLogObserver, ILogObserver

application.setComponent(ILogObserver, FileLogObserver(sys.stdout).emit)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TacSettings:
    """What the options of `create-master` say about the tac. `log_size` None: the log goes to standard output."""

    basedir: Path
    relocatable: bool = False
    config: str = CONFIG_FILE
    log_size: int | None = 10_000_000
    log_count: int | None = 10


def new_tac(settings: TacSettings) -> str:
    rotated = settings.log_size is not None
    return _TEMPLATE.format(
        shown_basedir=settings.basedir,
        basedir="." if settings.relocatable else str(settings.basedir),
        config=settings.config,
        log_settings=_LOG_SETTINGS.format(size=settings.log_size, count=settings.log_count) if rotated else "",
        log_setup=_LOG_SETUP if rotated else _PLAIN_LOG,
    )


def require_tac(basedir: Path) -> Path:
    """The tac of a master's directory. Raises CommandFailed when this is no such directory."""
    path = basedir / TAC_FILE
    if not path.is_file():
        raise CommandFailed(f"{basedir} has no {TAC_FILE}: make a master with `buildbot create-master {basedir}`")
    text = path.read_text(encoding="utf-8", errors="replace")
    if "BuildMaster" not in text and ("BuildSlave" in text or "Worker" in text):
        raise CommandFailed(f"{basedir} is the directory of a slave: use `buildslave` for it")
    return path


def config_name(basedir: Path) -> str:
    """The name of the configuration file that the tac of any era gives; master.cfg when it says nothing."""
    try:
        tree = ast.parse((basedir / TAC_FILE).read_text(encoding="utf-8", errors="replace"))
    except (OSError, SyntaxError):
        return CONFIG_FILE
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if "configfile" in names or "configFileName" in names:
                return node.value.value
    return CONFIG_FILE
