"""What `buildbot try --connect=pb` speaks with: Perspective Broker, as Buildbot 0.7 to 4.x have it.

After its login a client calls

    try(branch, revision, patch, repository, project, builder names, who, comment, properties)  -> buildset
    try(branch, revision, patch, builder names, properties)     as 0.7 does; in both, `patch` is (level, diff) or None
    getAvailableBuilderNames()
    getBuildset(id)     ours: takes up again after the connection or the master was away

    buildset    getBuildRequests()      -> [(builder name, request)]
                getID(), getReason(), isFinished(), getResults()
    request     subscribe(observer)     -> observer.newbuild(build, builder name), once: when there is a build, or when
                                           there will be none any more
    build       subscribe(observer, interval)   -> observer.stepStarted(builder name, build, step name, None),
                                           observer.stepFinished(builder name, build, step name, None, result)
                waitUntilFinished()     -> the build, when its request is complete: a build that is tried again is not
                getResults(), getText(), getNumber(), getBuilderName()

`subscribe` has its `unsubscribe(observer)`. The job is stored durably when `try` answers. A diff too long for one
string of Perspective Broker may come as a list of pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.spread import pb

from buildbot.model import Build, BuildID, BuildRequestID, BuildsetID, Event, EventKind, Result, StepID
from buildbot.process.outside import BadInput
from buildbot.process.progress import Progress
from buildbot.schedulers.base import why_paused
from buildbot.schedulers.tryjob import TryJob, job_from
from buildbot.schedulers.trysched import Try_Userpass
from buildbot.store import Store, builders, builds, buildsets, requests, steps

_log = Logger()

_NEWS = (EventKind.BUILD_STARTED, EventKind.BUILD_FINISHED, EventKind.BUILDSET_COMPLETE, EventKind.REQUEST_CANCELLED)


class TryRefused(pb.Error):
    """The job was not taken; the text says why."""


class Registered(Protocol):
    """A user who can log in on a port."""

    def unregister(self) -> None: ...


class Ports(Protocol):
    """The Perspective Broker ports of the master."""

    def register(
        self, endpoint: str, username: str, password: str, make_avatar: Callable[[Any, Any], Any]
    ) -> Registered: ...


class _Login(NamedTuple):
    password: str
    scheduler: str
    registered: Registered


class TryLogins:
    """Who can log in to send jobs. `scheduler` gives the one that has a name in the configuration in force."""

    def __init__(
        self,
        *,
        ports: Ports,
        store: Store,
        progress: Progress,
        now: Callable[[], float],
        scheduler: Callable[[str], Any],
    ) -> None:
        self.store = store
        self.progress = progress
        self.now = now
        self._ports = ports
        self._scheduler = scheduler
        self._logins: dict[tuple[str, str], _Login] = {}

    def sync(self, schedulers: Iterable[Any], pb_ports: Sequence[str]) -> None:
        """Let the users of these schedulers log in, and nobody else. Who stays the same stays connected."""
        wanted = {
            (endpoint, user): (password, scheduler.name)
            for scheduler in schedulers
            if isinstance(scheduler, Try_Userpass)
            for endpoint in (pb_ports if scheduler.port is None else (scheduler.port,))
            for user, password in scheduler.userpass
        }
        for key, login in list(self._logins.items()):
            if wanted.get(key) != (login.password, login.scheduler):
                del self._logins[key]
                login.registered.unregister()
        for key, (password, scheduler_name) in wanted.items():
            if key not in self._logins:
                registered = self._ports.register(*key, password, self._maker(scheduler_name, key[1]))
                self._logins[key] = _Login(password, scheduler_name, registered)

    def _maker(self, scheduler: str, user: str) -> Callable[[Any, Any], TryClient]:
        return lambda mind, broker: TryClient(self, scheduler, user)

    def scheduler(self, name: str) -> Try_Userpass:
        found = self._scheduler(name)
        if not isinstance(found, Try_Userpass):
            raise TryRefused(f"the scheduler {name!r} is no longer in the configuration")
        return found


class TryClient:
    """Somebody who has logged in to send jobs and to see what comes of them."""

    def __init__(self, logins: TryLogins, scheduler: str, user: str) -> None:
        self.store = logins.store
        self._logins = logins
        self._scheduler = scheduler
        self._user = user
        self._watched: dict[BuildRequestID, RemoteBuildRequest] = {}
        self._forget_progress: Callable[[], None] | None = None

    def attached(self, mind: Any) -> None:
        self.store.event_listeners.append(self._on_event)
        self._forget_progress = self._logins.progress.subscribe(self._on_progress)

    def detached(self) -> None:
        if self._on_event in self.store.event_listeners:
            self.store.event_listeners.remove(self._on_event)
        if self._forget_progress is not None:
            self._forget_progress()
        self._watched.clear()

    async def perspective_getAvailableBuilderNames(self) -> list[str]:
        try:
            settled = await self._logins.scheduler(self._scheduler).settled(TryJob())
        except BadInput as problem:
            raise TryRefused(str(problem)) from None
        return list(settled.builder_names)

    async def perspective_try(
        self,
        branch: Any,
        revision: Any,
        patch: Any,
        repository: Any = "",
        project: Any = "",
        builderNames: Any = None,
        who: Any = "",
        comment: Any = "",
        properties: Any = None,
    ) -> RemoteBuildset:
        """Store a job. Returns when it is durable."""
        if isinstance(repository, (list, tuple)):  # 0.7
            repository, project, builderNames, properties = "", "", repository, project or {}
        described = {
            "branch": branch,
            "baserev": revision,
            "repository": repository,
            "project": project,
            "builderNames": builderNames,
            "who": who or self._user,
            "comment": comment,
            "properties": properties,
        }
        scheduler = self._logins.scheduler(self._scheduler)
        try:
            paused = why_paused(self.store, scheduler.name)
            if paused:
                raise BadInput(paused)
            job = job_from(described | _patch(patch))
            settled = await scheduler.settled(job)
        except BadInput as problem:
            _log.warn("{scheduler}: refused a try job of {user!r}: {problem}", scheduler=scheduler.name,
                      user=self._user, problem=problem)  # fmt: skip
            raise TryRefused(f"the job is refused: {problem}") from None
        try:
            buildset = self.store.transact_durable(scheduler.accept, job, settled, self._logins.now())
        except Exception:
            _log.failure("{scheduler}: a try job could not be stored", scheduler=scheduler.name)
            raise TryRefused(
                "the buildmaster could not store the job, and kept nothing of it: see its log, then send it again"
            ) from None
        _log.info("try job of {user!r} is buildset {buildset}", user=self._user, buildset=buildset)
        return RemoteBuildset(self, buildset)

    def perspective_getBuildset(self, id: Any) -> RemoteBuildset:
        """A job of this scheduler, by its number."""
        found = buildsets.get(self.store, BuildsetID(id)) if isinstance(id, int) and 0 < id < 1 << 62 else None
        if found is None or found.scheduler != self._scheduler:
            raise TryRefused(f"the scheduler {self._scheduler!r} has no buildset {id!r:.40}")
        return RemoteBuildset(self, found.id)

    # -- what happens

    def watched(self, id: BuildRequestID, builder: str) -> RemoteBuildRequest:
        """The object of this request, the same one for everybody on this connection."""
        return self._watched.setdefault(id, RemoteBuildRequest(self.store, id, builder))

    def _on_event(self, event: Event) -> None:
        if not self._watched or event.kind not in _NEWS or event.subject_id is None:
            return
        match event.kind:
            case EventKind.BUILD_STARTED | EventKind.BUILD_FINISHED:
                concerned = [each.id for each in requests.of_build(self.store, BuildID(event.subject_id))]
            case EventKind.REQUEST_CANCELLED:
                concerned = [BuildRequestID(event.subject_id)]
            case _:
                concerned = [each.id for each in requests.of_buildset(self.store, BuildsetID(event.subject_id))]
        for id in concerned:
            if id in self._watched:
                self._watched[id].look()

    def _on_progress(self, build: BuildID) -> None:
        for request in list(self._watched.values()):
            request.on_progress(build)


def _patch(patch: Any) -> dict[str, Any]:
    if patch is None:
        return {}
    if not isinstance(patch, (list, tuple)) or len(patch) not in (2, 3):
        raise BadInput("a patch is (level, diff)")
    found = {"patch_level": patch[0], "patch_body": patch[1]}
    return found if len(patch) == 2 else {**found, "patch_subdir": patch[2]}


def _observer(given: Any) -> pb.RemoteReference:
    if not isinstance(given, pb.RemoteReference):
        raise TryRefused("subscribe: there is nobody to call")
    return given


class RemoteBuildset(pb.Referenceable):
    """A job that was taken."""

    def __init__(self, client: TryClient, id: BuildsetID) -> None:
        self._client = client
        self._id = id

    def remote_getID(self) -> int:
        return int(self._id)

    def remote_getBuildRequests(self) -> list[tuple[str, RemoteBuildRequest]]:
        store = self._client.store
        found = []
        for request in requests.of_buildset(store, self._id):
            builder = builders.get(store, request.builder_id)
            name = "?" if builder is None else builder.name
            found.append((name, self._client.watched(request.id, name)))
        return found

    def remote_getReason(self) -> str:
        buildset = buildsets.get(self._client.store, self._id)
        return "" if buildset is None else buildset.reason

    def remote_isFinished(self) -> bool:
        buildset = buildsets.get(self._client.store, self._id)
        return buildset is None or buildset.complete_at is not None

    def remote_getResults(self) -> int | None:
        buildset = buildsets.get(self._client.store, self._id)
        return None if buildset is None or buildset.result is None else int(buildset.result)


class RemoteBuildRequest(pb.Referenceable):
    """One builder's part of a job, and who wants to hear of it."""

    def __init__(self, store: Store, id: BuildRequestID, builder: str) -> None:
        self._build = RemoteBuild(store, id, builder)
        self._observers: list[pb.RemoteReference] = []
        self._told: list[pb.RemoteReference] = []

    def remote_subscribe(self, observer: Any = None) -> None:
        self._observers.append(_observer(observer))
        self.look()

    def remote_unsubscribe(self, observer: Any = None) -> None:
        self._observers = [each for each in self._observers if each is not observer]

    def look(self) -> None:
        """Tell of what is new in the store."""
        for observer in self._observers:
            if observer not in self._told and self._build.is_there():
                self._told.append(observer)
                _tell(observer, "newbuild", self._build, self._build.remote_getBuilderName())
        self._build.look()

    def on_progress(self, build: BuildID) -> None:
        self._build.on_progress(build)


class RemoteBuild(pb.Referenceable):
    """What builds a request. A build that is tried again is followed by the next one, under this same object."""

    def __init__(self, store: Store, request: BuildRequestID, builder: str) -> None:
        self._store = store
        self._request = request
        self._builder = builder
        self._observers: list[pb.RemoteReference] = []
        self._waiting: list[Deferred[RemoteBuild]] = []
        self._following: BuildID | None = None
        self._seen: dict[StepID, bool] = {}  # of the build that is followed: its steps, and which have ended

    def is_there(self) -> bool:
        """Whether there is a build, or there will be none any more."""
        return self._last() is not None or self._is_over()

    def look(self) -> None:
        if self._is_over():
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(self)

    def on_progress(self, build: BuildID) -> None:
        last = self._last() if self._observers and build >= (self._following or 0) else None
        if last is None or last.id != build:
            return
        if build != self._following:
            self._following, self._seen = build, {}
        for step in steps.of_build(self._store, build):
            if step.id not in self._seen and step.started_at is not None:
                self._seen[step.id] = False
                self._tell("stepStarted", step.name, None)
            if step.complete_at is not None and self._seen.get(step.id) is False:
                self._seen[step.id] = True
                self._tell("stepFinished", step.name, None, int(step.result or Result.SUCCESS))

    def _tell(self, message: str, *arguments: Any) -> None:
        for observer in self._observers:
            _tell(observer, message, self._builder, self, *arguments)

    def _last(self) -> Build | None:
        found = builds.of_request(self._store, self._request)
        return found[-1] if found else None

    def _is_over(self) -> bool:
        request = requests.get(self._store, self._request)
        return request is None or request.complete_at is not None

    def remote_subscribe(self, observer: Any = None, interval: Any = None) -> None:
        self._observers.append(_observer(observer))
        last = self._last()
        if last is not None and last.complete_at is None:
            self.on_progress(last.id)

    def remote_unsubscribe(self, observer: Any = None) -> None:
        self._observers = [each for each in self._observers if each is not observer]

    def remote_waitUntilFinished(self) -> Deferred[RemoteBuild]:
        done: Deferred[RemoteBuild] = Deferred()
        self._waiting.append(done)
        self.look()
        return done

    def remote_isFinished(self) -> bool:
        return self._is_over()

    def remote_getBuilderName(self) -> str:
        return self._builder

    def remote_getNumber(self) -> int | None:
        last = self._last()
        return None if last is None else last.number

    def remote_getResults(self) -> int | None:
        request = requests.get(self._store, self._request)
        return None if request is None or request.result is None else int(request.result)

    def remote_getText(self) -> list[str]:
        last = self._last()
        if last is not None:
            return [last.state_text]
        return ["not built" if self._is_over() else "waiting"]


def _tell(observer: pb.RemoteReference, message: str, *arguments: Any) -> None:
    """Call a client. Whatever goes wrong with it is its own affair: what happens is in the store."""
    with suppress(pb.DeadReferenceError):
        _ = observer.callRemote(message, *arguments).addErrback(lambda _: None)
