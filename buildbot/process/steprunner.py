"""Running one step of a build: whether it runs, what its code answers, and what is written down of it."""

from __future__ import annotations

import traceback
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import CancelledError, FirstError, ensureDeferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildbot.model import Result, StepID
from buildbot.process.buildstep import BuildStep, BuildStepCancelled, BuildStepFailed
from buildbot.process.deferring import answer_of
from buildbot.process.ending import GivenUp
from buildbot.process.insisting import insist
from buildbot.process.journal import Diverged, Journal
from buildbot.process.lockqueue import LockDeadlock, LockRefused
from buildbot.process.properties import render
from buildbot.process.propertykeeping import as_they_were, to_keep
from buildbot.process.rendering import needs_rendering
from buildbot.process.results import ALL_RESULTS, CANCELLED, EXCEPTION, FAILURE, RETRY, SKIPPED
from buildbot.process.slaveport import CommandRefused, SlaveLost
from buildbot.process.steplocks import lock_user, take_locks
from buildbot.store import Store, commands, logs, steps

_log = Logger()


_FLAGS = ("haltOnFailure", "flunkOnWarnings", "flunkOnFailure", "warnOnWarnings", "warnOnFailure", "alwaysRun")


async def run_step(step: BuildStep, number: int, record: steps.Record | None = None) -> tuple[int, list[str]]:
    """Run a step that has its build, from its row to its result; answers that, and what it adds to the build's text.

    record: what the store knows of it, if it had begun before a restart of the master.
    """
    build = step.build
    step.replays = record is not None
    step.ended_before = record is not None and record.step.result is not None
    stopped_before = record is not None and build.stopped and build.stop_step == number  # and then the process ended
    wrong_name: Exception | None = None
    if needs_rendering(step.name):
        try:
            step.name = await build.ending.wait_for(render(step.name, build.properties), limited=stopped_before)
        except CancelledError:
            raise
        except Exception as bug:
            step.name, wrong_name = type(step).name if isinstance(type(step).name, str) else "step", bug
    step.name = build.unique_step_name(build.secrets.mask(str(step.name)))
    step._row = await insist(build, _begin, step, number)
    build.step_began_with = build.properties.asDict()
    if step.replays:
        step.journal = Journal(commands.of_step(build.store, step.step_id))
    build.moved()
    try:
        if isinstance(wrong_name, GivenUp):
            raise wrong_name
        if wrong_name is None:
            code = _result_of(step, record)
            result = await build.ending.wait_for(code, limited=stopped_before, excused=step.waits_for_builds)
        else:
            result = _exception(step, wrong_name)
    except GivenUp as given_up:
        _log.warn("{step} of {build} was stopped: {why}", step=step.name, build=build, why=given_up)
        step.stop_reason = step.stop_reason or build.stop_reason
        result = CANCELLED
    finally:
        if build.left:
            step.leave()
        else:
            step.end_commands()
            step.finish_logs()
    if build.left:
        raise CancelledError  # its code has made something else of that
    await build.tests.end_step(step)
    step.results = result = await _synced(step, result)
    words = [build.secrets.mask(each) for each in _words_of(step)]
    text = build.secrets.mask(_text_of(step))
    step.made_steps = step.made_steps or build.has_other_steps()
    await insist(build, _settle, step, text, words)
    build.services.locks.end(lock_user(step))
    if not step.made_steps:  # its code may run once more
        step.forget_asides()
    build.moved()
    return result, words


async def _synced(step: BuildStep, result: int) -> int:
    """Have the logs of a step on the disk before its end is stored. A disk that does not take them is an EXCEPTION."""
    build = step.build
    if not step.logs:
        return result
    try:
        await build.services.in_thread(build.log_files.sync, [log.path for log in step.logs.values()])
    except OSError as problem:
        _log.failure("the logs of step {step} of {build} could not be brought to the disk", step=step.name, build=build)
        step.stop_reason = f"its logs could not be brought to the disk: {problem.strerror}"
        return EXCEPTION
    return result


def _begin(store: Store, step: BuildStep, number: int) -> StepID:
    build = step.build
    now = build.properties.asDict()
    given = None if build.step_began_with == now else to_keep(now, build.secrets)
    id = steps.start(store, build.id, number, str(step.name), "starting", build.now(), given)
    if step.replays:
        logs.reopen(store, id)
    return id


def _settle(store: Store, step: BuildStep, text: str, words: list[str]) -> None:
    """The end of a step, and the properties as it leaves them: a restart finds both or neither."""
    steps.finish(
        store,
        step.step_id,
        Result(step.results or 0),
        text,
        _hidden(step),
        step.build.now(),
        words=words,
        statistics=step.getStatistics(),
        made_steps=step.made_steps,
    )
    if not step.ended_before:
        step.build.store_properties()
        step.build.store_asked_end()


async def recall_step(step: BuildStep, record: steps.Record) -> tuple[int, list[str]]:
    """Make the step what it was at its end, before a restart of the master; its code does not run again.

    Its arguments are rendered all the same: what it does to the build's result is among them, and a secret must be
    hidden in what later steps print. They are rendered with the properties with which it began.
    """
    with as_they_were(step.build.properties, record.began_with):
        await _render_again(step, record)
    step.name = step.build.unique_step_name(record.step.name)
    step._row = record.step.id
    result = record.step.result
    assert result is not None
    step.results = int(result)
    for statistic, value in record.statistics.items():
        step.setStatistic(statistic, value)
    return int(result), record.words


async def _render_again(step: BuildStep, record: steps.Record) -> None:
    for name in step.all_renderables():
        value = getattr(step, name)
        if not needs_rendering(value):
            continue
        try:
            setattr(step, name, await render(value, step.build.properties))
        except CancelledError:
            raise
        except Exception:
            if name in _FLAGS:
                raise
            step_name = record.step.name
            _log.warn("{name} of step {step}, which has ended, cannot be rendered again", name=name, step=step_name)


async def _result_of(step: BuildStep, record: steps.Record | None) -> int:
    try:
        for name in step.all_renderables():
            value = getattr(step, name)
            if isinstance(value, (list, dict)) or needs_rendering(value):  # its own: `self.command += [...]` is usual
                setattr(step, name, await render(value, step.build.properties))
        if step.workdir is None:
            step.setDefaultWorkdir(await step.build.default_workdir())
        began = record is not None and record.code_began  # then it was wanted, whatever is the case now
        if not began and not await _is_wanted(step):
            return SKIPPED
        if _was_stopped(step):
            return CANCELLED
        return await _run_code(step, record)
    except SlaveLost as lost:
        step.stop_reason = step.stop_reason or str(lost)
        return CANCELLED if step.stopped else RETRY
    except LockDeadlock as circle:
        step.stop_reason = str(circle)
        return RETRY
    except Diverged as other:
        if record is not None:
            step.build.is_not_to_blame()
        step.stop_reason = f"it cannot go on: {other}"
        return RETRY
    except CancelledError:
        if step.build.left:
            raise
        return CANCELLED
    except BuildStepCancelled:
        return CANCELLED
    except BuildStepFailed:
        return CANCELLED if step.stopped else FAILURE
    except (CommandRefused, LockRefused) as refused:
        step.note_text("err.text", f"{refused}\n")
        return EXCEPTION
    except Exception as bug:
        result = _exception(step, bug)
        return CANCELLED if _was_stopped(step) else result  # it found less than it was written for


async def _run_code(step: BuildStep, record: steps.Record | None) -> int:
    build, began = step.build, record is not None and record.code_began
    if began and not step.ended_before:
        await take_locks(step, already_held=True)
    build.settle()
    if not began:
        if record is not None and build.stopped and build.stop_step == record.step.number:
            await BuildStep.interrupt(step, build.stop_reason)  # somebody had asked for it before the restart
            return CANCELLED
        await take_locks(step, already_held=False)
    await build.a_session()
    if _was_stopped(step):
        return CANCELLED
    if record is not None and record.code_began and not step.resumable:
        if not step.idempotent:
            raise Diverged(f"what {step.name} does outside of the slave may or may not have been done")
        _forget_what_it_did(step)
    text = build.secrets.mask(step.text_now())
    await insist(build, steps.begin, step.step_id, text, build.now())
    step._running = ensureDeferred(_run(step))
    if record is not None and build.stopped and build.stop_step == record.step.number:
        interrupted = maybeDeferred(step.interrupt, build.stop_reason)  # somebody had asked for it before the restart
        interrupted.addErrback(lambda why: _log.failure("interrupting failed", why))  # type: ignore[unused-awaitable]
    answer: Any = await step._running
    if answer not in ALL_RESULTS:
        raise TypeError(f"run() of {type(step).__name__} returned {answer!r}, which is not a result")
    result = int(answer)
    if not step.stopped:
        step.journal.close()
    return CANCELLED if _was_stopped(step) and result != RETRY else result


def _forget_what_it_did(step: BuildStep) -> None:
    """It runs again from its beginning, because that does no harm; but not beside what it had begun before."""
    build = step.build
    step.journal.forget()
    step.replays = False
    step.runs_anew = True
    for command in commands.of_step(build.store, step.step_id):
        if build.store.transact(commands.lose, command.id, build.now()) and build.session is not None:
            build.session.disown(command.id)


def _was_stopped(step: BuildStep) -> bool:
    return step.stopped


def _exception(step: BuildStep, bug: Exception) -> int:
    _log.failure("the step {step} of {build} raised", Failure(bug), step=step.name, build=step.build)
    _note(step, bug)
    return EXCEPTION


async def _run(step: BuildStep) -> Any:
    try:
        await answer_of(step.addTestResultSets())
        answer: Any = await answer_of(step.begin_code())
        await answer_of(step.finishTestResultSets())
        return answer
    except FirstError as first:  # of several things at once: what it is counts, not where
        why: Any = first
        while isinstance(why, FirstError):
            why = why.subFailure.value
        raise why from first


def _note(step: BuildStep, bug: Exception) -> None:
    try:
        step.note_text("err.text", "".join(traceback.format_exception(bug)))
    except OSError:
        _log.failure("the traceback of step {step} could not be stored", step=step.name)


async def _is_wanted(step: BuildStep) -> bool:
    wanted = step.doStepIf
    if needs_rendering(wanted):
        wanted = await render(wanted, step.build.properties)
    if callable(wanted):
        wanted = wanted(step)
        if isawaitable(wanted):
            wanted = await wanted
    return bool(wanted)


def _text_of(step: BuildStep) -> str:
    if step.results == SKIPPED and step._running is None:
        return f"{step.name} skipped"
    try:
        begun = step._running is not None or step.results != CANCELLED  # else its arguments may be as they were given
        text = step.text_now() if begun else f"{step.name} cancelled"
    except Exception:
        _log.failure("the summary of step {step} failed", step=step.name)
        text = str(step.name)
    if step.results in (CANCELLED, RETRY, EXCEPTION) and step.stop_reason and step.stop_reason not in text:
        text = f"{text}: {step.stop_reason}"
    return text


def _words_of(step: BuildStep) -> list[str]:
    """What a step adds to the text of its build: what it wants to say there, or its name if it did not go well, unless
    its flags say that this does not count."""
    if step.said_in_build is not None:
        return step.said_in_build
    try:
        said = step.getBuildResultSummary().get("build")
    except Exception:
        said = None  # logged when the step's own text was made of the same summary
    if said:
        return [str(said)]
    if step.updateBuildSummaryPolicy is not None or not _counts(step):
        return []
    return [str(step.name)]


def _counts(step: BuildStep) -> bool:
    match step.results:
        case Result.FAILURE:
            return bool(step.flunkOnFailure or step.warnOnFailure or step.haltOnFailure)
        case Result.WARNINGS:
            return bool(step.flunkOnWarnings or step.warnOnWarnings)
        case Result.EXCEPTION | Result.RETRY | Result.CANCELLED:
            return True
    return False


def _hidden(step: BuildStep) -> bool:
    hide = step.hideStepIf
    try:
        return bool(hide(step.results, step) if callable(hide) else hide)
    except Exception:
        _log.failure("hideStepIf of step {step} failed", step=step.name)
        return False
