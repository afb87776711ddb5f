"""buildbot.tac: what `create-slave` writes and what `upgrade-slave` makes of one of another era."""

import re
from dataclasses import dataclass
from pathlib import Path

TAC_FILE = "buildbot.tac"

TEMPLATE = """\
# What this buildslave is and which master it works for. Plain Python; restart the slave after a change:
#     buildslave restart {shown_basedir}
import os

from twisted.application import service

from buildslave.bot import BuildSlave

basedir = {basedir!r}
{log_settings}
# With basedir '.' the directory may be moved: it is then wherever this file is.
if basedir == '.':
    basedir = os.path.abspath(os.path.dirname(__file__))

application = service.Application('buildslave')
{log_setup}
buildmaster_host = {host!r}
port = {port!r}
slavename = {name!r}
passwd = {password!r}
keepalive = {keepalive!r}  # seconds between two signs of life to the master
usepty = {usepty!r}  # run commands on a terminal, unless a step says otherwise
umask = {umask}  # of the files that commands make; None: as the slave was started with
maxdelay = {maxdelay!r}  # longest pause in seconds between two attempts to connect
numcpus = {numcpus!r}  # what the master is told; None: as many as there are
allow_shutdown = {allow_shutdown!r}  # 'signal' (SIGHUP), 'file' (touch shutdown.stamp) or None
maxretries = {maxretries!r}  # stop when a first attempt and so many more have failed; None: never
protocol = {protocol!r}  # or 'msgpack_experimental_v7': WebSocket, to a port of the master's for that
use_tls = {use_tls!r}  # TLS to the master, whose certificate must be valid
delete_leftover_dirs = {delete_leftover_dirs!r}  # remove directories of builders that are no more
connection_string = {connection_string!r}  # a Twisted client endpoint instead of host and port
proxy_connection_string = {proxy_connection_string!r}  # the HTTP proxy to go through to host and port
spool_size = {spool_size!r}  # bytes on disk for output that no master takes; when they are full, commands wait
orphan_grace_seconds = {orphan_grace!r}  # without any master commands go on so long, and are then killed

s = BuildSlave(
    buildmaster_host, port, slavename, passwd, basedir, keepalive, usepty,
    umask=umask, maxdelay=maxdelay, numcpus=numcpus, allow_shutdown=allow_shutdown, maxRetries=maxretries,
    protocol=protocol, useTls=use_tls, delete_leftover_dirs=delete_leftover_dirs, connection_string=connection_string,
    proxy_connection_string=proxy_connection_string, spool_size=spool_size,
    orphan_grace_seconds=orphan_grace_seconds,
)
s.setServiceParent(application)
"""

LOG_SETTINGS = """\
rotateLength = {log_size!r}  # bytes of twistd.log before a new one is begun
maxRotatedFiles = {log_count!r}  # how many old ones are kept; None: all
"""

LOG_SETUP = """\
from twisted.python.log import FileLogObserver, ILogObserver
from twisted.python.logfile import LogFile

logfile = LogFile.fromFullPath(
    os.path.join(basedir, 'twistd.log'), rotateLength=rotateLength, maxRotatedFiles=maxRotatedFiles
)
application.setComponent(ILogObserver, FileLogObserver(logfile).emit)
"""

LOG_SETUP_WITHOUT_ROTATION = """\
from twisted.python.log import FileLogObserver, ILogObserver

# It only grows. Another program may copy it and cut it (logrotate: copytruncate).
logfile = open(os.path.join(basedir, 'twistd.log'), 'a', encoding='utf-8', errors='backslashreplace')
application.setComponent(ILogObserver, FileLogObserver(logfile).emit)
"""

OLD_IMPORTS = (
    (re.compile(r"^(\s*)from\s+buildbot\.slave\.bot\s+import\b", re.MULTILINE), r"\1from buildslave.bot import"),
    (re.compile(r"^(\s*)from\s+buildbot_worker\.bot\s+import\b", re.MULTILINE), r"\1from buildslave.bot import"),
    (re.compile(r"^(\s*)import\s+buildbot\.slave\.bot\b", re.MULTILINE), r"\1import buildslave.bot"),
    (re.compile(r"\bbuildbot\.slave\.bot\.BuildSlave\b"), "buildslave.bot.BuildSlave"),
)
OLD_UMASK = (re.compile(r"^(umask\s*=\s*)0([0-7]+)\b", re.MULTILINE), r"\g<1>0o\2")


@dataclass(frozen=True, slots=True, kw_only=True)
class TacSettings:
    """The values of a new buildbot.tac."""

    basedir: Path
    relocatable: bool
    host: str
    port: int
    name: str
    password: str
    keepalive: int
    usepty: bool
    umask: int | None
    maxdelay: int
    numcpus: int | None
    allow_shutdown: str | None
    maxretries: int | None
    protocol: str
    use_tls: bool
    delete_leftover_dirs: bool
    connection_string: str | None
    proxy_connection_string: str | None
    spool_size: int
    orphan_grace: int
    log_size: int
    log_count: int | None
    rotate_logs: bool


def new_tac(settings: TacSettings) -> str:
    """The text of a buildbot.tac."""
    values = {name: getattr(settings, name) for name in TacSettings.__slots__}
    values["shown_basedir"] = str(settings.basedir)
    values["basedir"] = "." if settings.relocatable else str(settings.basedir)
    values["umask"] = "None" if settings.umask is None else f"0o{settings.umask:o}"
    values["log_settings"] = LOG_SETTINGS.format(**values) if settings.rotate_logs else ""
    values["log_setup"] = LOG_SETUP if settings.rotate_logs else LOG_SETUP_WITHOUT_ROTATION
    return TEMPLATE.format(**values)


def upgraded_tac(text: str) -> str:
    """The same tac with the imports of this package, and the umask as Python 3 writes it; `text` itself if there is
    nothing to change."""
    for old, new in (*OLD_IMPORTS, OLD_UMASK):
        text = old.sub(new, text)
    return text
