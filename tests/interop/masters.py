"""The two masters of the pairings, each with the same master.cfg and with both slaves, and what they have built."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from buildslave.scripts.runner import main as buildslave_command
from tests.integration.a_master import BUILDSLAVE, SENDER
from tests.interop.readings import BuildReading, StepReading
from tests.processes import Process, Processes, free_port, wait_until
from tests.tools import Peer

CONFIG = Path(__file__).parent / "master.cfg"
SLAVE, WORKER = "slave", "worker"
OVER_WEBSOCKET = "--protocol=msgpack_experimental_v7"
BUILD_SECONDS = 400.0
"""4.3's master needs some twenty alone, and much more beside other tests."""


class Sources:
    """What is built: a repository with one revision, and files that the master gives."""

    def __init__(self, where: Path) -> None:
        self.repository = where / "repository"
        self.repository.mkdir()
        (self.repository / ".gitignore").write_text("*.ignored\n")
        (self.repository / "sizes.txt").write_text("one 1\ntwo 22\n")
        (self.repository / "compiled.txt").write_text("a.c:1: warning: one\nfine\nb.c:2: warning: two\n")
        (self.repository / "big.bin").write_bytes(bytes(range(256)) * 1200)
        made = [("init", "-q"), ("add", "."), ("commit", "-q", "-m", "all of it")]
        for words in (*made, ("tag", "v1"), ("tag", "-a", "-m", "2", "v2"), ("branch", "other")):
            subprocess.run(["git", *words], cwd=self.repository, check=True)
        self.revision = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=self.repository, check=True, capture_output=True, text=True
        ).stdout.strip()

    def change(self, branch: str = "main") -> dict[str, Any]:
        return {
            "who": "ann", "author": "ann", "files": ["sizes.txt"], "comments": "all of it", "branch": branch,
            "revision": self.revision, "repository": str(self.repository), "project": "tested",
        }  # fmt: skip


class PairedMaster:
    """A master of either kind, its directory and its slaves."""

    def __init__(self, processes: Processes, where: Path, sources: Sources) -> None:
        self.processes = processes
        self.where = where
        self.sources = sources
        self.basedir = where / "master"
        self.incoming = where / "incoming"
        self.pb_port, self.socket_port, self.http_port = free_port(), free_port(), free_port()

    def furnish(self, workers: Sequence[str], config: str) -> None:
        """The files that an operator writes."""
        self.incoming.mkdir()
        (self.incoming / "given.bin").write_bytes(b"\0\xff" * 50_000)
        (self.basedir / "master.cfg").write_text(config)
        settings = {
            "python": sys.executable, "workers": workers,
            "pb_port": self.pb_port, "socket_port": self.socket_port, "http_port": self.http_port,
            "repository": str(self.sources.repository), "incoming": str(self.incoming),
        }  # fmt: skip
        (self.basedir / "settings.json").write_text(json.dumps(settings))

    def send(self, branch: str = "main") -> None:
        """Tell the master of a change."""
        self.processes.run(
            [sys.executable, "-c", SENDER, "127.0.0.1", str(self.pb_port), repr(self.sources.change(branch))]
        )

    def _port_for(self, options: Sequence[str]) -> int:
        return self.socket_port if OVER_WEBSOCKET in options else self.pb_port

    def our_slave(self, *options: str) -> Process:
        """This repository's buildslave, with these options of `create-slave`."""
        basedir = self.where / "slave"
        words = [
            "create-slave",
            "--quiet",
            "--force",
            "--maxdelay=2",
            *options,
            str(basedir),
            f"127.0.0.1:{self._port_for(options)}",
        ]
        assert buildslave_command([*words, SLAVE, "secret"]) == 0
        return self.processes.start([BUILDSLAVE, "start", "--nodaemon", basedir], name="slave")

    def peers_worker(self, peer: Peer, *options: str) -> Process:
        """Buildbot 4.3's worker, with these options of `create-worker`."""
        basedir = self.where / "worker"
        where = f"127.0.0.1:{self._port_for(options)}"
        self.processes.run([peer.worker, "create-worker", "--quiet", *options, basedir, where, WORKER, "secret"])
        return self.processes.start([peer.worker, "start", "--nodaemon", basedir], name="worker")


class PeersMaster(PairedMaster):
    """Buildbot 4.3's master, read through its REST API."""

    def __init__(
        self, processes: Processes, where: Path, sources: Sources, *, peer: Peer, workers: Sequence[str], config: str
    ) -> None:
        super().__init__(processes, where, sources)
        where.mkdir()
        processes.run([peer.buildbot, "create-master", "--quiet", self.basedir])
        self.furnish(workers, config)
        self.peer = peer
        self.start()

    def start(self) -> None:
        """Start its process, and wait until it serves."""
        before = self.log().count("BuildMaster is running")
        self.process = self.processes.start(
            [self.peer.buildbot, "start", "--nodaemon", self.basedir], name="peer-master"
        )

        def running() -> bool:
            assert self.process.running, self.log()
            return self.log().count("BuildMaster is running") > before

        wait_until(running, 60, "the master")

    def log(self) -> str:
        path = self.basedir / "twistd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def get(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.http_port}/api/v2/{path}?{urllib.parse.urlencode(query)}"
        return self._open(urllib.request.Request(url))

    def stop_build(self, builder: str, number: int) -> None:
        """As a person would."""
        build = self.builds(builder)[number - 1]
        url = f"http://127.0.0.1:{self.http_port}/api/v2/builds/{build['buildid']}"
        order = {"id": 1, "jsonrpc": "2.0", "method": "stop", "params": {"reason": "enough of it"}}
        headers = {"Content-Type": "application/json"}
        self._open(urllib.request.Request(url, json.dumps(order).encode(), headers))

    def _open(self, request: urllib.request.Request) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            return json.load(response)

    def connected(self, name: str) -> bool:
        return any(worker["connected_to"] for worker in self.get("workers", name=name)["workers"])

    def builds(self, builder: str) -> list[dict[str, Any]]:
        found = self.get("builders", name=builder)["builders"]
        builds = self.get(f"builders/{found[0]['builderid']}/builds")["builds"] if found else []
        return sorted(builds, key=lambda build: int(build["number"]))

    def wait_for_build(self, builder: str, number: int = 1) -> None:
        def done() -> bool:
            builds = self.builds(builder)
            return len(builds) >= number and builds[number - 1]["complete"]

        wait_until(done, BUILD_SECONDS, f"build {number} of {builder}")

    def read(self, builder: str, number: int = 1) -> BuildReading:
        build = self.builds(builder)[number - 1]
        steps = self.get(f"builds/{build['buildid']}/steps")["steps"]
        properties = self.get(f"builds/{build['buildid']}/properties")["properties"][0]
        return BuildReading(
            result=build["results"],
            text=build["state_string"],
            steps=[self._step(step) for step in sorted(steps, key=lambda step: int(step["number"]))],
            properties={name: (value, source) for name, (value, source) in properties.items()},
        )

    def _step(self, step: Mapping[str, Any]) -> StepReading:
        logs = self.get(f"steps/{step['stepid']}/logs")["logs"]
        return StepReading(
            name=step["name"],
            result=step["results"],
            text=step["state_string"],
            hidden=step["hidden"],
            urls={url["name"]: url["url"] for url in step["urls"]},
            logs={log["name"]: self._log(log) for log in logs},
        )

    def _log(self, log: Mapping[str, Any]) -> dict[str, str]:
        """The text of each stream; the lines of a log with several begin with the letter of theirs."""
        chunk = self.get(f"logs/{log['logid']}/contents")["logchunks"]
        content = chunk[0]["content"] if isinstance(chunk, list) else chunk["content"]
        if log["type"] != "s":
            return {"stdout": content} if content else {}
        streams: dict[str, str] = {}
        names = {"o": "stdout", "e": "stderr", "h": "header"}
        for line in content.split("\n")[:-1]:
            streams[names[line[0]]] = streams.get(names[line[0]], "") + line[1:] + "\n"
        return streams
