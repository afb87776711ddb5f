"""A master and its slaves as they run for people: `buildbot start` and `buildslave start` in processes of their own, on
free ports of 127.0.0.1, with what a test wants to ask of them.
"""

from __future__ import annotations

import http.cookiejar
import re
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from buildbot.model import Result
from buildbot.scripts.create import create_master
from buildbot.scripts.tac import TacSettings
from buildbot.status.web.passwords import make as hashed
from buildbot.store.store import connect
from buildslave.scripts.runner import main as buildslave_command
from tests.processes import Process, Processes, free_port, wait_until

BIN = Path(sys.executable).parent
BUILDBOT = BIN / "buildbot"
BUILDSLAVE = BIN / "buildslave"
WEB_USER, WEB_PASSWORD = "alice", "wonderland"

CONFIG = """\
from buildbot.plugins import buildslave, changes, schedulers, steps, util
c = BuildmasterConfig = {{}}
c['title'] = 'Tested'
c['buildbotURL'] = 'http://127.0.0.1:{http_port}/'
c['protocols'] = {{'pb': {{'port': 'tcp:{pb_port}:interface={pb_host}'}}}}
c['www'] = {{'port': 'tcp:{http_port}:interface=127.0.0.1', 'auth': util.HTPasswdAuth('htpasswd')}}
c['slaves'] = [buildslave.BuildSlave('one', 'secret')]
c['change_source'] = [changes.PBChangeSource(user='change', passwd='changepw')]


def runs(*command):
    return util.BuildFactory([steps.ShellCommand(name='run', command=list(command))])


c['builders'] = [util.BuilderConfig(name='tests', slavenames=['one'], factory=runs('true'))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['tests'])]
"""

# Sends each argument (a dictionary as Python writes it) as a change, and prints the revision of each one that the
# master has acknowledged. One that was not acknowledged is sent again, on a new connection, until it is.
SENDER = """
import sys
from ast import literal_eval
from twisted.cred.credentials import UsernamePassword
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import deferLater
from twisted.spread import pb

host, port, changes = sys.argv[1], int(sys.argv[2]), [literal_eval(text) for text in sys.argv[3:]]

async def send_all():
    avatar = None
    while changes:
        try:
            if avatar is None:
                factory = pb.PBClientFactory()
                broker = await HostnameEndpoint(reactor, host, port).connect(factory)
                login = factory.login(UsernamePassword(b"change", b"changepw")).addTimeout(5, reactor)
                broker.notifyOnDisconnect(login.cancel)
                avatar = await login
            await avatar.callRemote("addChange", changes[0]).addTimeout(5, reactor)
        except Exception as problem:
            print("again", type(problem).__name__, flush=True)
            avatar = None
            await deferLater(reactor, 0.1)
        else:
            print("acknowledged", changes.pop(0)["revision"], flush=True)
    reactor.stop()

reactor.callWhenRunning(lambda: ensureDeferred(send_all()))
reactor.run()
"""


class Build(NamedTuple):
    """A row of builds, as far as the tests ask."""

    builder: str
    number: int
    result: Result | None
    text: str
    slave: str
    attempt: int


class Answer(NamedTuple):
    status: int
    text: str
    address: str  # where it came from, after redirections


class Visitor:
    """A browser without a screen: keeps cookies, follows redirections, sends forms."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def get(self, path: str) -> Answer:
        return self._open(urllib.request.Request(self.root + path))

    def post(self, path: str, fields: Mapping[str, str]) -> Answer:
        return self._open(urllib.request.Request(self.root + path, urllib.parse.urlencode(fields).encode()))

    def token(self, path: str) -> str:
        """What the forms of this page send back."""
        page = self.get(path)
        found = re.search(r'name="token" value="([^"]+)"', page.text)
        assert found, f"no form on {path}:\n{page.text}"
        return found[1]

    def log_in(self) -> Answer:
        fields = {"username": WEB_USER, "password": WEB_PASSWORD, "token": self.token("/login"), "next": "/builders"}
        return self.post("/login", fields)

    def press(self, page: str, action: str, **fields: str) -> Answer:
        """Send a form of `page` to `action`."""
        return self.post(action, {"token": self.token(page), **fields})

    def _open(self, request: urllib.request.Request) -> Answer:
        try:
            with self._opener.open(request, timeout=20) as response:
                return Answer(response.status, response.read().decode(), response.url)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(), error.url)


class AMaster:
    """One master's directory, its process while it runs, and the slaves that belong to it.

    `pb_host` is the address at which slaves and senders of changes reach it; `basedir` where the master is, if not
    with the slaves in `where`.
    """

    def __init__(
        self,
        processes: Processes,
        where: Path,
        *,
        make: bool = True,
        pb_host: str = "127.0.0.1",
        basedir: Path | None = None,
    ) -> None:
        self.processes = processes
        self.where = where
        self.basedir = basedir or where / "master"
        self.pb_host = pb_host
        self.pb_port, self.http_port = free_port(), free_port()
        self.web = Visitor(f"http://127.0.0.1:{self.http_port}")
        self.process: Process | None = None
        if make:
            create_master(TacSettings(basedir=self.basedir), force=False, say=lambda _: None)
            self.furnish()

    def furnish(self) -> None:
        """The files that an operator writes."""
        (self.basedir / "htpasswd").write_text(f"{WEB_USER}:{hashed(WEB_PASSWORD)}\n")
        self.configure()

    # -- the configuration

    def configure(self, more: str = "", *, before: str = "") -> None:
        """Write master.cfg: the usual one with these lines at its end."""
        text = CONFIG.format(pb_host=self.pb_host, pb_port=self.pb_port, http_port=self.http_port)
        (self.basedir / "master.cfg").write_text(before + text + more)

    def buildbot(self, *words: str | Path, code: int | None = 0, timeout: float = 60) -> str:
        """A command line to its end: what it said."""
        return self.processes.run([BUILDBOT, *words], code=code, timeout=timeout)

    def reconfig(self, code: int = 0) -> str:
        return self.buildbot("reconfig", self.basedir, code=code)

    # -- processes

    def start(self, command: Sequence[str | Path] = (BUILDBOT,)) -> Process:
        """Start the master and wait until it serves. `command`: what runs the words of a `buildbot` command."""
        self.process = self.processes.start([*command, "start", "--nodaemon", self.basedir], name="master")
        self.process.wait_for_line("BuildMaster is running", timeout=60)
        return self.process

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill(signal.SIGKILL)
        self.process.wait_for_exit()

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill(signal.SIGTERM)
        assert self.process.wait_for_exit(60) == 0

    @property
    def log(self) -> str:
        return (self.basedir / "twistd.log").read_text(errors="replace")

    def slave(
        self,
        name: str = "one",
        password: str = "secret",
        *,
        directory: str = "",
        inside: Sequence[str] = (),
        wait: bool = True,
    ) -> Process:
        """Start a buildslave, and wait until the master has taken it. `inside`: words before its command line."""
        basedir = self.where / (directory or f"slave-{name}")
        where = f"{self.pb_host}:{self.pb_port}"
        words = ["create-slave", "--quiet", "--force", "--maxdelay=2", str(basedir), where, name, password]
        assert buildslave_command(words) == 0
        connections = self.log.count(f"slave {name} is connected")
        process = self.processes.start([*inside, BUILDSLAVE, "start", "--nodaemon", basedir], name=basedir.name)
        if wait:
            wait_until(lambda: self.log.count(f"slave {name} is connected") > connections, 60, f"slave {name}")
        return process

    def send(self, *revisions: str, **keys: Any) -> None:
        """Tell the master of changes, until it has acknowledged each of them."""
        assert self.sending(revisions, **keys).wait_for_exit(60) == 0

    def sending(self, revisions: tuple[str, ...], **keys: Any) -> Process:
        changes = [repr({"who": "ann", "files": ["a.c"], "revision": name} | keys) for name in revisions]
        return self.processes.python("-c", SENDER, self.pb_host, str(self.pb_port), *changes, name="sender")

    # -- what is in the store

    def rows(self, sql: str, *args: Any) -> list[Any]:
        with closing(connect(self.basedir / "state.sqlite", read_only=True)) as connection:
            return connection.execute(sql, args).fetchall()

    def value(self, sql: str, *args: Any) -> Any:
        return self.rows(sql, *args)[0][0]

    def builds(self) -> list[Build]:
        found = self.rows(
            "SELECT r.name, b.number, b.result, b.state_text, s.name, b.attempt FROM builds AS b "
            "JOIN builders AS r ON r.id = b.builder_id JOIN slaves AS s ON s.id = b.slave_id ORDER BY b.id"
        )
        return [Build(name, number, None if r is None else Result(r), *rest) for name, number, r, *rest in found]

    def finished(self, builder: str, number: int, timeout: float = 60) -> Build:
        """Wait for the end of a build."""

        def ended() -> list[Build]:
            return [b for b in self.builds() if (b.builder, b.number) == (builder, number) and b.result is not None]

        wait_until(ended, timeout, f"the end of {builder}/{number}")
        return ended()[0]

    def running(self, builder: str, number: int, timeout: float = 60) -> None:
        """Wait until the command of a build runs at the slave."""
        wait_until(
            lambda: self.rows(
                "SELECT 1 FROM commands AS c JOIN steps AS s ON s.id = c.step_id JOIN builds AS b ON b.id = s.build_id "
                "JOIN builders AS r ON r.id = b.builder_id "
                "WHERE r.name = ? AND b.number = ? AND c.state = 'running' AND c.name = 'shell'",
                builder,
                number,
            ),
            timeout,
            f"a command of {builder}/{number}",
        )

    def idle(self, timeout: float = 60) -> None:
        """Wait until every request is complete."""
        wait_until(
            lambda: not self.value("SELECT count(*) FROM build_requests WHERE complete_at IS NULL"), timeout, "idleness"
        )

    def log_file(self, builder: str, number: int) -> Path:
        """The file of the log of a build with one step."""
        path = self.value(
            "SELECT l.path FROM logs AS l JOIN steps AS s ON s.id = l.step_id JOIN builds AS b ON b.id = s.build_id "
            "JOIN builders AS r ON r.id = b.builder_id WHERE r.name = ? AND b.number = ?",
            builder,
            number,
        )
        return self.basedir / "logs" / str(path)

    def open_rows(self) -> dict[str, int]:
        """How many rows of each kind say that they are not finished, and what the store itself finds wrong."""
        unfinished = {
            "buildsets": "complete_at IS NULL",
            "build_requests": "complete_at IS NULL",
            "builds": "complete_at IS NULL OR result IS NULL",
            "steps": "complete_at IS NULL",
            "commands": "state IN ('ordered', 'running')",
            "logs": "finished_at IS NULL OR size IS NULL",
            "classifications": "retired = 0",
        }
        count = "SELECT count(*) FROM {} WHERE {}"
        counts = {table: self.value(count.format(table, where)) for table, where in unfinished.items()}
        counts["broken references"] = len(self.rows("PRAGMA foreign_key_check"))
        counts["damage"] = int(self.value("PRAGMA integrity_check") != "ok")
        return {name: count for name, count in counts.items() if count}
