"""PBListener: what happens in the master, told live to clients such as `buildbot statuslog`.

The wire is that of Buildbot's status client. After its login a client calls

    subscribe(mode, interval, target)     mode: "builders", "builds", "steps", "logs" or "full"; interval is not used
    unsubscribe(), getBuilderNames(), getBuilder(name)

and its `target` is called back, with names as str, codes of results as int, and references whose methods
(getName, getNumber, getReason, getText, getResults, ...) tell more:

    builderAdded(name, builder)                     once for each builder, right after the subscription
    builderChangedState(name, state, eta)           state: "idle", "building" or "offline"; eta is None
    buildStarted(name, build)                       from mode "builds" on
    buildFinished(name, build, result)
    stepStarted(name, build, step_name, step)       from mode "steps" on
    stepFinished(name, build, step_name, step, result)

Nothing is kept for a client that is away. One that does not keep up is disconnected.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.spread import pb

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.config.ports import BadPort, endpoint_string
from buildbot.model import BuilderID, BuildID, Event, EventKind, Result, StepID
from buildbot.slaves.bridge import Served, WrongArguments
from buildbot.status.build_status import BuilderStatus, BuildStatus, MasterStatus, StepStatus, status_of
from buildbot.status.receiver import ReceiverContext
from buildbot.store import builders, builds, steps
from buildbot.store.store import Store

MODES = ("builders", "builds", "steps", "logs", "full")
MOST_UNANSWERED = 500


@configurable
class PBListener:
    """Lets status clients log in and tells them what happens.

    port: a number or an endpoint string; it may be the slaves'. user, passwd: the login of all clients; passwd may be
    a Secret.
    """

    def __init__(self, port: Any, user: str = "statusClient", passwd: Any = "clientpw") -> None:
        self.name = type(self).__name__
        self.port = ""
        self.user = user
        self.passwd = passwd
        try:
            self.port = endpoint_string(port)
        except BadPort as problem:
            error(f"PBListener: {problem}")
        self._stop: list[Callable[[], object]] = []

    async def start(self, context: ReceiverContext) -> None:
        feed = Feed(context)
        passwd = await context.secrets.text(self.passwd, "passwd of PBListener")
        registration = context.pb.register(self.port, self.user, passwd, partial(StatusClient, feed))
        self._stop = [registration.unregister, feed.stop]

    async def stop(self) -> None:
        for call in self._stop:
            call()
        self._stop = []

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._facts() == other._facts()

    def _facts(self) -> tuple[Any, ...]:
        return self.port, self.user, self.passwd

    def __hash__(self) -> int:
        return hash(self.port)

    def __repr__(self) -> str:
        return f"PBListener({self.port!r})"  # never the password


class Feed:
    """Turns events and progress into calls, for as many clients as there are. Does nothing while there are none."""

    def __init__(self, context: ReceiverContext) -> None:
        self.store: Store = context.store
        self._context = context
        self._clients: list[StatusClient] = []
        self._seen: dict[BuildID, dict[StepID, bool]] = {}  # of each running build: its steps, and which have ended
        self.store.event_listeners.append(self._on_event)
        self._forget_progress = context.progress.subscribe(self._on_progress) if context.progress else None

    def stop(self) -> None:
        if self._on_event in self.store.event_listeners:
            self.store.event_listeners.remove(self._on_event)
        if self._forget_progress is not None:
            self._forget_progress()
        self._clients.clear()

    def status(self) -> MasterStatus:
        return status_of(self.store, self._context.log_files, self._context.config())

    def join(self, client: StatusClient) -> None:
        if not self._clients:
            self._catch_up()
        self._clients.append(client)

    def leave(self, client: StatusClient) -> None:
        if client in self._clients:
            self._clients.remove(client)
        if not self._clients:
            self._seen.clear()

    def _catch_up(self) -> None:
        """What runs when the first client comes is no news."""
        for build in builds.running(self.store):
            rows = steps.of_build(self.store, build.id)
            self._seen[build.id] = {row.id: row.complete_at is not None for row in rows}

    def state_of(self, builder: BuilderID) -> str:
        running = any(build.builder_id == builder for build in builds.running(self.store))
        return "building" if running else "idle"

    def _on_event(self, event: Event) -> None:
        if not self._clients or event.kind not in (EventKind.BUILD_STARTED, EventKind.BUILD_FINISHED):
            return
        row = None if event.subject_id is None else builds.get(self.store, BuildID(event.subject_id))
        if row is None:
            return
        builder = builders.get(self.store, row.builder_id)
        name = "?" if builder is None else builder.name
        build = RemoteBuild(BuildStatus(self.status(), row))
        if event.kind is EventKind.BUILD_STARTED:
            self._tell("builders", "builderChangedState", name, "building", None)
            self._tell("builds", "buildStarted", name, build)
            self._seen.setdefault(row.id, {})
        else:
            self._on_progress(row.id)
            self._seen.pop(row.id, None)
            self._tell("builds", "buildFinished", name, build, int(row.result or Result.SUCCESS))
            self._tell("builders", "builderChangedState", name, self.state_of(row.builder_id), None)

    def _on_progress(self, id: BuildID) -> None:
        seen = self._seen.get(id)
        row = builds.get(self.store, id) if self._clients and seen is not None else None
        if row is None or seen is None:
            return
        build = BuildStatus(self.status(), row)
        name = build.getBuilder().getName()
        for step in steps.of_build(self.store, id):
            about = (name, RemoteBuild(build), step.name, RemoteStep(StepStatus(self.status(), build, step)))
            if step.id not in seen and step.started_at is not None:
                seen[step.id] = False
                self._tell("steps", "stepStarted", *about)
            if step.complete_at is not None and seen.get(step.id) is False:
                seen[step.id] = True
                self._tell("steps", "stepFinished", *about, int(step.result or Result.SUCCESS))

    def _tell(self, mode: str, message: str, *arguments: Any) -> None:
        for client in list(self._clients):
            if MODES.index(client.mode) >= MODES.index(mode):
                client.tell(message, *arguments)


class StatusClient:
    """One logged-in status client."""

    _log = Logger()

    def __init__(self, feed: Feed, mind: pb.RemoteReference | None, broker: Any) -> None:
        self.mode = "builders"
        self._feed = feed
        self._broker = broker
        self._target: Any = None
        self._unanswered = 0

    def attached(self, mind: pb.RemoteReference | None) -> None:
        self._log.info("a status client is here")

    def detached(self) -> None:
        self._feed.leave(self)

    def perspective_subscribe(self, mode: Any, interval: Any = None, target: Any = None) -> None:
        if mode not in MODES:
            raise WrongArguments(f"subscribe: the mode is one of {', '.join(MODES)}")
        if not isinstance(target, pb.RemoteReference):
            raise WrongArguments("subscribe: there is no target to call")
        self._feed.leave(self)
        self.mode, self._target = mode, target
        self._feed.join(self)
        status = self._feed.status()
        for row in builders.present(self._feed.store):
            self.tell("builderAdded", row.name, RemoteBuilder(BuilderStatus(status, row.id)))
            self.tell("builderChangedState", row.name, self._feed.state_of(row.id), None)

    def perspective_unsubscribe(self) -> None:
        self._feed.leave(self)

    def perspective_getBuilderNames(self) -> list[str]:
        return self._feed.status().getBuilderNames()

    def perspective_getBuilder(self, name: Any) -> RemoteBuilder:
        try:
            return RemoteBuilder(self._feed.status().getBuilder(str(name)))
        except KeyError:
            raise WrongArguments(f"there is no builder {name!r}") from None

    def tell(self, message: str, *arguments: Any) -> None:
        """Call the client; one that does not answer any more is let go."""
        if self._unanswered >= MOST_UNANSWERED:
            self._log.warn("a status client does not keep up and is disconnected")
            self._feed.leave(self)
            self._broker.transport.abortConnection()
            return
        self._unanswered += 1
        try:
            self._target.callRemote(message, *arguments).addBoth(self._answered)
        except pb.DeadReferenceError:
            self._feed.leave(self)

    def _answered(self, answer: object) -> None:
        self._unanswered -= 1
        if isinstance(answer, Failure):
            self._feed.leave(self)


class RemoteBuilder(Served):
    def __init__(self, builder: BuilderStatus) -> None:
        self._builder = builder

    def remote_getName(self) -> str:
        return self._builder.getName()

    def remote_getCategory(self) -> str | None:
        return self._builder.getCategory()

    def remote_getBuild(self, number: int) -> RemoteBuild | None:
        build = self._builder.getBuild(int(number))
        return None if build is None else RemoteBuild(build)

    def remote_getLastFinishedBuild(self) -> RemoteBuild | None:
        number = -1
        while (build := self._builder.getBuild(number)) is not None and number > -10:
            if build.isFinished():
                return RemoteBuild(build)
            number -= 1
        return None


class RemoteBuild(Served):
    def __init__(self, build: BuildStatus) -> None:
        self._build = build

    def remote_getBuilderName(self) -> str:
        return self._build.getBuilder().getName()

    def remote_getNumber(self) -> int:
        return self._build.getNumber()

    def remote_getReason(self) -> str:
        return self._build.getReason()

    def remote_getResponsibleUsers(self) -> list[str]:
        return self._build.getResponsibleUsers()

    def remote_isFinished(self) -> bool:
        return self._build.isFinished()

    def remote_getTimes(self) -> tuple[float, float | None]:
        return self._build.getTimes()

    def remote_getText(self) -> list[str]:
        return self._build.getText()

    def remote_getResults(self) -> int | None:
        return self._build.getResults()

    def remote_getSteps(self) -> list[RemoteStep]:
        return [RemoteStep(step) for step in self._build.getSteps()]


class RemoteStep(Served):
    def __init__(self, step: StepStatus) -> None:
        self._step = step

    def remote_getName(self) -> str:
        return self._step.getName()

    def remote_getText(self) -> list[str]:
        return self._step.getText()

    def remote_getTimes(self) -> tuple[float | None, float | None]:
        return self._step.getTimes()

    def remote_getResults(self) -> int | None:
        return self._step.getResults()[0]
