"""The step contract: what a build step is, and what it may ask for while it runs.

A step is made when the configuration is read and again for every build. `run()` is the step's own code; everything
around it (when it runs, what its result means, what is stored) is in buildbot.process.steprunner. The names are
Buildbot's, because users' steps subclass `BuildStep` and call them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from buildbot.config.errors import did_you_mean, error, remember_place
from buildbot.config.keys import ENCODING, is_encoding
from buildbot.model import JSON, StepID
from buildbot.process.deferring import gives_deferred
from buildbot.process.factory import Recreatable
from buildbot.process.journal import Journal
from buildbot.process.observers import (
    BufferLogObserver,
    LineConsumerLogObserver,
    LogLineObserver,
    LogObserver,
    OutputProgressObserver,
)
from buildbot.process.oldstyle import OldStyle
from buildbot.process.overridden import check_overrides
from buildbot.process.remotecommand import RemoteCommand, RemoteShellCommand
from buildbot.process.results import CANCELLED, SUCCESS, Results
from buildbot.process.slaveport import CommandRefused
from buildbot.process.stepfacts import StepFacts
from buildbot.process.steplog import DONE, Done, StepLog
from buildbot.process.steplogs import StepLogs
from buildbot.process.stepmixins import BuildStepCancelled, BuildStepFailed, CommandMixin, ShellMixin, words
from buildbot.process.testresults import TellsTests
from buildbot.store import Store, commands, steps

__all__ = [
    "BufferLogObserver",
    "BuildStep",
    "BuildStepCancelled",
    "BuildStepFailed",
    "CommandMixin",
    "LineConsumerLogObserver",
    "LogLineObserver",
    "LogObserver",
    "OutputProgressObserver",
    "RemoteCommand",
    "RemoteShellCommand",
    "ShellMixin",
]

SUMMARY_SECONDS = 1.0  # a running step's text is written at most this often


class BuildStep(OldStyle, TellsTests, StepLogs, StepFacts, Recreatable):
    """One step of a build. Subclasses write `async def run(self) -> int` and return a result; those of 0.7 and 0.8
    write `start(self)` and call `finished(result)`.

    name: also names its logs' files; made unique in its build. haltOnFailure: a failure stops the build, but for
    steps with alwaysRun. flunkOnFailure, flunkOnWarnings: make the build fail. warnOnFailure, warnOnWarnings: make
    it WARNINGS. doStepIf: bool, renderable or function of the step. hideStepIf: bool or function (results, step).
    description, descriptionDone, descriptionSuffix: string or list of words. locks: list of locks that it
    waits for and has while it runs; renderable. workdir: where its commands run, relative to the builder's directory
    (default: the factory's, `build`). logEncoding: of its output. updateBuildSummaryPolicy: whether its text goes into
    the build's (None: when it is not a success).
    """

    haltOnFailure: Any = False
    flunkOnWarnings: Any = False
    flunkOnFailure: Any = True
    warnOnWarnings: Any = False
    warnOnFailure: Any = False
    alwaysRun: Any = False
    doStepIf: Any = True
    hideStepIf: Any = False
    name: Any = "generic"
    description: Any = None
    descriptionDone: Any = None
    descriptionSuffix: Any = None
    locks: Any = ()
    workdir: Any = None
    logEncoding: str | None = None
    updateBuildSummaryPolicy: Any = None
    progressMetrics: Any = ()
    useProgress: Any = True
    resumable = True  # its code may be run again over the journal after a restart
    idempotent = False  # it may simply be run again

    parms: ClassVar[Any] = [
        "name",
        "locks",
        "haltOnFailure",
        "flunkOnWarnings",
        "flunkOnFailure",
        "warnOnWarnings",
        "warnOnFailure",
        "alwaysRun",
        "progressMetrics",
        "useProgress",
        "doStepIf",
        "hideStepIf",
        "description",
        "descriptionDone",
        "descriptionSuffix",
        "logEncoding",
        "updateBuildSummaryPolicy",
        "workdir",
    ]
    renderables: ClassVar[Any] = [
        "name",
        "locks",
        "haltOnFailure",
        "flunkOnWarnings",
        "flunkOnFailure",
        "warnOnWarnings",
        "warnOnFailure",
        "alwaysRun",
        "description",
        "descriptionDone",
        "descriptionSuffix",
        "workdir",
    ]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_overrides(cls)
        for name in ("parms", "renderables"):  # lists, as they always were: subclasses write `Base.parms + [...]`
            if isinstance(vars(cls).get(name), tuple):
                setattr(cls, name, list(vars(cls)[name]))

    def __init__(self, **kwargs: Any) -> None:
        remember_place(self)
        for name in self.parms:
            if name in kwargs:
                setattr(self, name, kwargs.pop(name))
        for name in kwargs:
            error(f"{type(self).__name__} has no argument {name!r}", did_you_mean(name, self._argument_names()))
        self._check_arguments()
        self.build: Any = None
        self.results: int | None = None
        self.stopped = False
        self.timed_out = False
        self.max_lines_reached = False
        self.progress: dict[str, float] = {}
        self.logs: dict[str, StepLog] = {}
        self._observers: dict[str, list[LogObserver]] = {}
        self._urls: list[tuple[str, str]] = []
        self._statistics: dict[str, Any] = {}
        self._commands: list[RemoteCommand] = []  # those that run
        self.cmd: RemoteCommand | None = None  # the latest
        self.said: list[str] | None = None  # its text, if its code gave it one (step_status.setText)
        self.said_in_build: list[str] | None = None
        self._over = False  # its code has come to its end
        self._row: StepID | None = None
        self.journal = Journal()
        self.replays = False  # its code runs again over its journal, after a restart of the master
        self.runs_anew = False  # it runs again from its beginning, because that does no harm
        self.made_steps = False
        self.ended_before = False  # it had ended before the restart, and its code runs only to make steps again
        self._asides: list[str] = []
        self._running: Deferred[int] | None = None
        self._summary_due: Any = None
        self.stop_reason = ""

    @classmethod
    def _argument_names(cls) -> list[str]:
        import inspect

        names = set(cls.parms)
        for base in cls.__mro__:
            if "__init__" in vars(base) and base is not object:
                names.update(
                    name
                    for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
                    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name != "self"
                )
        return sorted(names)

    def _check_arguments(self) -> None:
        name = self.name
        if not hasattr(type(name), "getRenderingFor") and (not isinstance(name, str) or not name):
            error(f"{type(self).__name__}: name is a string, not {name!r}")
        if self.logEncoding is not None and not is_encoding(self.logEncoding):
            error(f"{type(self).__name__}: logEncoding is {ENCODING.says}, not {self.logEncoding!r}")
        for argument in ("description", "descriptionDone", "descriptionSuffix"):
            value = getattr(self, argument)
            if not (value is None or isinstance(value, (str, list, tuple)) or hasattr(type(value), "getRenderingFor")):
                error(f"{type(self).__name__}: {argument} is a string or a list of strings, not {value!r}")

    # -- for subclasses to write

    async def run(self) -> int:
        """The step's work. Returns a result. What subclasses do not write anew is the old style: `start` and what
        comes after it."""
        return await self._run_started()

    def describe(self, done: bool = False) -> Any:
        """Words for the step's text while it runs (done=False) and once it has ended; a list or a string."""
        said = (words(self.descriptionDone) if done else "") or words(self.description) or self.own_words()
        return [self._with_suffix(said or ("finished" if done else "running"))]

    def own_words(self) -> str:
        """What `describe` says of a step that has no description."""
        return ""

    def getCurrentSummary(self) -> dict[str, str]:
        """What the step says of itself while it runs: {"step": text}."""
        return {"step": words(self.describe(False)) or "running"}

    def getResultSummary(self) -> dict[str, str]:
        """What it says once it has ended: {"step": text}, and "build" for a text in the build's own line."""
        return {"step": self._with_result(words(self.describe(True)) or "finished")}

    def getBuildResultSummary(self) -> dict[str, str]:
        """The result summary, with its "build" part left out or filled in as updateBuildSummaryPolicy says."""
        summary = dict(self.getResultSummary())
        policy = self.updateBuildSummaryPolicy
        wanted = self.results in policy if isinstance(policy, (list, tuple, set)) else policy
        if wanted and "build" not in summary:
            summary["build"] = summary.get("step", "")
        elif policy is not None and not wanted:
            summary.pop("build", None)
        return summary

    @gives_deferred
    async def interrupt(self, reason: Any) -> None:
        """Stop what the step does; a subclass that waits for something else ends that too. May be awaited."""
        self.stopped = True
        self.stop_reason = str(reason)
        for command in list(self._commands):
            await command.interrupt(self.stop_reason)

    def _with_result(self, text: str) -> str:
        """What it says once it has ended, with its result if that is no success, and the limit that it has reached."""
        if self.results in (SUCCESS, None):
            return text
        text += f" ({Results[self.results]})"
        if self.results == CANCELLED:
            return text
        return text + (" (timed out)" if self.timed_out else " (max lines)" if self.max_lines_reached else "")

    def _with_suffix(self, text: str) -> str:
        suffix = words(self.descriptionSuffix)
        return f"{text} {suffix}" if suffix else text

    # -- what a step may ask for

    @gives_deferred
    async def runCommand(self, command: RemoteCommand) -> RemoteCommand:
        """Run a command on the slave and wait for its end. Several may run at once; what still runs when the step's
        code ends is killed. Raises SlaveLost, CommandRefused."""
        if self._over:
            raise CommandRefused(f"step {self.name} has ended; it can run no more commands")
        if self.stopped:
            command.rc = -1
            command.outcome = {"reason": "interrupted", "rc": -1}
            return command
        self.cmd = command
        self._commands.append(command)
        try:
            await command.run(self)
        finally:
            self._commands.remove(command)
        if command.outcome.get("error") and not self.stop_reason:
            self.stop_reason = str(command.outcome["error"])  # shown if the step is an EXCEPTION for it
        if command.reason in ("timeout", "timeout_without_output"):
            self.timed_out = True
        self.max_lines_reached = self.max_lines_reached or command.reason == "max_lines_failure"
        return command

    def remember(self, name: str, work: Callable[[Store], JSON]) -> JSON:
        """Do `work(store)` in one transaction, exactly once for this step, and give what it returned.

        For what a step does in the store itself, such as triggering builds: when the step's code runs again after a
        restart, the value that is in the journal is returned and nothing is done. `name` says what it is; the value is
        plain data. Raises Diverged when the journal has something else in this place.
        """
        known = self.journal.take(name)
        if known is not None:
            return (known.outcome or {}).get("value")
        found: JSON = self.build.store.transact(
            commands.remember, self.step_id, self.journal.next_ordinal(), name, work, self.build.now()
        )
        return found

    def recall(self, name: str) -> JSON:
        """What `remember` with this name would give without doing anything, on a replay; None when it would do it."""
        return None if self.journal.look(name) is None else self.remember(name, lambda _: None)

    def updateSummary(self) -> Done:
        """The text has changed; it is written within a second."""
        if self._row is not None and self._summary_due is None:
            self._summary_due = self.build.clock.callLater(SUMMARY_SECONDS, self.write_summary)
        return DONE

    def write_summary(self) -> None:
        """Write down what the step says of itself now."""
        self._summary_due = None
        if self._row is not None and self.results is None:
            text = self.build.secrets.mask(self.text_now())
            self.build.store.transact(steps.set_text, self._row, text)
            self.build.moved()

    # -- for job control

    @property
    def step_id(self) -> StepID:
        assert self._row is not None, "the step does not run"
        return self._row

    @property
    def over(self) -> bool:
        return self._over

    def waits_for_builds(self) -> bool:
        """Whether the step waits for builds that are stopped along with it: it may, however long they take to end."""
        return False

    def text_now(self) -> str:
        """What it says of itself: what its code has said, or else its summary."""
        if self.said is not None:
            return words(self.said)
        summary = self.getCurrentSummary() if self.results is None else self.getResultSummary()
        return str(summary.get("step", ""))

    def slave_is_lost(self, why: str) -> None:
        """The slave is gone for good. A step that waits for something else than its commands ends that."""

    def leave(self) -> None:
        """This process ends; the next one goes on with the step."""
        if self._summary_due is not None and self._summary_due.active():
            self._summary_due.cancel()
        for command in self._commands:
            command.leave()
        for log in self.logs.values():
            log.leave()

    def end_commands(self) -> None:
        """Its code has ended: what it has not waited for is killed, and none may begin."""
        self._over = True
        for command in list(self._commands):
            command.abandon(f"step {self.name} has ended without waiting for it")

    def finish_logs(self) -> None:
        if self._summary_due is not None and self._summary_due.active():
            self._summary_due.cancel()
        self._summary_due = None
        self.close_logs()

    @classmethod
    def all_renderables(cls) -> tuple[str, ...]:
        """The names of the attributes that are rendered before the step runs: those of all its bases."""
        own: tuple[str, ...] | None = vars(cls).get("_all_renderables")
        if own is None:
            names: dict[str, None] = {}
            for base in reversed(cls.__mro__):
                names.update(dict.fromkeys(vars(base).get("renderables", ())))
            own = tuple(names)
            cls._all_renderables = own  # type: ignore[attr-defined]
        return own
