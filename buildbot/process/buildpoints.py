"""What a subclass of Build may override, and what steps do to their build: the customisation points of every era."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from buildbot.config.errors import error
from buildbot.model import Result
from buildbot.process.atslave import AtSlave
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import SKIPPED, SUCCESS, computeResultAndTermination
from buildbot.process.stepstatus import Words, as_words
from buildbot.store import builds

#: What Buildbot called in some era and this version does not -> what to override instead.
NEVER_CALLED = {
    "acquireLocks": "locks are taken before the build begins; give them to BuilderConfig(locks=[...])",
    "allStepsDone": "override buildFinished(self, text, results), which is called when all steps have run",
    "lostRemote": "a build waits for a slave that is away, and ends as RETRY if it does not come back",
    "startBuild": "override setupBuild(self), which is called before the first step",
    "startNextStep": "override getNextStep(self), which gives the step that runs next, or None",
}


class BuildPoints(AtSlave):
    """The part of a Build that subclasses extend. After a restart of the master each is called again for what has ended
    before, so that they should do the same again."""

    steps: list[BuildStep]  # those that are still to run
    _steps_before: list[BuildStep]  # the same, when the running step began
    executedSteps: list[BuildStep]
    results: int
    stopped: bool
    stop_reason: str
    stop_step: int | None
    asked_end: tuple[int, str] | None  # by buildFinished: what it comes to, and its text
    _came_to: int
    _stop_result: int

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in NEVER_CALLED.keys() & vars(cls).keys():
            error(f"{cls.__name__}.{name}() is not called in this version", NEVER_CALLED[name])

    # -- for subclasses to extend

    def setupProperties(self) -> Any:
        """The build has its properties; give it more. Called once, when the build begins."""

    def setupBuild(self, expectations: Any = None) -> Any:
        """Make the steps. A subclass calls this, and then looks at `self.steps` or changes it."""
        self.steps = list(self.config.factory.new_steps())

    def getNextStep(self) -> Any:
        """The step that runs next, taken out of `self.steps`; None: all have run."""
        return self.steps.pop(0) if self.steps else None

    def stepDone(self, result: int, step: Any) -> Any:
        """A step has ended: `self.results` is what the build has come to so far. True: only those with alwaysRun run
        after it."""
        self._came_to, stops = computeResultAndTermination(step, result, self._came_to)
        self.results = SUCCESS if self._came_to == SKIPPED else self._came_to
        return stops

    def buildFinished(self, text: Words, results: int) -> Any:
        """End the build with this text and result: after the current step only those with alwaysRun run.

        A step may call it. A subclass that overrides it is told, too, when all steps have run.
        """
        self.asked_end = int(results), " ".join(as_words(text))

    # -- for steps

    def addStepsAfterCurrentStep(self, recipes: Sequence[Any]) -> None:
        """Run these steps next (step objects or recipes of a factory)."""
        self.steps[:0] = self._made(recipes)

    def addStepsAfterLastStep(self, recipes: Sequence[Any]) -> None:
        self.steps.extend(self._made(recipes))

    def has_other_steps(self) -> bool:
        """Whether the code of the running step has itself changed `self.steps`, by which it made steps, too."""
        return [*map(id, self.steps)] != [*map(id, self._steps_before)]

    def _made(self, recipes: Sequence[Any]) -> list[BuildStep]:
        if self.currentStep is not None:
            self.currentStep.made_steps = True  # after a restart, its code has to make them again
        return [recipe if isinstance(recipe, BuildStep) else recipe.buildStep() for recipe in recipes]

    def getSummaryStatistic(self, name: str, summary_fn: Callable[[Any, Any], Any], initial_value: Any = None) -> Any:
        """The numbers of this name of all steps that have ended, put together: `summary_fn(so far, number)`."""
        numbers = [step.getStatistic(name) for step in self.executedSteps if step.hasStatistic(name)]
        if initial_value is None:
            return reduce(summary_fn, numbers) if numbers else None
        return reduce(summary_fn, numbers, initial_value)

    def setUniqueStepName(self, step: Any) -> None:
        """Give a step that is to be added a name that no other has."""
        step.name = self.unique_step_name(str(step.name))

    def unique_step_name(self, name: str) -> str:
        raise NotImplementedError

    # -- for job control

    def store_asked_end(self) -> None:
        """The running step ends, and has asked for the build's end: write it down with that."""
        if self.asked_end is None or self.stopped:
            return
        result, text = self.asked_end
        step = len(self.executedSteps)

        def stands() -> None:
            self.stopped, self.stop_reason, self.stop_step, self._stop_result = True, text, step, result

        self.store.transact(builds.ask_to_stop, self.id, text, Result(result), step)
        self.store.after_commit(stands)
