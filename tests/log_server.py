"""A web status in a process of its own, with one running build whose log grows on command; for tests that need real
sockets or a real browser. `python -m tests.log_server DIRECTORY` prints its two ports; the second takes commands.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import endpoints, reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver

from buildbot.model import BuildID, Result, StepID
from buildbot.store import steps
from buildbot.store.logfiles import Channel
from tests.processes import Process, Processes
from tests.tools import ROOT
from tests.unit.web.served import Served

PATH = "/builders/a%2Fb%20%3Cx%3E/builds/1/steps/compile/logs/stdio"
BUILD_PATH = PATH.partition("/steps")[0]


class Commands(LineReceiver):
    """One JSON line in: [name, arguments...]; one JSON line out."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 24

    def __init__(self, server: Server) -> None:
        self._server = server

    def lineReceived(self, line: bytes) -> None:
        name, *args = json.loads(line)
        self.sendLine(json.dumps(getattr(self._server, name)(*args)).encode())


class Server:
    def __init__(self, basedir: Path, port: int) -> None:
        self.served = Served(basedir, reactor=reactor, port=f"tcp:{port}:interface=127.0.0.1")
        self.served.now = time.time()
        self.build = self.served.build(revision="c0ffee" * 6)
        self.step = self.served.step(self.build)
        self.log, self.writer = self.served.log(self.build, self.step)

    def append(self, text: str, channel: str = "STDOUT", times: int = 1) -> int:
        for _ in range(times):
            self.writer.append(text.encode("utf-8", "surrogateescape"), Channel[channel], 1, time.time())
        return self.writer.size

    def finish(self) -> None:
        self.served.finish_log(self.log, self.writer)
        self.served.end_step(self.step)
        self.served.finish(self.build)

    def next_step(self, name: str) -> None:
        """A step begins; told as progress, as a running build does."""
        self.served.store.transact(steps.start, self.build.id, 1, name, "doing " + name, time.time())
        self.served.control.progress.tell(BuildID(self.build.id))

    def fail_step(self) -> None:
        self.served.end_step(StepID(self.step), Result.FAILURE)
        self.served.control.progress.tell(BuildID(self.build.id))

    def decorate(self) -> None:
        """The build gets one of everything that its page can show."""
        served = self.served
        served.command(self.step, "mkdir", {"dir": "build"}, {"rc": 0})
        args = {
            "command": ["make", "all", "CFLAGS=-O2 -g"],
            "workdir": "build",
            "timeout": 1200,
            "usePTY": False,
            "logfiles": {"test.log": "out/test.log"},
            "env": {"PATH": ["/usr/local/bin", "/usr/bin"], "LANG": "C.UTF-8"},
        }
        served.command(self.step, "shell", args, {"rc": 2})
        served.put_property(self.build, "got_revision", "deadbeef" * 5, "Git")
        served.put_property(self.build, "options", {"jobs": 4, "flags": ["-O2", "-g"]}, "Force Build Form")
        served.store.transact(steps.put_url, self.step, "coverage", "https://example.org/coverage")
        self.fail_step()
        clean = served.step(self.build, 1, "clean up")
        served.end_step(clean, Result.SKIPPED)
        served.end_step(served.step(self.build, 2, "quiet"), hidden=True)
        served.step(self.build, 3, "upload the packages")

    def stats(self) -> dict[str, int]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "rss": pages * os.sysconf("SC_PAGE_SIZE"),
            "files": len(os.listdir("/proc/self/fd")),
            "streams": len(self.served.site.streams),
            "cpu_ms": round(time.process_time() * 1000),
        }

    def drop_streams(self) -> None:
        self.served.site.streams.close()


async def serve(basedir: Path, port: int) -> None:
    server = Server(basedir, port)
    await server.served.site.start()
    commands = await endpoints.serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(
        Factory.forProtocol(lambda: Commands(server))
    )
    print(f"ready {server.served.site.port_number} {commands.getHost().port}", flush=True)


class LogServer:
    """The test's side of it."""

    def __init__(self, processes: Processes, basedir: Path, port: int = 0) -> None:
        self.process: Process = processes.start(
            [sys.executable, "-m", "tests.log_server", str(basedir), str(port)], name="log server", cwd=ROOT
        )
        ready = self.process.wait_for_line(r"^ready (\d+) (\d+)$")
        self.port = int(ready[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._socket = socket.create_connection(("127.0.0.1", int(ready[2])), timeout=60)
        self._file = self._socket.makefile("rwb")

    def do(self, name: str, *args: Any) -> Any:
        self._file.write(json.dumps([name, *args]).encode() + b"\n")
        self._file.flush()
        return json.loads(self._file.readline())

    def close(self) -> None:
        self._file.close()
        self._socket.close()


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    _serving = Deferred.fromCoroutine(serve(Path(sys.argv[1]), int(sys.argv[2])))
    _failing = _serving.addErrback(lambda failure: (failure.printTraceback(), os._exit(1)))
    reactor.run()
