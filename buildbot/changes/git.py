"""Runs git: a few processes at once, each with a time limit, each ended with whatever it has started.

Knows nothing of repositories; what is asked of one is in `buildbot.changes.gitrepository`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore

from buildbot.changes.base import PollFailed
from buildbot.process.masterprogram import Ended, GroupLeader, session_words
from buildbot.process.outside import decoded

MOST_OUTPUT = 64 * 1024 * 1024
_ERRORS_KEPT = 4000


class GitFailed(PollFailed):
    """git ended with an error, did not end in time, or printed too much; the text says which."""


class Git:
    """The git program.

    reactor: its clock and `spawnProcess`. binary: name or path of git. slots: one is held while a process runs.
    environ: the environment of the processes. hide: takes secrets out of git's error messages. options: before those
    of each command.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        binary: str,
        slots: DeferredSemaphore,
        environ: Mapping[str, str] = os.environ,
        hide: Callable[[str], str] = str,
        options: Sequence[str] = (),
    ) -> None:
        self._reactor = reactor
        self._binary = binary
        self._slots = slots
        self._environ = environ
        self._hide = hide
        self._options = tuple(options)
        self._prefix = session_words()

    def with_login(self, options: Sequence[str], environ: Mapping[str, str], hide: Callable[[str], str]) -> Git:
        """The same git, with more options and variables, and more to hide."""
        return Git(
            reactor=self._reactor,
            binary=self._binary,
            slots=self._slots,
            environ={**self._environ, **environ},
            hide=lambda text: hide(self._hide(text)),
            options=(*self._options, *options),
        )

    async def run(
        self,
        command: str,
        *words: str | bytes,
        options: Sequence[str] = (),
        seconds: float,
        stdin: bytes = b"",
        most: int = MOST_OUTPUT,
    ) -> bytes:
        """What `git OPTIONS COMMAND WORDS` prints. Raises GitFailed.

        Waits for a free slot first, which does not count as running. When it is cancelled, git is ended before it
        returns.
        """
        await self._slots.acquire()
        try:
            return await self._run(f"git {command}", (*self._options, *options, command, *words), seconds, stdin, most)
        finally:
            _ = self._slots.release()  # type: ignore[func-returns-value]

    async def _run(self, name: str, words: Sequence[str | bytes], seconds: float, stdin: bytes, most: int) -> bytes:
        process = _GitProcess(self._reactor, stdin, most)
        argv = [os.fsencode(word) for word in (*self._prefix, self._binary, *words)]
        try:
            self._reactor.spawnProcess(process, argv[0], argv, env=self._environment())
        except OSError as problem:
            raise GitFailed(f"cannot start {name}: {problem}") from None
        deadline = self._reactor.callLater(seconds, process.end, f"did not end within {seconds:g} s and was killed")
        try:
            code = await process.ended
        finally:
            if deadline.active():
                deadline.cancel()
            if process.running:
                process.end("was cancelled")
                await process.gone
        if process.why is not None:
            raise GitFailed(self._hide(f"{name} {process.why}{process.last_words()}"))
        if code != 0:
            raise GitFailed(self._hide(f"{name} failed ({code}){process.last_words()}"))
        return bytes(process.out)

    def _environment(self) -> dict[bytes, bytes]:
        environment = dict(self._environ) | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        return {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}


class _GitProcess(GroupLeader):
    """One process. `ended` fires with its exit code, `gone` when it is over in any case; `why` is why it was killed."""

    grace_seconds = 3.0

    def __init__(self, reactor: Any, stdin: bytes, most: int) -> None:
        super().__init__(reactor)
        self.out = bytearray()
        self.why: str | None = None
        self.ended: Deferred[int | None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        self._errors = bytearray()
        self._stdin = stdin
        self._most = most

    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        text = decoded(bytes(self._errors)).strip()
        return f": {text[-500:]}" if text else ""

    def connectionMade(self) -> None:
        super().connectionMade()
        transport: Any = self.transport
        if self._stdin:
            transport.write(self._stdin)
        transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        if self.why is None:
            self.out += data
            if len(self.out) > self._most:
                self.end(f"printed more than {self._most} bytes and was killed")

    def errReceived(self, data: bytes) -> None:
        self._errors = (self._errors + data)[-_ERRORS_KEPT:]

    def end(self, why: str) -> None:
        """Kill it and its group: gently, so that git removes its lock files, and then for certain."""
        if self.running and self.why is None:
            self.why = why
            self.stop(signal.SIGTERM)

    def over(self, how: Ended) -> None:
        if not self.ended.called:
            self.ended.callback(how.code)
        self.gone.callback(None)
