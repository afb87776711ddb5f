"""The `shell` command: a process in a group of its own, its output, its log files, and its end.

Ending it: SIGTERM first when `sigtermTime` is given, then `interruptSignal`, then SIGKILL, always to all its processes,
those too that have left its group.
"""

import errno
import os
import time
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall, deferLater

from buildslave import platform
from buildslave.commands.base import Channel, Command, Order, Outcome, Reason, Site
from buildslave.commands.commandline import CommandLine, parse_command
from buildslave.commands.environment import command_environment
from buildslave.commands.limits import Limits
from buildslave.commands.logfiles import FollowedFile
from buildslave.commands.process import ChildProcess, Exit
from buildslave.family import Family, marked, new_mark
from buildslave.paths import confined

FOLLOW_SECONDS = 1.0
KILL_SECONDS = 5.0
"""After the last polite signal, until SIGKILL."""
GIVE_UP_SECONDS = 10.0
"""After SIGKILL, until the slave stops waiting for a process that the system cannot end."""
SLAVE_CONFIG = "slave-config"
NO_PROGRAM = frozenset({errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})


class Ending(NamedTuple):
    """Why the slave ends the command."""

    reason: Reason
    sentence: str


class ShellCommand(Command):
    """Runs one command line."""

    def __init__(self, order: Order, site: Site, channel: Channel) -> None:
        super().__init__(order, site, channel)
        args = order.args
        self._line: CommandLine = parse_command(args.raw("command"))
        self._workdir = self._path(args.text("workdir", default=""))
        self._environ = command_environment(site.environ, args.raw("env"))
        self._environ["PWD"] = self._workdir
        self._use_pty = self._wants_pty()
        self._input = self._initial_input()
        self._wanted = {"stdout": args.flag("want_stdout", True), "stderr": args.flag("want_stderr", True)}
        self._sigterm_seconds = args.seconds("sigtermTime")
        self._interrupt_signal = self._named_signal(args.text("interruptSignal", default="KILL"))
        self._log_environ = args.flag("logEnviron", True)
        self._files = self._followed_files()
        self._limits = Limits(
            clock=site.clock,
            silence_seconds=args.seconds("timeout"),
            total_seconds=args.seconds("maxTime"),
            lines=args.count("maxLines"),
            exceeded=lambda reason, sentence: self._end_it(Ending(reason, sentence)),
        )
        self._mark = new_mark()
        self._process: ChildProcess | None = None
        self._family: Family | None = None
        self._ending: Ending | None = None
        self._killing: IDelayedCall | None = None
        self._following: list[FollowedFile] = []
        self._polling = LoopingCall(self._poll_files)
        self._polling.clock = site.reactor
        self._resumed: Deferred[None] | None = None
        self._killed = False

    # -- arguments

    def _path(self, workdir: str) -> str:
        if os.path.isabs(workdir):
            return os.path.normpath(workdir)
        return str(confined(self.site.basedir, self.order.builddir, workdir))

    def _wants_pty(self) -> bool:
        value = self.order.args.raw("usePTY")
        return self.site.use_pty if value in (None, SLAVE_CONFIG) else bool(value)

    def _initial_input(self) -> bytes | None:
        value = self.order.args.raw("initialStdin", self.order.args.raw("initial_stdin"))
        if value is None or isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            raise self.order.args.refuse("initialStdin", "must be a string")
        return value.encode("utf-8", "surrogateescape")

    def _named_signal(self, name: str) -> int:
        number = platform.signal_number(name)
        if number is None:
            raise self.order.args.refuse("interruptSignal", f"names no signal: {name!r}")
        return number

    def _followed_files(self) -> dict[str, tuple[str, bool]]:
        files = {}
        for name, value in (self.order.args.raw("logfiles") or {}).items():
            given: Any = value if isinstance(value, dict) else {"filename": value}
            filename = given.get("filename")
            if not isinstance(name, str) or not isinstance(filename, str) or not filename or "\0" in filename:
                raise self.order.args.refuse("logfiles", f"has no file's name for {name!r}")
            files[name] = (os.path.join(self._workdir, filename), bool(given.get("follow", False)))
            if not os.path.isabs(filename) and not os.path.isabs(self.order.args.text("workdir", default="")):
                confined(self.site.basedir, self.order.builddir, self._workdir, filename)
        return files

    # -- running

    async def run(self) -> Outcome:
        started = time.monotonic()
        self._describe()
        if self._killed:
            return Outcome(rc=-1, reason=Reason.INTERRUPTED)
        os.makedirs(self._workdir, exist_ok=True)
        self._following = followed = self._start_following()
        try:
            self._start_process()
        except (OSError, ValueError) as error:
            self._stop_following(followed)
            return self._not_started(error)
        assert self._process is not None and self._family is not None
        self._limits.start()
        polling = self._polling.start(FOLLOW_SECONDS, now=False) if followed else None
        ended = await self._process.over
        self._stop_timers()
        if self._ending is not None or self._killed:
            self._say_what_stays(await self._family.end())
        self.site.processes.remove(self._process.pid)
        if polling is not None:
            if self._polling.running:
                self._polling.stop()
            await polling
            await self._read_rest(followed)
        self._stop_following(followed)
        return self._outcome(ended, time.monotonic() - started)

    def _describe(self) -> None:
        lines = [self._line.shown, f" in dir {self._workdir}"]
        if self._log_environ:
            lines.append(" environment:")
            lines += [f"  {name}={self._environ[name]}" for name in sorted(self._environ)]
        lines.append(f" using PTY: {self._use_pty}")
        self.channel.header("\n".join(lines) + "\n")

    def _start_process(self) -> None:
        started = platform.start_process(
            self._line.argv,
            cwd=self._workdir,
            env=marked(self._environ, self._mark, self.site.environ),
            with_stdin=self._input is not None,
            use_pty=self._use_pty,
            umask=self.site.umask,
        )
        self._family = self.site.processes.add(started.pid, self.channel.command_id, self._mark)
        self._process = ChildProcess(
            self.site.reactor, self.site.clock, started, output=self._received, terminal=self._use_pty
        )
        if self.channel.paused:
            self._process.pause()
        if self._input is not None or self._use_pty:
            self._process.give_input(self._input or b"")

    def _not_started(self, error: Exception) -> Outcome:
        """A program that is not there, or is none, is its own failure, with the exit code that a shell has for it.
        Anything else, such as no memory, is told as an error besides."""
        self.channel.header(f"could not be started: {error}\n")
        if isinstance(error, FileNotFoundError):
            return Outcome(rc=127)
        no_program = isinstance(error, OSError) and error.errno in NO_PROGRAM
        return Outcome(rc=126, error=None if no_program else str(error))

    def _received(self, stream: str, data: bytes) -> None:
        self._limits.heard(data, counted=True)
        if self._wanted[stream]:
            self.channel.write(stream, data)

    # -- files

    def _start_following(self) -> list[FollowedFile]:
        return [
            FollowedFile(path, only_new=follow, data=self._file_receiver(name))
            for name, (path, follow) in self._files.items()
        ]

    def _file_receiver(self, name: str) -> Any:
        def received(data: bytes) -> None:
            self._limits.heard(data, counted=False)
            self.channel.write(f"log:{name}", data)

        return received

    def _poll_files(self) -> None:
        for followed in self._following:
            if self.channel.paused:
                return
            followed.poll()

    async def _read_rest(self, files: list[FollowedFile]) -> None:
        """All that the files still hold, without running ahead of the master."""
        for followed in files:
            more = True
            while more and not self._killed:
                if self.channel.paused:
                    self._resumed = Deferred()
                    await self._resumed
                more = followed.poll()
                await deferLater(self.site.reactor, 0)

    def _stop_following(self, files: list[FollowedFile]) -> None:
        for followed in files:
            followed.close()

    # -- ending

    def interrupt(self, why: str) -> None:
        self._end_it(Ending(Reason.INTERRUPTED, f"interrupted: {why}"))

    def kill(self) -> None:
        self._killed = True
        self._stop_timers()
        if self._process is not None:
            self._kill_now()

    def pause(self) -> None:
        self._limits.pause()
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        self._limits.resume()
        if self._process is not None:
            self._process.resume()
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)

    def _end_it(self, ending: Ending) -> None:
        if self._ending is not None or self._process is None or self._process.over.called:
            return
        self._ending = ending
        self._limits.stop()
        self.channel.header(f"\n{ending.sentence}: ending process {self._process.pid} and its group\n")
        if self._sigterm_seconds is not None:
            self._signal(platform.TERM)
            self._killing = self.site.clock.callLater(self._sigterm_seconds, self._signal_again)
        else:
            self._signal_again()

    def _signal_again(self) -> None:
        self._killing = self.site.clock.callLater(KILL_SECONDS, self._kill_now)
        self._signal(self._interrupt_signal)

    def _kill_now(self) -> None:
        assert self._process is not None
        self._killing = self.site.clock.callLater(GIVE_UP_SECONDS, self._process.give_up)
        self._signal(platform.KILL)

    def _signal(self, number: int) -> None:
        assert self._family is not None
        self._family.signal(number)

    def _say_what_stays(self, pids: list[int]) -> None:
        if pids:
            self.channel.header(f"\nprocesses {', '.join(map(str, pids))} cannot be ended\n")

    def _stop_timers(self) -> None:
        self._limits.stop()
        if self._killing is not None and self._killing.active():
            self._killing.cancel()
        self._killing = None

    def _outcome(self, ended: Exit, seconds: float) -> Outcome:
        error = None
        if ended.held_open and ended.code is None and ended.signal is None:
            error = "the process did not end after SIGKILL"
        elif ended.held_open:
            self.channel.header("\nsomething that it started keeps its output open; not waiting for it\n")
        how = error or (
            f"exit code {ended.code}" if ended.signal is None else f"ended by {platform.signal_name(ended.signal)}"
        )
        self.channel.header(f"{how}, elapsed time {seconds:.3f} s\n")
        reason = None if self._ending is None else self._ending.reason
        return Outcome(
            # what a program says that was told to end is no result: it may catch the signal and say 0
            rc=-1 if ended.code is None or reason is not None else ended.code,
            reason=reason,
            signal=ended.signal,
            error=error,
        )
