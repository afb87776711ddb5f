"""Changes sent by our own `sendchange` and by that of Buildbot 4.3 to a PBChangeSource in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from buildbot.model import Change
from buildbot.store import changes
from buildbot.store.store import Store
from tests.processes import Process, Processes
from tests.tools import Peer

# A PBChangeSource with store and port, as the master wires it. Prints the port that it got.
SERVER = """
import sys
from pathlib import Path
from twisted.internet import defer, reactor
from twisted.internet.defer import DeferredSemaphore, ensureDeferred
from twisted.python import log
from buildbot.changes.base import SourceContext
from buildbot.changes.pb import PBChangeSource
from buildbot.secrets.lookup import Secrets
from buildbot.slaves.pbport import PBPorts
from buildbot.store import changes
from buildbot.store.store import Store

log.startLogging(sys.stderr, setStdout=False)
store = Store.open(Path(sys.argv[1]))
ports = PBPorts(reactor, reactor)
endpoint = "tcp:0:interface=127.0.0.1"
context = SourceContext(
    store=store, reactor=reactor, now=reactor.seconds, basedir=Path("."), pb=ports, pb_ports=(endpoint,),
    add_change=lambda change: store.transact_durable(changes.add, change, reactor.seconds()),
    git_slots=DeferredSemaphore(1), secrets=Secrets(reactor),
)

async def start():
    await PBChangeSource(user="change", passwd="changepw", prefix="src/").start(context)
    await ports.ready()
    print("port", ports.addresses(endpoint)[0].port, flush=True)

reactor.callWhenRunning(lambda: ensureDeferred(start()))
reactor.run()
"""

# What the command line does with its options.
CLIENT = """
import json, sys
from twisted.internet import reactor
from buildbot.clients.sendchange import run
sys.exit(run(json.loads(sys.argv[1]), reactor))
"""


class Server:
    def __init__(self, process: Process, port: int, path: Path) -> None:
        self.process, self.port, self.path = process, port, path

    @property
    def master(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stored(self) -> list[tuple[Change, list[str], dict[str, Any]]]:
        """Every change, oldest first, with files and properties, after a SIGKILL: what is there was durable."""
        self.process.kill(signal.SIGKILL)
        self.process.wait_for_exit()
        with closing(Store.open(self.path)) as store:
            return [
                (change, changes.files(store, change.id), _properties(store, change))
                for change in reversed(changes.newest(store))
            ]


def _properties(store: Store, change: Change) -> dict[str, Any]:
    pairs = store.all(
        lambda name, value: (name, json.loads(value)),
        "SELECT name, value FROM change_properties WHERE change_id = ?",
        change.id,
    )
    return dict(pairs)


@pytest.fixture
def server(processes: Processes, tmp_path: Path) -> Server:
    path = tmp_path / "state.sqlite"
    process = processes.python("-c", SERVER, path, name="server")
    return Server(process, int(process.wait_for_line(r"^port (\d+)$")[1]), path)


def send(processes: Processes, code: int = 0, **options: Any) -> str:
    arguments = {"auth": "change:changepw", "who": "ann", "timeout": 20} | options
    return processes.run([sys.executable, "-c", CLIENT, json.dumps(arguments)], name="sendchange", code=code)


class TestOurClient:
    def test_every_option_arrives_and_is_durable(self, server: Server, processes: Processes, tmp_path: Path) -> None:
        (tmp_path / "rev").write_text("context line 1\nline 2\n")
        (tmp_path / "log").write_bytes("Zoë: wichtig\n".encode("latin-1"))
        output = send(
            processes, master=server.master, who="Zoë <zoe@example.org>", repository="git://r", vc="git", project="p",
            branch="b", category="c", codebase="cb", revision_file=str(tmp_path / "rev"), property=["n:v:w", "m:1"],
            logfile=str(tmp_path / "log"), encoding="latin-1", when="1234.5", revlink="http://l/",
            files=["src/a b.c", "doc/x", "src/ü"],
        )  # fmt: skip
        assert "change sent successfully" in output
        ((change, files, properties),) = server.stored()
        assert change._replace(id=0, arrived_at=0) == Change(  # type: ignore[arg-type]
            id=0, arrived_at=0, committed_at=1234.5, author="Zoë <zoe@example.org>", committer=None,  # type: ignore[arg-type]
            comments="Zoë: wichtig\n", repository="git://r", project="p", codebase="cb", branch="b",
            revision="context line 1\nline 2\n", category="c", revlink="http://l/", source="PBChangeSource:src/:change",
        )  # fmt: skip
        assert files == ["a b.c", "ü"]
        assert properties == {"n": "v:w", "m": "1"}

    def test_the_command_line(self, server: Server, processes: Processes, tmp_path: Path) -> None:
        command = [
            Path(sys.executable).with_name("buildbot"),
            "sendchange",
            f"--master={server.master}",
            "--who=ann",
            "-p",
            "a:b",
        ]
        output = processes.run([*command, "--comments", "hello", "src/x"], name="buildbot", cwd=tmp_path)
        assert "change sent successfully" in output
        ((change, files, properties),) = server.stored()
        assert (change.author, change.comments, files, properties) == ("ann", "hello", ["x"], {"a": "b"})

    def test_a_wrong_password_says_what_to_compare(self, server: Server, processes: Processes) -> None:
        output = send(processes, code=1, master=server.master, auth="change:wrong")
        assert "refused the login of 'change'" in output
        assert server.stored() == []

    def test_a_refused_change_says_why(self, server: Server, processes: Processes) -> None:
        output = send(processes, code=1, master=server.master, files=["f"] * 10_001)
        assert "at most 10000" in output

    def test_comments_too_long_for_the_wire_are_refused_here(
        self, server: Server, processes: Processes, tmp_path: Path
    ) -> None:
        (tmp_path / "log").write_text("x" * 700_000)
        assert "too long to be sent" in send(processes, code=1, master=server.master, logfile=str(tmp_path / "log"))

    @pytest.mark.parametrize(
        ("options", "word"),
        [
            ({"master": None}, "--master"),
            ({"master": "localhost"}, "HOST:PORT"),
            ({"master": "h:0"}, "HOST:PORT"),
            ({"master": "h:1", "who": None}, "--who"),
            ({"master": "h:1", "vc": "rcs"}, "--vc"),
            ({"master": "h:1", "when": "soon"}, "--when"),
            ({"master": "h:1", "property": ["x"]}, "--property"),
            ({"master": "h:1", "logfile": "/nonexistent"}, "--logfile"),
            ({"master": "h:1", "revision_file": "/nonexistent"}, "--revision_file"),
            ({"master": "h:1", "encoding": "klingon", "logfile": "/dev/null"}, "--encoding"),
        ],
    )
    def test_wrong_options_end_with_2(self, processes: Processes, options: dict[str, Any], word: str) -> None:
        assert word in send(processes, code=2, **options)

    def test_nobody_listens(self, processes: Processes) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            output = send(processes, code=1, master=f"127.0.0.1:{taken.getsockname()[1]}")
        assert "cannot connect" in output

    def test_a_port_that_says_nothing_is_given_up(self, processes: Processes) -> None:
        with listening() as (listener, port):
            output = send(processes, code=1, master=f"127.0.0.1:{port}", timeout=1)
            assert "did not answer within 1 s" in output
            assert listener

    def test_a_port_that_hangs_up_is_given_up_at_once(self, processes: Processes) -> None:
        with listening() as (listener, port):
            sender = processes.start(
                [sys.executable, "-c", CLIENT, json.dumps({"master": f"127.0.0.1:{port}", "who": "a", "auth": "u:p"})]
            )
            listener.accept()[0].close()
            assert sender.wait_for_exit(20) == 1
            assert "closed the connection before the login" in sender.output()


@contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener, listener.getsockname()[1]


class TestBuildbot43:
    """The real command of Buildbot 4.3.0."""

    def send(self, processes: Processes, peer: Peer, server: Server, *words: str, code: int = 0) -> str:
        return processes.run([peer.buildbot, "sendchange", "-m", server.master, *words], name="peer", code=code)

    def test_all_its_options_arrive(self, server: Server, processes: Processes, peer: Peer) -> None:
        output = self.send(
            processes, peer, server, "-W", "Zoë <zoe@example.org>", "-R", "git://r", "-s", "git", "-P", "p", "-b", "b",
            "-C", "c", "--codebase", "cb", "-r", "abc", "-p", "n:v", "-c", "what\n<b>", "-w", "99", "-l", "http://l/",
            "src/a", "other/b", "src/ü",
        )  # fmt: skip
        assert "change sent successfully" in output
        ((change, files, properties),) = server.stored()
        assert change.author == "Zoë <zoe@example.org>"
        assert (change.repository, change.project, change.branch, change.category) == ("git://r", "p", "b", "c")
        assert (change.codebase, change.revision, change.comments) == ("cb", "abc", "what\n<b>")
        assert (change.committed_at, change.revlink) == (99.0, "http://l/")
        assert (files, properties) == (["a", "ü"], {"n": "v"})

    def test_the_fewest_options(self, server: Server, processes: Processes, peer: Peer) -> None:
        self.send(processes, peer, server, "-W", "ann")
        ((change, files, properties),) = server.stored()
        assert (change.author, change.branch, change.revision, change.committed_at) == ("ann", None, None, None)
        assert (files, properties) == ([], {})

    def test_it_says_so_when_the_login_is_refused(self, server: Server, processes: Processes, peer: Peer) -> None:
        output = self.send(processes, peer, server, "-W", "ann", "-a", "change:wrong", code=1)
        assert "change not sent" in output
        assert "the user name or the password is wrong" in output
        assert server.stored() == []
        assert "the password is wrong; compare it" in server.process.output()
        assert "Traceback" not in server.process.output()
