"""Steps that run one command and judge it by its output, as Buildbot 0.7 and 0.8 had them, and ShellCommand is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import signature
from itertools import chain
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from buildbot.process.buildstep import BuildStep
from buildbot.process.deferring import answer_of
from buildbot.process.logchannels import STDERR, STDOUT
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS, Results, worst_status
from buildbot.process.steplog import StepLog
from buildbot.process.stepmixins import use_logfiles
from buildbot.process.stepstatus import Words, as_words
from buildbot.process.timelimit import LIMIT, TookTooLong

_LOG_TEXTS = {WARNINGS: "warnings", FAILURE: "failed"}


class LoggingBuildStep(BuildStep):
    """A step whose `start` makes a command and gives it to `startCommand`.

    logfiles: {name: path, or {"filename": path, "follow": bool}}: files on the slave that become logs while it runs.
    lazylogfiles (default False): their logs are made when there is output. log_eval_func: function
    (command, step_status) -> result, instead of the exit code.

    When the command has ended, `commandComplete(cmd)`, `createSummary(log)` and `evaluateCommand(cmd)` are called in
    this order; each may be overridden, and may give a Deferred or be a coroutine. Then `getText` and `getText2` say
    what is shown of it, if a subclass has them.
    """

    logfiles: Any = None
    lazylogfiles: Any = False
    log_eval_func: Any = None
    progressMetrics: Any = ("output",)
    parms: ClassVar[Any] = [*BuildStep.parms, "logfiles", "lazylogfiles", "log_eval_func"]
    renderables: ClassVar[Any] = ["logfiles", "lazylogfiles"]
    stdio_log: StepLog | None = None

    def __init__(
        self, logfiles: Any = None, lazylogfiles: Any = None, log_eval_func: Any = None, **kwargs: Any
    ) -> None:
        given = {"logfiles": logfiles, "lazylogfiles": lazylogfiles, "log_eval_func": log_eval_func}
        super().__init__(**kwargs, **{name: value for name, value in given.items() if value is not None})

    def addLogFile(self, logname: str, filename: Any) -> None:
        """One more file to be followed, told before the command begins."""
        self.logfiles = {**(self.logfiles or {}), logname: filename}

    def setupLogfiles(self, cmd: RemoteCommand, logfiles: Mapping[str, Any] | None) -> None:
        """Have logs for the files that are followed."""
        use_logfiles(self, cmd, logfiles or {}, bool(self.lazylogfiles))

    def startCommand(self, cmd: RemoteCommand, errorMessages: Iterable[str] = ()) -> None:
        """Run the command, with its output in the log `stdio`; the step ends when it has been judged.

        errorMessages: lines that are put into the log before.
        """
        self.take_output(cmd, errorMessages)
        judging = Deferred.fromCoroutine(self.run_and_judge(cmd))
        judging.addCallbacks(self.finished, self.failed)  # type: ignore[unused-awaitable]  # goes on in `deferred`
        judging.addErrback(lambda why: BuildStep.failed(self, why))  # type: ignore[unused-awaitable]

    def take_output(self, cmd: RemoteCommand, errorMessages: Iterable[str]) -> None:
        """Have what the command writes in the step's logs."""
        self.cmd = cmd
        log = self.stdio_log = self.logs.get("stdio") or self.new_log("stdio")
        for message in errorMessages:
            _ = log.addHeader(message)
        cmd.useLog(log, True, "stdio")
        self.setupLogfiles(cmd, self.logfiles)

    async def run_and_judge(self, cmd: RemoteCommand) -> int:
        await self.runCommand(cmd)
        return await self.judge(cmd)

    async def judge(self, cmd: RemoteCommand) -> int:
        """The result of a command that has ended, after all that subclasses want to do about it."""
        await answer_of(self.commandComplete(cmd))
        takes_log = bool(signature(self.createSummary).parameters)  # that of 4.x takes none
        log = cmd.logs.get("stdio", self.stdio_log)
        if log is not None or not takes_log:
            await answer_of(self.createSummary(*([log] if takes_log else [])))
        result: int = await answer_of(self.evaluateCommand(cmd))
        self.setStatus(cmd, result)
        return result

    # -- for subclasses to write

    def commandComplete(self, cmd: RemoteCommand) -> Any:
        """The command has ended."""

    def createSummary(self, stdio: Any = None) -> Any:
        """To look at what it has written (`stdio.getText()`, `stdio.readlines()`), and to make logs of that."""

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        """The result of the step."""
        if self.log_eval_func is not None:
            return self.log_eval_func(cmd, self.step_status)
        return cmd.results()

    def getText(self, cmd: RemoteCommand, results: int) -> Any:
        """The step's text at its end: a list of words."""
        text = as_words(self.describe(True))
        return text if results == SUCCESS else [*text, _LOG_TEXTS.get(results) or Results[results]]

    def getText2(self, cmd: RemoteCommand, results: int) -> Any:
        """What it adds to the build's text if its result matters there."""
        return [str(self.name)]

    def maybeGetText2(self, cmd: RemoteCommand, results: int) -> Any:
        if results == SUCCESS:
            return []
        if results == WARNINGS:
            matters = self.flunkOnWarnings or self.warnOnWarnings
        else:
            matters = self.flunkOnFailure or self.warnOnFailure or self.haltOnFailure or results != FAILURE
        return self.getText2(cmd, results) if matters else []

    def setStatus(self, cmd: RemoteCommand, results: int) -> None:
        """Say what came of it, by `getText` and `getText2` where a subclass has its own, else by the summaries."""
        base = LoggingBuildStep
        texts = _words(self.getText(cmd, results)) if _is_own(self, base.getText) else None
        self.said = texts
        if _is_own(self, base.getText2) or _is_own(self, base.maybeGetText2):
            self.said_in_build = _words(self.maybeGetText2(cmd, results))


def _is_own(step: BuildStep, method: Callable[..., Any]) -> bool:
    return getattr(type(step), method.__name__) is not method


def _words(text: Words | None) -> list[str]:
    return as_words(text or [])


def regex_log_evaluator(cmd: RemoteCommand, step_status: Any, regexes: Sequence[tuple[Any, int]]) -> int:
    """For `log_eval_func`: the worst result of those whose expression matches a line of the output.

    regexes: [(expression, result)]; with functools.partial they come first. Only the first 4096 characters of each line
    are looked at. When the expressions take more than 20 ms with each of five lines, the rest is not looked at, and the
    result is at least WARNINGS.
    """
    worst, given_up = cmd.results(), 0
    compiled = [(re.compile(expression), result) for expression, result in regexes]

    def judge(line: str, before: int) -> int:
        for expression, result in compiled:
            if expression.search(line[:4096]):
                before = worst_status(before, result)
        return before

    for log in cmd.logs.values():
        for line in chain(log.readlines(STDOUT), log.readlines(STDERR)):
            try:
                worst = LIMIT.within(0.02, partial(judge, line, worst))
            except TookTooLong:
                worst, given_up = worst_status(worst, WARNINGS), given_up + 1
                if given_up == 5:
                    return worst
    return worst
