"""One command on a slave: journalled before it is ordered, its output written before it is acknowledged.

`RemoteCommand` is what custom steps make and give to `runCommand`; its journal row is made when it runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from buildbot.model import CommandID
from buildbot.process.results import EXCEPTION, FAILURE, RETRY, SUCCESS, WARNINGS
from buildbot.process.slaveport import CommandRefused, SlaveLost, SlaveSession
from buildbot.process.steplog import StepLog
from buildbot.store import commands
from buildbot.store.logfiles import Channel

_CHANNELS = {"stdout": Channel.STDOUT, "stderr": Channel.STDERR, "header": Channel.HEADER}
ABANDON_SECONDS = 40.0  # an interrupted command whose slave says nothing for so long is given up


class UploadTarget(Protocol):
    """Takes a file from the slave, in pieces that may come twice."""

    def write(self, offset: int, data: bytes) -> int:
        """Take a piece; returns how much of the file is held."""


class DownloadSource(Protocol):
    """Gives a file to the slave."""

    def read(self, offset: int, length: int) -> bytes: ...


class CommandHome(Protocol):
    """What a running command needs of its step."""

    build: Any
    logs: dict[str, StepLog]

    def next_ordinal(self) -> int: ...

    def new_log(self, name: str, kind: str = "stream") -> StepLog: ...

    @property
    def step_id(self) -> Any: ...


class RemoteCommand:
    """A command by its name and arguments.

    ignore_updates: drop the output. collectStdout, collectStderr: keep it as text in `stdout`, `stderr`.
    decodeRC: {exit code: result}; codes that are not in it are FAILURE. stdioLogName: where the output goes;
    None writes none.

    After `runCommand`: `rc`, `outcome`, `updates`, `stdout`, `stderr`, `didFail()`, `results()`.
    """

    _log = Logger()

    def __init__(
        self,
        remote_command: str,
        args: dict[str, Any],
        ignore_updates: bool = False,
        collectStdout: bool = False,
        collectStderr: bool = False,
        decodeRC: dict[int, int] | None = None,
        stdioLogName: str | None = "stdio",
    ) -> None:
        self.remote_command = remote_command
        self.args = dict(args)
        self.ignore_updates = ignore_updates
        self.collectStdout = collectStdout
        self.collectStderr = collectStderr
        self.decodeRC = {0: SUCCESS} if decodeRC is None else dict(decodeRC)
        self.stdioLogName = stdioLogName
        self.rc: int | None = None
        self.outcome: dict[str, Any] = {}
        self.updates: dict[str, list[Any]] = {}
        self.stdout = ""
        self.stderr = ""
        self.logs: dict[str, StepLog] = {}
        self.delayedLogs: dict[str, tuple[Callable[[RemoteCommand], StepLog], bool]] = {}
        self.upload: UploadTarget | None = None
        self.download: DownloadSource | None = None
        self.active = False
        self.interrupted = False
        self.lost_why: str | None = None
        self._collected: dict[Channel, list[bytes]] = {Channel.STDOUT: [], Channel.STDERR: []}
        self._over: Deferred[None] | None = None
        self._home: CommandHome | None = None
        self._session: SlaveSession | None = None
        self.id: CommandID | None = None
        self._dropped = 0  # bytes of output that no log takes

    def __repr__(self) -> str:
        return f"<RemoteCommand {self.remote_command!r} {self.id or ''}>"

    # -- for steps

    def useLog(self, log: StepLog, closeWhenFinished: bool = False, logfileName: str | None = None) -> None:
        """Output of this log file (default: the log's name) goes into `log`."""
        self.logs[logfileName or log.name] = log

    def useLogDelayed(
        self,
        logfileName: str,
        activateCallBack: Callable[[RemoteCommand], StepLog],
        closeWhenFinished: bool = False,
    ) -> None:
        """As useLog, with a log that is made when its first output comes."""
        self.delayedLogs[logfileName] = (activateCallBack, closeWhenFinished)

    def didFail(self) -> bool:
        """Whether it came to anything worse than warnings."""
        return self.results() not in (SUCCESS, WARNINGS)

    def results(self) -> int:
        """What the exit code means: see decodeRC. RETRY when the slave was lost."""
        if self.lost_why is not None:
            return RETRY
        if self.outcome.get("error"):
            return EXCEPTION
        if self.rc in self.decodeRC:
            return self.decodeRC[self.rc]
        return FAILURE

    @property
    def reason(self) -> str | None:
        """Why the slave ended it: `timeout`, `timeout_without_output`, `max_lines_failure`, `interrupted`, or None."""
        return self.outcome.get("reason")

    # -- running

    async def run(self, home: CommandHome, session: SlaveSession, builddir: str) -> None:
        """Order the command and wait for its end. Raises CommandRefused, SlaveLost."""
        self._home, self._session = home, session
        build = home.build
        store = build.store
        self.id = store.transact(
            commands.order,
            step=home.step_id,
            ordinal=home.next_ordinal(),
            name=self.remote_command,
            args=for_journal(self.args),
            incarnation=session.incarnation,
            now=build.now(),
        )
        self.active = True
        over: Deferred[None] = Deferred()
        self._over = over
        try:
            await session.order(self.id, self.remote_command, builddir, for_wire(self.args), self)
            if not over.called:
                store.transact(commands.running, self.id)
            await over
        except CommandRefused as refused:
            self.outcome = {"error": str(refused), "rc": None}
            store.transact(commands.finish, self.id, self.outcome, build.now())
            raise
        except SlaveLost as lost:  # of an order that was on its way, nobody else hears
            self.lost(str(lost))
            raise
        finally:
            self.active = False
            over.addErrback(lambda _: None)  # type: ignore[unused-awaitable]  # it has been raised here
        for log in self._written_logs():
            log.command_ended()
        if self.collectStdout:
            self.stdout = b"".join(self._collected[Channel.STDOUT]).decode("utf-8", "replace")
        if self.collectStderr:
            self.stderr = b"".join(self._collected[Channel.STDERR]).decode("utf-8", "replace")

    async def interrupt(self, why: str) -> None:
        """Ask the slave to end the command; give it up when nothing comes of that."""
        if not self.active or self.interrupted or self._session is None or self.id is None:
            return
        self.interrupted = True
        assert self._home is not None
        clock = self._home.build.clock
        giving_up = clock.callLater(ABANDON_SECONDS, self._abandon)
        assert self._over is not None

        def ended(value: Any) -> Any:
            if giving_up.active():
                giving_up.cancel()
            return value

        self._over.addBoth(ended)  # type: ignore[unused-awaitable]  # `run` awaits it
        with suppress(SlaveLost, CommandRefused):  # the sink hears of it, or it is given up
            await self._session.interrupt(self.id, why)

    def _abandon(self) -> None:
        assert self._session is not None and self.id is not None
        self._session.disown(self.id)
        self.lost(f"the slave did not end the command within {ABANDON_SECONDS:.0f} s")

    # -- CommandSink

    def held(self) -> int:
        assert self.id is not None
        return self._dropped + sum(log.held(self.id) for log in self._written_logs())

    def _written_logs(self) -> list[StepLog]:
        """Each log once: several streams may go into one."""
        return list({id(log): log for log in self.logs.values()}.values())

    def output(self, pieces: list[tuple[str, bytes]]) -> None:
        for stream, data in pieces:
            channel = _CHANNELS.get(stream, Channel.STDOUT)
            log = self._log_for(stream)
            if log is None:
                self._dropped += len(data)
            else:
                log.write(data, channel, int(self.id or 0))
            if (channel is Channel.STDOUT and self.collectStdout and stream == "stdout") or (
                channel is Channel.STDERR and self.collectStderr
            ):
                self._collected[channel].append(data)

    def finished(self, outcome: dict[str, Any]) -> None:
        assert self._home is not None and self.id is not None and self._over is not None
        build = self._home.build
        if self._over.called:
            return
        build.store.transact(commands.finish, self.id, outcome, build.now())
        self.outcome = outcome
        rc = outcome.get("rc")
        self.rc = rc if isinstance(rc, int) else None
        self.updates["rc"] = [self.rc]
        if "result" in outcome:
            self.updates["result"] = [outcome["result"]]
        self._over.callback(None)

    def write(self, offset: int, data: bytes) -> int:
        if self.upload is None:
            raise CommandRefused(f"{self.remote_command} sends a file, but nothing takes it")
        return self.upload.write(offset, data)

    def read(self, offset: int, length: int) -> bytes:
        if self.download is None:
            raise CommandRefused(f"{self.remote_command} asks for a file, but there is none")
        return self.download.read(offset, length)

    def lost(self, why: str) -> None:
        assert self._home is not None and self.id is not None and self._over is not None
        if self._over.called:
            return
        build = self._home.build
        build.store.transact(commands.lose, self.id, build.now())
        self.lost_why = why
        self._over.errback(SlaveLost(why))

    def _log_for(self, stream: str) -> StepLog | None:
        if self.ignore_updates or self._home is None:
            return None
        name = stream[4:] if stream.startswith("log:") else self.stdioLogName
        if name is None:
            return None
        if name not in self.logs:
            if stream.startswith("log:") and name not in self.delayedLogs and name not in self._asked_files():
                return None  # nobody asked for such a file
            delayed = self.delayedLogs.pop(name, None)
            before = self._home.logs.get(name)  # of an earlier command: both are told in one log
            if delayed is not None:
                self.logs[name] = delayed[0](self)
            else:
                self.logs[name] = before if before is not None and not before.finished else self._home.new_log(name)
        return self.logs[name]

    def _asked_files(self) -> Collection[str]:
        asked = self.args.get("logfiles")
        return asked if isinstance(asked, dict) else ()


class RemoteShellCommand(RemoteCommand):
    """A program on the slave. Arguments as in the slave's protocol (docs/slave-protocol), seconds where times."""

    def __init__(
        self,
        workdir: str,
        command: Any,
        env: dict[str, Any] | None = None,
        want_stdout: bool | int = 1,
        want_stderr: bool | int = 1,
        timeout: float | None = 20 * 60,
        maxTime: float | None = None,
        max_lines: int | None = None,
        sigtermTime: float | None = None,
        logfiles: dict[str, Any] | None = None,
        usePTY: bool | str | None = None,
        logEnviron: bool = True,
        collectStdout: bool = False,
        collectStderr: bool = False,
        interruptSignal: str | None = None,
        initialStdin: str | bytes | None = None,
        decodeRC: dict[int, int] | None = None,
        stdioLogName: str | None = "stdio",
    ) -> None:
        args: dict[str, Any] = {
            "workdir": workdir,
            "command": command,
            "env": env,
            "want_stdout": int(bool(want_stdout)),
            "want_stderr": int(bool(want_stderr)),
            "timeout": timeout,
            "maxTime": maxTime,
            "maxLines": max_lines,
            "sigtermTime": sigtermTime,
            "logfiles": logfiles or {},
            "usePTY": None if usePTY in (None, "slave-config") else bool(usePTY),
            "logEnviron": bool(logEnviron),
            "initialStdin": initialStdin,
        }
        if interruptSignal is not None:
            args["interruptSignal"] = interruptSignal
        super().__init__(
            "shell",
            args,
            collectStdout=collectStdout,
            collectStderr=collectStderr,
            decodeRC=decodeRC,
            stdioLogName=stdioLogName,
        )
        self.command = command


def _is_masked(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and value[0] == "obfuscated"


def for_journal(value: Any) -> Any:
    """Arguments as they may be kept and shown: what is obfuscated by its stand-in, bytes as text."""
    if _is_masked(value):
        return value[2]
    if isinstance(value, dict):
        return {str(key): for_journal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_journal(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def for_wire(value: Any) -> Any:
    """Arguments as plain data. Raises CommandRefused for what cannot cross."""
    if isinstance(value, dict):
        return {str(key): for_wire(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(for_wire(item) for item in value)
    if isinstance(value, list):
        return [for_wire(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (bool, int)) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (str, bytes, float, bool, type(None))):
        return value
    raise CommandRefused(f"{value!r} cannot be sent to a slave: only strings, numbers, lists and dictionaries can")
