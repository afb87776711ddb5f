"""Running one step of a build: whether it runs, what its code answers, and what is written down of it."""

from __future__ import annotations

import traceback
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildbot.model import Result
from buildbot.process.buildstep import BuildStep, BuildStepFailed
from buildbot.process.properties import render
from buildbot.process.rendering import needs_rendering
from buildbot.process.results import ALL_RESULTS, CANCELLED, EXCEPTION, FAILURE, RETRY, SKIPPED
from buildbot.process.slaveport import CommandRefused, SlaveLost
from buildbot.store import steps

_log = Logger()


async def run_step(step: BuildStep, number: int) -> int:
    """Run a step that has its build, from its row to its result."""
    build = step.build
    wrong_name: Exception | None = None
    if needs_rendering(step.name):
        try:
            step.name = await render(step.name, build)
        except CancelledError:
            raise
        except Exception as bug:
            step.name, wrong_name = type(step).name if isinstance(type(step).name, str) else "step", bug
    step.name = build.unique_step_name(build.secrets.mask(str(step.name)))
    step._row = build.store.transact(steps.start, build.id, number, step.name, "starting", build.now())
    build.moved()
    try:
        result = await _result_of(step) if wrong_name is None else _exception(step, wrong_name)
    finally:
        step.finish_logs()
    step.results = result
    text = build.secrets.mask(_text_of(step))
    hidden = _hidden(step)
    build.store.transact(steps.finish, step._row, Result(result), text, hidden, build.now())
    build.store_properties()
    build.moved()
    return result


async def _result_of(step: BuildStep) -> int:
    try:
        for name in step.all_renderables():
            value = getattr(step, name)
            if needs_rendering(value):
                setattr(step, name, await render(value, step.build))
        if step.workdir is None:
            step.workdir = await step.build.default_workdir()
        if not await _is_wanted(step):
            return SKIPPED
        if _was_stopped(step):
            return CANCELLED
        step.write_summary()
        step._running = ensureDeferred(_run(step))
        answer: Any = await step._running
        if answer not in ALL_RESULTS:
            raise TypeError(f"run() of {type(step).__name__} returned {answer!r}, which is not a result")
        result = int(answer)
        return CANCELLED if _was_stopped(step) and result != RETRY else result
    except SlaveLost as lost:
        step.stop_reason = step.stop_reason or str(lost)
        return CANCELLED if step.stopped else RETRY
    except CancelledError:
        return CANCELLED
    except BuildStepFailed:
        return CANCELLED if step.stopped else FAILURE
    except CommandRefused as refused:
        step.note_text("err.text", f"{refused}\n")
        return EXCEPTION
    except Exception as bug:
        return _exception(step, bug)


def _was_stopped(step: BuildStep) -> bool:
    return step.stopped


def _exception(step: BuildStep, bug: Exception) -> int:
    _log.failure("the step {step} of {build} raised", Failure(bug), step=step.name, build=step.build)
    _note(step, bug)
    return EXCEPTION


async def _run(step: BuildStep) -> Any:
    answer: Any = step.run()
    return await answer if isinstance(answer, Deferred) or isawaitable(answer) else answer


def _note(step: BuildStep, bug: Exception) -> None:
    try:
        step.note_text("err.text", "".join(traceback.format_exception(bug)))
    except OSError:
        _log.failure("the traceback of step {step} could not be stored", step=step.name)


async def _is_wanted(step: BuildStep) -> bool:
    wanted = step.doStepIf
    if needs_rendering(wanted):
        wanted = await render(wanted, step.build)
    if callable(wanted):
        wanted = wanted(step)
        if isawaitable(wanted):
            wanted = await wanted
    return bool(wanted)


def _text_of(step: BuildStep) -> str:
    if step.results == SKIPPED and step._running is None:
        return f"{step.name} skipped"
    try:
        text = str(step.getResultSummary().get("step", ""))
    except Exception:
        _log.failure("the summary of step {step} failed", step=step.name)
        text = str(step.name)
    if step.results in (CANCELLED, RETRY) and step.stop_reason and step.stop_reason not in text:
        text = f"{text}: {step.stop_reason}"
    return text


def _hidden(step: BuildStep) -> bool:
    hide = step.hideStepIf
    try:
        return bool(hide(step.results, step) if callable(hide) else hide)
    except Exception:
        _log.failure("hideStepIf of step {step} failed", step=step.name)
        return False
