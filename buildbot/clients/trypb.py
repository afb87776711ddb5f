"""`buildbot try --connect=pb`: sends a job over Perspective Broker and waits for what comes of it.

The wire is told in buildbot.schedulers.trywire; a master of Buildbot 0.8 to 4.3 does as well.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import LoopingCall, deferLater
from twisted.spread import pb

from buildbot.model import Result
from buildbot.schedulers.tryjob import TryJob

ANSWER_SECONDS = 60.0
STATUS_SECONDS = 3.0
AGAIN_SECONDS = 2.0
AWAY_SECONDS = 600.0
LONGEST_STRING = 640 * 1024  # Perspective Broker cannot send more in one piece
_LOST = (pb.PBConnectionLost, pb.DeadReferenceError, ConnectionError, CancelledError)

Write = Callable[[str], object]


class NotDone(Exception):
    """The master did not do it; the text says why."""


class _Lost(Exception):
    """The connection to the master is gone."""


class Master(NamedTuple):
    """Where a Try_Userpass listens, and as whom to log in."""

    host: str
    port: int
    user: str
    password: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Connection:
    """One connection, logged in. `lost` is when it ended."""

    def __init__(self, reactor: Any, master: Master) -> None:
        self._reactor = reactor
        self.master = master
        self.lost: Deferred[None] = Deferred()
        self._factory = pb.PBClientFactory()
        self._avatar: Any = None

    async def log_in(self) -> None:
        """Raises NotDone, or _Lost when the master is not there."""
        try:
            opened = HostnameEndpoint(self._reactor, self.master.host, self.master.port).connect(self._factory)
            broker: Any = await opened
        except Exception as problem:
            raise _Lost(f"cannot connect to {self.master}: {problem}") from None
        login = self._factory.login(UsernamePassword(self.master.user.encode(), self.master.password.encode()))

        def gone() -> None:
            login.cancel()  # Twisted's own client would wait for ever
            if not self.lost.called:
                self.lost.callback(None)

        broker.notifyOnDisconnect(gone)
        self._avatar = await self._answer(login)

    async def call(self, name: str, *args: Any, of: Any = None) -> Any:
        """Call a method of the master's, or of an object of its. Raises NotDone and _Lost."""
        target = self._avatar if of is None else of
        try:
            called = target.callRemote(name, *args)
        except pb.DeadReferenceError:
            raise _Lost(f"the connection to {self.master} was lost") from None
        return await self._answer(called)

    async def _answer(self, called: Deferred[Any]) -> Any:
        try:
            return await called.addTimeout(ANSWER_SECONDS, self._reactor)
        except TimeoutError:
            raise NotDone(f"{self.master} did not answer within {ANSWER_SECONDS:g} s") from None
        except UnauthorizedLogin:
            raise NotDone(self._refused()) from None
        except pb.RemoteError as problem:
            if b"UnauthorizedLogin" in _kind(problem):
                raise NotDone(self._refused()) from None
            raise NotDone(f"{self.master}: {problem}") from None
        except _LOST:
            raise _Lost(f"the connection to {self.master} was lost") from None

    def _refused(self) -> str:
        return (
            f"{self.master} refused the login of {self.master.user!r}: compare --username and --passwd with the "
            "userpass= of its Try_Userpass"
        )

    def close(self) -> None:
        self._factory.disconnect()


def _kind(problem: pb.RemoteError) -> bytes:
    kind: Any = problem.remoteType
    return kind if isinstance(kind, bytes) else str(kind).encode()


async def builder_names(reactor: Any, master: Master) -> list[str]:
    """The builders that may be tried. Raises NotDone."""
    connection = Connection(reactor, master)
    try:
        await connection.log_in()
        return [str(name) for name in await connection.call("getAvailableBuilderNames")]
    except _Lost as problem:
        raise NotDone(str(problem)) from None
    finally:
        connection.close()


async def send(reactor: Any, master: Master, job: TryJob, write: Write, *, wait: bool, quiet: bool) -> bool:
    """Send the job; with `wait`, stay until every builder is done. Whether all is well. Raises NotDone."""
    connection = Connection(reactor, master)
    try:
        await connection.log_in()
        try:
            buildset = await connection.call("try", *_arguments(job))
        except _Lost as problem:
            raise NotDone(f"{problem}; it may have the job or not: look, or send it again") from None
        if buildset is None:  # what Buildbot 4 answers when it refuses one
            raise NotDone(f"{master} did not take the job; its log says why. Is each builder one of its scheduler's?")
        id = None
        if wait:
            with suppress(NotDone):  # a master that cannot take up again
                id = await connection.call("getID", of=buildset)
        write("job has been delivered")
        if not wait:
            return True
        return await _Waiting(reactor, connection, id, write, quiet).until_done(buildset)
    except _Lost as problem:
        raise NotDone(str(problem)) from None
    finally:
        connection.close()


def _arguments(job: TryJob) -> tuple[Any, ...]:
    body: Any = job.patch
    if len(body) > LONGEST_STRING:
        body = [body[at : at + LONGEST_STRING] for at in range(0, len(body), LONGEST_STRING)]
    return (
        job.branch,
        job.revision,
        (job.patch_level, body),
        job.repository,
        job.project,
        list(job.builder_names),
        job.who,
        job.comment,
        dict(job.properties),
    )


class _Waiting(pb.Referenceable):
    """What the master calls while we wait, and what has come of each builder so far."""

    def __init__(self, reactor: Any, connection: Connection, id: int | None, write: Write, quiet: bool) -> None:
        self._reactor = reactor
        self._connection = connection
        self._id = id
        self._write = write
        self._quiet = quiet
        self._doing: dict[str, str] = {}  # builder -> in words
        self._results: dict[str, int] = {}
        self._done: Deferred[None] = Deferred()

    async def until_done(self, buildset: Any) -> bool:
        told = LoopingCall(self._say)
        told.clock = self._reactor
        if not self._quiet:
            _ = told.start(STATUS_SECONDS, now=False)
        try:
            while True:
                try:
                    await self._follow(buildset)
                    break
                except _Lost as problem:
                    buildset = await self._again(problem)
        finally:
            if told.running:
                told.stop()
        return all(result == Result.SUCCESS for result in self._results.values())

    async def _follow(self, buildset: Any) -> None:
        self._done = Deferred()
        for name, request in await self._connection.call("getBuildRequests", of=buildset):
            if name not in self._results:
                self._doing.setdefault(name, "waiting")
                await self._connection.call("subscribe", self, of=request)
        self._look()
        done = self._done

        def lost(_: object) -> None:
            if not done.called:
                done.errback(_Lost("the connection was lost"))

        _ = self._connection.lost.addCallback(lost)
        await done

    async def _again(self, problem: Exception) -> Any:
        """Log in again, for as long as a master may be away. Raises NotDone."""
        if self._id is None:
            raise NotDone(f"{problem}; the master has the job, but we can no longer see what comes of it")
        self._write(f"{problem}; the master has the job, and we look for it again")
        self._connection.close()
        waited = 0.0
        while waited < AWAY_SECONDS:
            await deferLater(self._reactor, AGAIN_SECONDS, lambda: None)
            waited += AGAIN_SECONDS
            self._connection = Connection(self._reactor, self._connection.master)
            try:
                await self._connection.log_in()
                found = await self._connection.call("getBuildset", self._id)
            except _Lost:
                self._connection.close()
                continue
            self._write("the master is there again")
            return found
        raise NotDone(f"the master has the job, but was away for {AWAY_SECONDS / 60:g} minutes")

    def _say(self) -> None:
        open_ones = [f"{name}: {doing}" for name, doing in self._doing.items() if name not in self._results]
        if open_ones:
            self._write("; ".join(open_ones))

    def _look(self) -> None:
        if self._results.keys() >= self._doing.keys() and not self._done.called:
            self._done.callback(None)

    # -- what the master calls

    def remote_newbuild(self, build: Any, name: str) -> None:
        self._doing[name] = "building"
        following = ensureDeferred(self._follow_build(build, name))
        _ = following.addErrback(self._cannot_follow)

    def remote_stepStarted(self, name: str, build: Any, step: str, *_: Any) -> None:
        self._doing[name] = f"step {step}"

    def remote_stepFinished(self, name: str, build: Any, step: str, *_: Any) -> None:
        pass

    def remote_buildETAUpdate(self, name: str, build: Any, seconds: Any) -> None:
        pass

    async def _follow_build(self, build: Any, name: str) -> None:
        with suppress(NotDone):
            await self._connection.call("subscribe", self, int(STATUS_SECONDS), of=build)
        try:
            await build.callRemote("waitUntilFinished")  # for as long as it takes
        except _LOST:
            return  # whoever waits is told by the connection
        result = int(await self._connection.call("getResults", of=build))
        text = await self._connection.call("getText", of=build)
        if result == Result.RETRY:  # another build of the request will come
            self._doing[name] = "waiting: it is tried again"
            return
        self._results[name] = result
        self._write(f"{name}: {Result(result).name.lower()} ({' '.join(str(each) for each in text)})")
        self._look()

    def _cannot_follow(self, failure: Any) -> None:
        if failure.check(_Lost) or self._done.called:
            return
        self._done.errback(failure)
