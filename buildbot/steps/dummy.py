"""Steps that only take time, for trying things out."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStep
from buildbot.process.rendering import needs_rendering
from buildbot.process.results import FAILURE, SUCCESS
from buildbot.steps.madecommand import MadeCommand
from buildbot.steps.shell import ShellCommand


def _check(step: Any, timeout: Any) -> None:
    wrong = isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout < 0
    if wrong and not needs_rendering(timeout):
        error(f"{type(step).__name__}: timeout is a number of seconds, not {timeout!r}")


class Dummy(BuildStep):
    """Wait for some seconds, on the master.

    timeout: how many (default 5); renderable. A restart of the master does not make the wait longer.
    """

    name = "dummy"
    haltOnFailure = True
    renderables: ClassVar[Any] = ("timeout",)
    ends_with = SUCCESS

    def __init__(self, timeout: Any = 5, **kwargs: Any) -> None:
        self.timeout = timeout
        self._waiting: Deferred[None] | None = None
        _check(self, timeout)
        super().__init__(**kwargs)

    async def run(self) -> int:
        began = self.remember("began", lambda store: self.build.now())
        assert isinstance(began, (int, float))
        self._waiting = Deferred()
        left = max(0.0, float(began) + float(self.timeout) - self.build.now())
        ending = self.build.clock.callLater(left, self._wake)
        try:
            await self._waiting
        finally:
            if ending.active():
                ending.cancel()
        return self.ends_with

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.called:
            self._waiting.callback(None)

    async def interrupt(self, reason: Any) -> None:
        await super().interrupt(reason)
        self._wake()

    def slave_is_lost(self, why: str) -> None:
        self._wake()

    def getCurrentSummary(self) -> dict[str, str]:
        return {"step": self._with_suffix(f"delay {self.timeout} s")}

    getResultSummary = getCurrentSummary


class FailingDummy(Dummy):
    """As Dummy, and fail then."""

    name = "failing dummy"
    ends_with = FAILURE


class RemoteDummy(MadeCommand, ShellCommand):
    """Wait for some seconds on the slave, by its `sleep`.

    timeout: how many (default 5); renderable. The other arguments are those of ShellCommand, but for its timeout.
    """

    name = "remote dummy"
    haltOnFailure = True
    renderables: ClassVar[Any] = ("seconds",)

    def __init__(self, timeout: Any = 5, **kwargs: Any) -> None:
        self.seconds = timeout
        _check(self, timeout)
        super().__init__(timeout=None, **kwargs)

    def argv(self) -> list[Any]:
        return ["sleep", str(self.seconds)]

    def getResultSummary(self) -> dict[str, str]:
        return {"step": self._with_suffix(f"remote delay {self.seconds} s")}
