"""One command on a slave: journalled before it is ordered, its output written before it is acknowledged.

`RemoteCommand` is what custom steps make and give to `runCommand`; its journal row is made when it runs. When the row
is there already, because the step's code runs again after a restart of the master, the command is not ordered again:
one that has finished answers with what came of it, one that is under way is resumed on its slave.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from buildbot.model import CommandID, CommandState, RemoteCommandRow
from buildbot.process.commandhome import CommandHome, DownloadSource, UploadTarget
from buildbot.process.deferring import gives_deferred
from buildbot.process.insisting import insist
from buildbot.process.masking import MaskedStream
from buildbot.process.oldcommand import OldCommand
from buildbot.process.orders import for_journal, for_wire
from buildbot.process.owntransfer import own_reader, own_writer
from buildbot.process.results import EXCEPTION, FAILURE, RETRY, SUCCESS, WARNINGS
from buildbot.process.slaveport import CommandRefused, SlaveLost, SlaveSession
from buildbot.process.steplog import StepLog
from buildbot.store import commands
from buildbot.store import logs as log_rows
from buildbot.store.logfiles import Channel, LogWriter

__all__ = ["CommandHome", "DownloadSource", "RemoteCommand", "RemoteShellCommand", "UploadTarget"]

_CHANNELS = {"stdout": Channel.STDOUT, "stderr": Channel.STDERR, "header": Channel.HEADER}
ABANDON_SECONDS = 40.0  # an interrupted command whose slave says nothing for so long is given up


class RemoteCommand(OldCommand):
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
        args: Mapping[str, Any] | None = None,
        ignore_updates: bool = False,
        collectStdout: bool = False,
        collectStderr: bool = False,
        decodeRC: dict[int, int] | None = None,
        stdioLogName: str | None = "stdio",
    ) -> None:
        self.remote_command = remote_command
        self.args: dict[str, Any] = dict(args or {})
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
        self.upload: UploadTarget | None = own_writer(self.args)
        self.download: DownloadSource | None = own_reader(self.args)
        self.active = False
        self.interrupted = False
        self.lost_why: str | None = None
        self._why = ""
        self._collected: dict[Channel, list[bytes]] = {Channel.STDOUT: [], Channel.STDERR: []}
        self._over: Deferred[None] | None = None
        self._home: CommandHome | None = None
        self._ordered_to: str | None = None  # the incarnation of the slave
        self._taken = False  # the slave has said that it runs
        self._aside: LogWriter | None = None  # for output that no log takes
        self._aside_streams: dict[Channel, MaskedStream] = {}
        self.id: CommandID | None = None

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

    async def run(self, home: CommandHome) -> None:
        """Order the command, or go on with what the journal says of it, and wait for its end.

        Raises CommandRefused, SlaveLost, and Diverged when the journal has another command in its place.
        """
        self._home = home
        build = home.build
        args = build.secrets.mask_data(for_journal(self.args))
        over: Deferred[None] = Deferred()
        self._over = over
        known = home.journal.take(self.remote_command, args)
        if known is None:
            session = await build.a_session()
            if home.over:
                raise CommandRefused("its step has ended meanwhile")
            self._ordered_to = session.incarnation
            self.id = await insist(
                build,
                commands.order,
                step=home.step_id,
                ordinal=home.journal.next_ordinal(),
                name=self.remote_command,
                args=args,
                incarnation=session.incarnation,
                now=build.now(),
            )
        try:
            if known is not None:
                await self._recall(known)
            if not over.called:
                self.active = True
                build.began(self)
            await over
        finally:
            self.active = False
            build.ended(self)
            over.addErrback(lambda _: None)  # type: ignore[unused-awaitable]  # it has been raised here
        for log in self._written_logs():
            log.command_ended()
        if self._aside is not None and self.id is not None:
            for channel, stream in self._aside_streams.items():
                self._aside.append(stream.flush(), channel, self.id, build.now(), taken=0)
        if self.collectStdout:
            self.stdout = b"".join(self._collected[Channel.STDOUT]).decode("utf-8", "replace")
        if self.collectStderr:
            self.stderr = b"".join(self._collected[Channel.STDERR]).decode("utf-8", "replace")

    async def _recall(self, known: RemoteCommandRow) -> None:
        """What the journal and the logs know of this command already."""
        assert self._home is not None and self._over is not None
        self.id, self._ordered_to = known.id, known.incarnation
        self._taken = known.state is not CommandState.ORDERED
        store, clock = self._home.build.store, self._home.build.clock
        for row in log_rows.of_step(store, self._home.step_id):
            log = self._log_again(row.name, row.path)
            if log is not None:
                collects = self._collects and log is self.logs.get(self.stdioLogName or "")
                for _ in log.recall(int(known.id), self._collect if collects else None):
                    await deferLater(clock, 0, lambda: None)
                    if self._over.called:  # its step has ended meanwhile
                        return
        if self._collects or known.state is not CommandState.FINISHED:
            self._aside, kept = self._home.aside(known.id)
            with kept:
                for run, data in kept.pieces(0, kept.size):
                    self._collect(run.channel, data)
        if known.state is CommandState.FINISHED:
            self._take(known.outcome or {})
            self._over.callback(None)
        elif known.state is CommandState.LOST:
            self.lost_why = "the slave that ran it is gone"
            self._over.errback(SlaveLost(self.lost_why))

    def _log_again(self, name: str, path: str) -> StepLog | None:
        """The log of this file, if this command wrote to it."""
        assert self._home is not None
        for log in (*self.logs.values(), *self._home.logs.values()):
            if log.path == path:
                break
        else:
            if self._home.build.log_files.held(path, int(self.id or 0)) == 0:
                return None
            made = self._log_for(f"log:{name}" if name != self.stdioLogName else "stdout")
            return made if made is not None and made.path == path else None
        if log.held(int(self.id or 0)) and log not in self.logs.values():
            self.logs[name] = log
        return log

    async def reach(self, session: SlaveSession) -> None:
        """Have the slave run the command, or go on with it: it has just been ordered, or the slave is back."""
        assert self.id is not None and self._over is not None and self._home is not None
        build = self._home.build
        try:
            if self.id in session.kept:
                going = await session.resume(self.id, self)
            elif self._taken or session.incarnation != self._ordered_to:
                going = False
            else:
                going = await session.order(self.id, self.remote_command, build.builddir, for_wire(self.args), self)
            if self._over.called:
                return
            if not going:
                restarted = session.incarnation != self._ordered_to
                why = "its slave was restarted" if restarted else "the slave does not know it any more"
                self.lost(f"{self.remote_command} was lost: {why}", gone=True)
                build.lose_work(f"{self.remote_command} was lost: {why}")
                return
            if not self._taken:
                self._taken = True
                build.store.transact(commands.running, self.id)
            if self.interrupted:
                await session.interrupt(self.id, self._why)
        except SlaveLost:
            return  # until it is back, or given up
        except CommandRefused as refused:
            if not self._over.called:
                self.outcome = {"error": str(refused), "rc": None}
                build.store.transact(commands.finish, self.id, build.secrets.mask_data(self.outcome), build.now())
                self._over.errback(refused)

    @gives_deferred
    async def interrupt(self, why: str) -> None:
        """Ask the slave to end the command; give it up when nothing comes of that.

        One that is still reading what its journal and its logs know is interrupted when it reaches its slave.
        """
        if self._over is None or self._over.called or self.interrupted or self.id is None:
            return
        self.interrupted, self._why = True, why
        assert self._home is not None
        build = self._home.build
        why_given_up = f"the slave did not end the command within {ABANDON_SECONDS:.0f} s"
        giving_up = build.clock.callLater(ABANDON_SECONDS, self.abandon, why_given_up)

        def ended(value: Any) -> Any:
            if giving_up.active():
                giving_up.cancel()
            return value

        self._over.addBoth(ended)  # type: ignore[unused-awaitable]  # `run` awaits it
        if build.session is not None:
            with suppress(SlaveLost, CommandRefused):  # told again when the slave is back, or it is given up
                await build.session.interrupt(self.id, why)

    def abandon(self, why: str) -> None:
        """Wait for it no longer; its slave drops it, now or when it is back."""
        if self._home is None or self._over is None or self._over.called or self.id is None:
            return
        session = self._home.build.session
        self.lost(why)
        if session is not None:
            session.disown(self.id)

    def leave(self) -> None:
        """This process ends; the next one goes on with the command."""
        if self._over is not None and not self._over.called:
            self._over.cancel()
        if self._aside is not None:
            self._aside.close()
            self._aside = None

    # -- CommandSink

    def held(self) -> int:
        assert self.id is not None
        aside = 0 if self._aside is None else self._aside.held(self.id)
        return aside + sum(log.held(self.id) for log in self._written_logs())

    def _written_logs(self) -> list[StepLog]:
        """Each log once: several streams may go into one."""
        return list({id(log): log for log in self.logs.values()}.values())

    def output(self, pieces: list[tuple[str, bytes]]) -> None:
        for stream, data in pieces:
            channel = _CHANNELS.get(stream, Channel.STDOUT)
            log = self._log_for(stream)
            if log is None or log.finished:
                self._put_aside(stream, channel, data)
            else:
                log.write(data, channel, int(self.id or 0))
            if not stream.startswith("log:"):
                self._collect(channel, data)

    @property
    def _collects(self) -> bool:
        return self.collectStdout or self.collectStderr

    def _collect(self, channel: Channel, data: bytes) -> None:
        if (self.collectStdout and channel is Channel.STDOUT) or (self.collectStderr and channel is Channel.STDERR):
            self._collected[channel].append(data)

    def _put_aside(self, stream: str, channel: Channel, data: bytes) -> None:
        """Output that goes into no log is counted, and kept if it is to be given to the step, also after a restart."""
        assert self._home is not None and self.id is not None
        if self._aside is None:
            self._aside, reader = self._home.aside(self.id)
            reader.close()
        kept = b""
        if self._collects and not stream.startswith("log:"):
            stream_aside = self._aside_streams.setdefault(channel, MaskedStream(self._home.build.secrets.masker))
            kept = stream_aside.feed(data)
        self._aside.append(kept, channel, self.id, self._home.build.now(), taken=len(data))

    def finished(self, outcome: dict[str, Any]) -> None:
        assert self._home is not None and self.id is not None and self._over is not None
        build = self._home.build
        if self._over.called:
            return
        build.store.transact(commands.finish, self.id, build.secrets.mask_data(outcome), build.now())
        self._take(outcome)
        self._over.callback(None)

    def _take(self, outcome: dict[str, Any]) -> None:
        self.outcome = outcome
        rc = outcome.get("rc")
        self.rc = rc if isinstance(rc, int) else None
        self.note_updates(outcome)

    def write(self, offset: int, data: bytes) -> int:
        if self.upload is None:
            raise CommandRefused(f"{self.remote_command} sends a file, but nothing takes it")
        return self.upload.write(offset, data)

    def read(self, offset: int, length: int) -> bytes:
        if self.download is None:
            raise CommandRefused(f"{self.remote_command} asks for a file, but there is none")
        return self.download.read(offset, length)

    # -- its end without the slave

    def lost(self, why: str, *, gone: bool = False) -> None:
        """Nobody waits for the command any more. gone: it does not run on the slave any more either."""
        assert self._home is not None and self.id is not None and self._over is not None
        if self._over.called:
            return
        build = self._home.build
        build.store.transact(partial(commands.lose, gone=gone), self.id, build.now())
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
