"""Steps as Buildbot 0.7 and 0.8 had them: `start()` begins the work, and `finished(result)` says that it is over.

The code of `start` runs again after a restart of the master like that of any `run`, over the step's journal.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildbot.config.errors import without_effect
from buildbot.process.deferring import answer_of
from buildbot.process.results import SKIPPED
from buildbot.process.slaveport import SlaveLost
from buildbot.process.stepstatus import RunningStepStatus


class OldStyle:
    """The part of a BuildStep that such steps override and call."""

    _log = Logger()
    deferred: Deferred[int] | None = None  # fires with the step's result

    # -- for subclasses to write

    def start(self) -> Any:
        """Begin the step's work. `finished` or `failed` must be called, now or later; or return SKIPPED.

        May return a Deferred: what it fails with, the step fails with. Of a step of Buildbot's own that has run(), a
        subclass calls this to have that done.
        """
        runs: Any = type(self).run  # type: ignore[attr-defined]  # of BuildStep
        if runs is _first_base(self).run:
            raise NotImplementedError(
                f"{type(self).__name__} has neither `async def run(self)`, which returns a result, nor a start()"
            )
        doing = Deferred.fromCoroutine(answer_of(runs(self)))
        doing.addCallbacks(self.finished, self.failed)  # type: ignore[unused-awaitable]  # goes on in `deferred`
        doing.addErrback(lambda why: OldStyle.failed(self, why))  # type: ignore[unused-awaitable]

    # -- for subclasses to call, or to extend

    def finished(self, results: int) -> None:
        """The step has come to its end with this result. Only the first end counts."""
        if not self._end().called:
            self._end().callback(results)

    def failed(self, why: Any) -> None:
        """The step's code went wrong. why: a Failure or an exception; a BuildStepFailed makes the step FAILURE, the
        loss of its slave RETRY, anything else EXCEPTION with the traceback in `err.text`."""
        if not self._end().called:
            self._end().errback(why)
        elif not (isinstance(why, Failure) and why.check(CancelledError, SlaveLost)):
            self._log.error("step {step} has ended, and then failed: {why}", step=self, why=why)

    @cached_property
    def step_status(self) -> RunningStepStatus:
        """What Buildbot 0.7 and 0.8 call the status of the step: setText, addURL, getLogs ..."""
        return RunningStepStatus(self)

    def startStep(self, remote: Any) -> Deferred[int]:
        """What a Build of Buildbot's calls to have the step run: a subclass does something before, or after. Gives the
        result. remote: None here."""
        return Deferred.fromCoroutine(answer_of(self._own_code()))

    # -- running

    def begin_code(self) -> Any:
        """The step's code, in its startStep() if a subclass has written one."""
        return self._own_code() if type(self).startStep is OldStyle.startStep else self.startStep(None)

    def _own_code(self) -> Any:
        """The step's code: its run(), or start(), which a subclass of a step of ours may have written without knowing
        that this has run() now."""
        kind: Any = type(self)
        runs: Any = next(each for each in kind.__mro__ if "run" in vars(each))
        ours = runs is not _first_base(self) and runs.__module__.startswith("buildbot.")
        if ours and getattr(runs, "start", None) is OldStyle.start:  # a mixin of ours with run() has no start
            if any(getattr(kind, name) is not getattr(runs, name) for name in ("start", "finished", "failed")):
                return self._run_started()
        return kind.run(self)

    def _end(self) -> Deferred[int]:
        if self.deferred is None:
            raise RuntimeError(f"{type(self).__name__} does not run by start(): its run() returns the result")
        return self.deferred

    async def _run_started(self) -> int:
        over = self.deferred = Deferred()

        def begun(skipped: Any) -> None:
            if skipped == SKIPPED and not over.called:
                over.callback(SKIPPED)

        beginning = maybeDeferred(self.start)
        beginning.addCallbacks(begun, self.failed)  # type: ignore[unused-awaitable]  # goes on in `over`
        beginning.addErrback(lambda why: OldStyle.failed(self, why))  # type: ignore[unused-awaitable]
        return await over


def drop_old_arguments(step: object, arguments: dict[str, Any]) -> None:
    """Take out the arguments that were those of all steps with a command in 0.8, and say that they have no effect."""
    for name in ("logfiles", "lazylogfiles", "log_eval_func"):
        if arguments.pop(name, None):
            without_effect(f"{type(step).__name__}: {name}")


def _first_base(step: OldStyle) -> Any:
    """BuildStep: the class that has run() for all."""
    return [each for each in type(step).__mro__ if "run" in vars(each)][-1]
