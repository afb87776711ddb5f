"""What steps run on the slave to drive a version control program: the program, and small work on files.

Every command raises BuildStepFailed once the step is stopped, so that code made of them needs no look at `stopped`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from buildbot.process.buildstep import BuildStep, BuildStepFailed
from buildbot.process.compositemixin import CompositeStepMixin
from buildbot.process.credentials import with_password_masked
from buildbot.process.orders import for_journal
from buildbot.process.remotecommand import RemoteCommand, RemoteShellCommand
from buildbot.process.results import SUCCESS

ANY_RC = dict.fromkeys(range(-1, 256), SUCCESS)
NO_PROGRAM = (126, 127)  # what slaves tell of a program that is not there
TERM_SECONDS = 5  # from SIGTERM to SIGKILL: a program that is ended gently takes its locks away


class DrivesProgram(CompositeStepMixin, BuildStep):
    """Base of the steps that drive a version control program.

    timeout: seconds that a command may be silent (default 1200). env, logEnviron: as for ShellCommand. The other
    arguments are those of `BuildStep`.
    """

    renderables: ClassVar[Any] = ("env", "timeout")
    own_env: ClassVar[dict[str, str]] = {}  # what the programs need, unless the user says otherwise

    def __init__(self, timeout: Any = 20 * 60, env: Any = None, logEnviron: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.timeout = timeout
        self.env = env
        self.logEnviron = logEnviron

    async def shell(
        self,
        argv: list[Any],
        *,
        workdir: str | None = None,
        collect: bool = False,
        collect_errors: bool = False,
        stdin: bytes | None = None,
        env: dict[str, Any] | None = None,
        log: str = "stdio",
    ) -> RemoteShellCommand:
        """Run a program; its exit code is for the caller to judge. env: besides the step's, and stronger. log: where
        its output goes. Raises BuildStepFailed when it cannot be run."""
        command = RemoteShellCommand(
            workdir=str(self.workdir) if workdir is None else workdir,
            command=argv,
            env={**self.own_env, **(self.build.env or {}), **(self.env or {}), **(env or {})} or None,
            timeout=self.timeout,
            logEnviron=self.logEnviron,
            collectStdout=collect,
            collectStderr=collect_errors,
            initialStdin=stdin,
            sigtermTime=TERM_SECONDS,
            stdioLogName=log,
            decodeRC=ANY_RC,
        )
        await self._run(command)
        program = str(argv[0])
        if command.outcome.get("error"):
            self.fail(f"{program} cannot be run on the slave: {command.outcome['error']}")
        if command.rc in NO_PROGRAM:
            self.fail(f"{program} cannot be run on the slave: it is not installed, or not on its PATH")
        if command.reason in ("timeout", "timeout_without_output"):
            self.fail(f"{program} timed out")
        return command

    async def remove(self, path: str) -> None:
        """Remove a directory or file. Raises BuildStepFailed."""
        await self._must_do("rmdir", {"dir": path, "timeout": self.timeout}, f"{path} cannot be removed")

    async def remove_each(self, paths: list[str]) -> None:
        """Remove several directories and files. Raises BuildStepFailed."""
        await self._must_do("rmdir", {"dir": paths, "timeout": self.timeout}, "files cannot be removed")

    async def copy_directory(self, source: str, target: str) -> None:
        """Copy a directory. Raises BuildStepFailed."""
        await self._must_do("cpdir", {"fromdir": source, "todir": target}, f"{source} cannot be copied to {target}")

    async def exists(self, path: str) -> bool:
        command = RemoteCommand("stat", {"file": path}, ignore_updates=True, decodeRC=ANY_RC)
        await self._run(command)
        return command.rc == 0

    async def find(self, pattern: str) -> list[str]:
        """The paths that match; none when the slave cannot say."""
        command = RemoteCommand("glob", {"path": pattern}, ignore_updates=True)
        await self._run(command)
        found = command.outcome.get("result")
        return [str(path) for path in found] if isinstance(found, (list, tuple)) else []

    async def write(self, directory: str, name: str, content: bytes, mode: int | None = None) -> None:
        """Write a file on the slave. mode: its rights, from its first byte on. Raises BuildStepFailed."""
        command = RemoteCommand(
            "downloadFile", {"workdir": directory, "slavedest": name, "maxsize": None, "blocksize": 32768, "mode": mode}
        )
        command.download = Content(content)
        await self._run(command)
        if command.rc != 0:
            self.fail(f"{name} cannot be written on the slave: {command.outcome.get('error') or command.rc}")

    async def _must_do(self, name: str, args: dict[str, Any], complaint: str) -> None:
        command = RemoteCommand(name, args)
        await self._run(command)
        if command.rc != 0:
            self.fail(f"{complaint}: {command.outcome.get('error') or command.reason or command.rc}")

    async def _run(self, command: RemoteCommand) -> None:
        self.check_not_stopped()
        await self.runCommand(command)
        self.check_not_stopped()

    async def tidy_up(self, command: RemoteCommand) -> RemoteCommand:
        """As runCommand, for what must be done although the step's code has failed or the step was stopped, such as
        removing a secret from the slave. To be called last, while an exception is on its way; not for CancelledError
        and SlaveLost."""
        self.journal.skip_to_last(command.remote_command, self.build.secrets.mask_data(for_journal(command.args)))
        self._commands.append(command)
        try:
            await command.run(self)
        finally:
            self._commands.remove(command)
        return command

    def check_not_stopped(self) -> None:
        """Raises BuildStepFailed once the step is stopped: what commands said then means nothing."""
        if self.stopped:
            raise BuildStepFailed("stopped")

    def say(self, text: str) -> None:
        """A line of our own in the log."""
        log = self.logs.get("stdio") or self.new_log("stdio")
        _ = log.addHeader(text)

    def fail(self, why: str) -> int:
        """Raise BuildStepFailed, with the reason in the log and in the step's text."""
        self.say(f"{why}\n")
        self.descriptionDone = f"{self.name}: {why}"
        self.descriptionSuffix = None
        raise BuildStepFailed(why)


class Content:
    """A file for the slave whose content is in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length]


def url_word(url: str) -> Any:
    """A URL as a word of a command, its password shown as XXXX."""
    shown = with_password_masked(url)
    return url if shown == url else ("obfuscated", url, shown)
