"""A web status on a real store with one build in it, asked in memory or through a real port."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet import task
from twisted.internet.protocol import Protocol
from twisted.web.http_headers import Headers

from buildbot.config.master import Config
from buildbot.config.web import Web
from buildbot.model import (
    Build,
    BuildID,
    BuildRequestID,
    BuildsetID,
    LogID,
    NewChange,
    Property,
    Result,
    StepID,
)
from buildbot.status.web.site import WebSite
from buildbot.store import builders, builds, buildsets, changes, commands, logs, properties, slaves, sourcestamps, steps
from buildbot.store.logfiles import Channel, LogFiles, LogWriter, log_path
from buildbot.store.store import Store
from tests.stores import new_store

BUILDER = "a/b <x>"
START = 1_700_000_000.0


class StepProgress:
    """Tells who subscribed of builds that went on."""

    def __init__(self) -> None:
        self.calls: list[Callable[[BuildID], object]] = []

    def subscribe(self, call: Callable[[BuildID], object]) -> Callable[[], None]:
        self.calls.append(call)
        return lambda: self.calls.remove(call)

    def tell(self, build: BuildID) -> None:
        for call in list(self.calls):
            call(build)


class NoStop:
    """No clean shutdown is under way; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.under_way: Any = None

    def begin(self, who: str, why: str) -> bool:
        self.asked.append(("begin", who, why))
        return True

    def call_off(self, who: str, why: str) -> bool:
        self.asked.append(("call off", who, why))
        return True


class Asking:
    """A control that does nothing."""

    def __init__(self) -> None:
        self.progress = StepProgress()
        self.clean_stop = NoStop()

    def stop_build(self, build_id: BuildID, who: str, why: str) -> bool:
        return True

    def rebuild(self, build_id: BuildID, who: str, why: str) -> BuildsetID:
        return BuildsetID(1)

    def cancel_request(self, request_id: BuildRequestID, who: str, why: str) -> bool:
        return True


def a_config(port: str = "", **other: Any) -> Config:
    return Config(
        title="Test",
        title_url="",
        buildbot_url="http://localhost/",
        builders=(),
        slaves=(),
        schedulers=(),
        change_sources=(),
        status=(),
        www=Web(port=port),
        pb_ports=(),
        properties={},
        validation={},
        other=other,
    )


class Served:
    """The site and what it shows. `clock` is its reactor unless a real one is given."""

    def __init__(self, basedir: Path | None = None, reactor: Any = None, port: str = "", **other: Any) -> None:
        self._temporary = None
        if basedir is None:
            self._temporary = tempfile.TemporaryDirectory()
            basedir = Path(self._temporary.name)
        self.clock = task.Clock()
        self.store = new_store(basedir / "state.sqlite")
        self.log_files = LogFiles(basedir / "logs")
        self.control = Asking()
        self.config = a_config(port, **other)
        self.now = START + 100.0
        self.site = WebSite(
            self.store, self.log_files, lambda: self.config, self.control, reactor or self.clock, lambda: self.now
        )
        ids = builders.sync(self.store, [(BUILDER, "", ()), ("other", "", ())], START)
        self.builder, self.other = ids[BUILDER], ids["other"]
        self.slave = slaves.sync(self.store, ["bot"], START)["bot"]

    def close(self) -> None:
        self.site.streams.close()
        self.store.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    # -- things to show

    def build(self, name: str = "", **stamp: Any) -> Build:
        """A running build, of a request made of one change."""
        builder = self.other if name == "other" else self.builder
        return self.store.transact(self._build, builder, stamp)

    def _build(self, store: Store, builder: Any, stamp: dict[str, Any]) -> Build:
        change, _ = changes.add(
            store,
            NewChange(
                author="Ann <ann@example.org>", comments="mend it\nlong", revision=stamp.get("revision"), files=("a.c",)
            ),
            START,
        )
        stamp_id = sourcestamps.add(store, now=START, changes=[change], **stamp)
        _, requests = buildsets.submit(
            store, reason="because <b>", scheduler="all", builders=[builder], source_stamps=[stamp_id], now=START
        )
        request = requests[0]
        return builds.start(
            store, builder=builder, slave=self.slave, claimed=[request], reason="because <b>", now=START + 10
        )

    def finish(self, build: Build, result: Result = Result.SUCCESS, now: float = START + 70) -> None:
        self.store.transact(builds.finish, build.id, result, "build " + result.css_class, now)

    def step(self, build: Build, number: int = 0, name: str = "compile") -> StepID:
        return self.store.transact(steps.start, build.id, number, name, f"doing {name}", START + 11 + number)

    def end_step(self, step: StepID, result: Result = Result.SUCCESS, hidden: bool = False) -> None:
        self.store.transact(steps.finish, step, result, "ended", hidden, START + 20)

    def log(self, build: Build, step: StepID, name: str = "stdio", kind: str = "stream") -> tuple[LogID, LogWriter]:
        path = log_path(BUILDER, build.number, str(step), name)
        id = self.store.transact(logs.add, step=step, name=name, slug=name, kind=kind, path=path, now=START + 12)
        return id, self.log_files.write(path)

    def finish_log(self, id: LogID, writer: LogWriter) -> None:
        self.store.transact(logs.finish, id, writer.size, writer.lines, START + 19)
        writer.close()

    def finished_log(self, data: bytes, channel: Channel = Channel.STDOUT, **how: Any) -> str:
        """The address of a log with these bytes, of a build and step made for it."""
        build = self.build()
        step = self.step(build)
        id, writer = self.log(build, step, **how)
        writer.append(data, channel, 1, START + 13)
        self.finish_log(id, writer)
        return f"{build_path(build)}/steps/compile/logs/{how.get('name', 'stdio')}"

    def put_property(self, build: Build, name: str, value: Any, source: str = "test") -> None:
        self.store.transact(properties.put, "build", build.id, [Property(name, value, source)])

    def command(self, step: StepID, name: str, args: dict[str, Any], outcome: dict[str, Any] | None = None) -> None:
        ordinal = len(commands.of_step(self.store, step))
        id = self.store.transact(
            commands.order, step=step, ordinal=ordinal, name=name, args=args, incarnation=None, now=START + 12
        )
        if outcome is not None:
            self.store.transact(commands.finish, id, outcome, START + 14)

    # -- asking in memory

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """The whole answer; of a stream, what there is of it so far (`answer.more()`)."""
        agent = RequestTraversalAgent(self.site.resource)
        given = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
        requested = agent.request(method.encode(), f"http://localhost{path}".encode(), given)
        agent.flush()
        self.clock.advance(0)
        agent.flush()
        response = requested.result
        return Answer(agent, response, self.clock)


class _Collector(Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.ended = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = True


class Answer:
    """An answer whose body is read as it comes."""

    def __init__(self, agent: RequestTraversalAgent, response: Any, clock: task.Clock) -> None:
        self._agent = agent
        self._clock = clock
        self._collector = _Collector()
        self.status = response.code
        self.headers = response.headers
        self.length = response.length  # Twisted keeps Content-Length apart
        response.deliverBody(self._collector)

    def header(self, name: str) -> str | None:
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None

    @property
    def body(self) -> bytes:
        """All of it, of an answer that ends by itself."""
        for _ in range(2000):
            self._agent.flush()
            if self._collector.ended:
                return self._collector.data
            self._clock.advance(0)
        raise AssertionError("the answer does not end")

    @property
    def text(self) -> str:
        return self.body.decode()

    def more(self, seconds: float = 0.0) -> str:
        """What has come since the last time, after so much time has passed."""
        self._agent.flush()
        self._clock.pump([seconds / 10] * 10)
        self._agent.flush()
        data, self._collector.data = self._collector.data, b""
        return data.decode()

    def events(self, seconds: float = 0.0) -> list[tuple[str, Any, str | None]]:
        """The events in it: (event, data, id)."""
        found = []
        for block in self.more(seconds).split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":")
            if "event" in fields:
                found.append((fields["event"], json.loads(fields["data"]), fields.get("id")))
        return found

    @property
    def ended(self) -> bool:
        self._agent.flush()
        return self._collector.ended

    def leave(self) -> None:
        """The client goes away."""
        transport: Any = self._collector.transport
        transport.loseConnection()
        self._agent.flush()


def build_path(build: Build, name: str = BUILDER) -> str:
    return f"/builders/{'other' if name == 'other' else 'a%2Fb%20%3Cx%3E'}/builds/{build.number}"
