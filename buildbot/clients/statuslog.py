"""`buildbot statuslog`: a line for each thing that happens in a master, read from its PBListener.

The wire is described in buildbot.status.pblistener; a PBListener of Buildbot 0.7 and 0.8 does as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import IO, Any

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, TimeoutError, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.spread import pb

LOGIN_SECONDS = 30.0
RESULTS = ("success", "warnings", "failure", "skipped", "exception", "retry", "cancelled")
ENDED, FAILED, WRONG_USE = 0, 1, 2


class CannotFollow(Exception):
    """The master cannot be followed; the text says why and what to do."""


def result_word(result: Any) -> str:
    """The word for what a master sends as a result: a code, or (before 0.8) a pair of code and text."""
    code = result[0] if isinstance(result, (list, tuple)) and result else result
    return RESULTS[code] if isinstance(code, int) and 0 <= code < len(RESULTS) else str(code)


class StatusLog(pb.Referenceable):
    """What the master calls. Lines come out in the order of the calls, although some ask back for a number."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._before: Deferred[None] = Deferred()
        self._before.callback(None)

    def _in_turn(self, line: Callable[[], Coroutine[Any, Any, str]]) -> None:
        before = self._before

        async def after() -> None:
            await before
            with suppress(pb.PBConnectionLost, pb.DeadReferenceError):  # the end is told elsewhere
                self._write(await line())

        self._before = ensureDeferred(after())

    def _say(self, text: str) -> None:
        async def line() -> str:
            return text

        self._in_turn(line)

    def _say_of_build(self, name: str, build: Any, text: str) -> None:
        async def line() -> str:
            return f"{name} #{await build.callRemote('getNumber')} {text}"

        self._in_turn(line)

    def remote_builderAdded(self, name: str, builder: Any) -> None:
        self._say(f"builder {name}")

    def remote_builderRemoved(self, name: str) -> None:
        self._say(f"builder {name} is removed")

    def remote_builderChangedState(self, name: str, state: str, eta: Any = None) -> None:
        self._say(f"builder {name} is {state}")

    def remote_buildStarted(self, name: str, build: Any) -> None:
        self._say_of_build(name, build, "started")

    def remote_buildFinished(self, name: str, build: Any, result: Any) -> None:
        self._say_of_build(name, build, f"finished: {result_word(result)}")

    def remote_stepStarted(self, name: str, build: Any, step_name: str, step: Any) -> None:
        self._say_of_build(name, build, f"step {step_name} started")

    def remote_stepFinished(self, name: str, build: Any, step_name: str, step: Any, result: Any) -> None:
        self._say_of_build(name, build, f"step {step_name} finished: {result_word(result)}")

    def remote_buildETAUpdate(self, *ignored: Any) -> None:
        pass

    remote_stepETAUpdate = remote_stepTextChanged = remote_stepText2Changed = remote_buildETAUpdate
    remote_logStarted = remote_logFinished = remote_logChunk = remote_buildETAUpdate


async def follow(reactor: Any, host: str, port: int, user: str, password: str, write: Callable[[str], object]) -> None:
    """Write lines until the connection ends. Raises CannotFollow when it cannot begin."""
    factory = pb.PBClientFactory()
    where = f"{host}:{port}"
    ended: Deferred[None] = Deferred()
    log = StatusLog(write)
    beginning: Deferred[None] = ensureDeferred(_subscribe(reactor, factory, host, port, user, password, log, ended))
    try:
        await beginning.addTimeout(LOGIN_SECONDS, reactor)
        await ended
    except TimeoutError:
        raise CannotFollow(f"{where} did not answer within {LOGIN_SECONDS:g} s") from None
    except UnauthorizedLogin:
        raise CannotFollow(_refused(where, user)) from None
    except pb.RemoteError as problem:
        kind = problem.remoteType
        if kind in (b"twisted.cred.error.UnauthorizedLogin", "twisted.cred.error.UnauthorizedLogin"):
            raise CannotFollow(_refused(where, user)) from None
        raise CannotFollow(f"{where}: {problem}") from None
    except (pb.PBConnectionLost, pb.DeadReferenceError) as problem:
        raise CannotFollow(f"{where} closed the connection: {problem}") from None
    finally:
        factory.disconnect()


def _refused(where: str, user: str) -> str:
    return f"{where} refused the login of {user!r}: compare --username and --passwd with those of its PBListener"


async def _subscribe(
    reactor: Any,
    factory: pb.PBClientFactory,
    host: str,
    port: int,
    user: str,
    password: str,
    log: StatusLog,
    ended: Deferred[None],
) -> None:
    try:
        broker: Any = await HostnameEndpoint(reactor, host, port).connect(factory)
    except Exception as problem:
        raise CannotFollow(f"cannot connect to {host}:{port}: {problem}") from None
    login = factory.login(UsernamePassword(user.encode(), password.encode()))

    def lost() -> None:
        login.cancel()  # Twisted's own client would wait for ever
        if not ended.called:
            ended.callback(None)

    broker.notifyOnDisconnect(lost)
    avatar = await login
    await avatar.callRemote("subscribe", "steps", 5, log)


async def main(reactor: Any, options: Mapping[str, Any], *, out: IO[str], err: IO[str]) -> int:
    """Do what the options (master, username, passwd) say. The exit code: 0 the master ended, 1 no way, 2 options."""
    where = str(options.get("master") or "")
    host, _, port = where.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        print(f"buildbot statuslog: --master must be HOST:PORT, not {where!r}", file=err)
        return WRONG_USE

    def write(line: str) -> None:
        print(line, file=out, flush=True)

    try:
        name = host.removeprefix("[").removesuffix("]")
        await follow(reactor, name, int(port), str(options["username"]), str(options["passwd"]), write)
    except CannotFollow as problem:
        print(f"buildbot statuslog: {problem}", file=err)
        return FAILED
    print("the master has ended the connection", file=out, flush=True)
    return ENDED


def run(options: Mapping[str, Any], reactor: Any) -> int:
    """The command line's entry: run the reactor until the master or the user ends it; the exit code."""
    codes: list[int] = []

    async def do() -> None:
        try:
            codes.append(await main(reactor, options, out=sys.stdout, err=sys.stderr))
        except Exception as problem:
            print(f"buildbot statuslog: {type(problem).__name__}: {problem}", file=sys.stderr)
            codes.append(FAILED)
        finally:
            if reactor.running:
                reactor.stop()

    reactor.callWhenRunning(lambda: ensureDeferred(do()))
    reactor.run()
    return codes[0] if codes else ENDED
