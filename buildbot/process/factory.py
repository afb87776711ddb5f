"""What a builder does: the list of its steps, kept as recipes from which each build makes its own step objects."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any, Self

from zope.interface import Interface, implementer

from buildbot.config.errors import Location, error, is_broken, location_of, remember_place
from buildbot.process.calling import called


class IBuildStepFactory(Interface):
    """A step, or what makes one: `IBuildStepFactory(step)` is the step, as configurations of 0.8 to 4.x write it."""


@implementer(IBuildStepFactory)
class StepFactory:
    """The class of a step and the arguments it was made with; `buildStep()` makes it again."""

    __slots__ = ("_config_location", "args", "factory", "kwargs")

    def __init__(self, factory: Callable[..., Any], args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None):
        self.factory = factory
        self.args = tuple(args)
        self.kwargs = dict(kwargs or {})
        self._config_location: Location | None = None
        remember_place(self)

    def buildStep(self) -> Any:
        """A new step. Raises what its constructor raises."""
        return self.factory(*self.args, **self.kwargs)

    def __repr__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{getattr(self.factory, '__name__', self.factory)}({', '.join(arguments)})"


@implementer(IBuildStepFactory)
class Recreatable:
    """Base of every step: remembers the arguments it was made with, whatever its subclasses' constructors do."""

    _step_factory: StepFactory

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._step_factory = StepFactory(cls, args, kwargs)
        return made

    def get_step_factory(self) -> StepFactory:
        """The recipe for another step like this one."""
        return self._step_factory

    def set_step_arg(self, name: str, value: Any) -> None:
        """Give the step another argument, before it is added to a factory."""
        self._step_factory.kwargs[name] = value
        self._step_factory.buildStep()  # which says what is wrong with it

    def is_exact_step_class(self, klass: type) -> bool:
        return type(self) is klass

    def addFactoryArguments(self, **kwargs: Any) -> None:
        """Buildbot 0.7 and 0.8 asked for this in subclasses; here the arguments are known already."""


def s(steptype: Callable[..., Any], **kwargs: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A step for BuildFactory's list, as configurations before 0.7.6 write it."""
    return (steptype, kwargs)


def step_factory_of(step: Any) -> StepFactory:
    """The recipe of a step given in any of the forms: an instance, a class, a `(class, kwargs)` pair, a recipe.

    Raises TypeError for anything else.
    """
    if isinstance(step, StepFactory):
        return step
    if isinstance(step, Recreatable):
        return step.get_step_factory()
    if isinstance(step, type):
        return StepFactory(step)
    if isinstance(step, tuple) and len(step) == 2 and callable(step[0]) and isinstance(step[1], dict):
        return StepFactory(step[0], (), step[1])
    raise TypeError(f"{step!r} is not a build step")


class BuildFactory:
    """The steps of a builder, in order.

    steps: step instances (or the older forms: classes, `s(Class, **kwargs)`). The attribute `workdir` (a string, a
    renderable, or a function of the source stamp or list of them) is where steps run when they do not say otherwise.
    """

    workdir: Any = "build"
    useProgress = True
    buildClass: Any = None  # a subclass of buildbot.process.build.Build; None: that itself
    skipBuildIf: Any = None  # a function of the build: see setSkipBuildIf

    def __init__(self, steps: Sequence[Any] | None = None) -> None:
        self.steps: list[Any] = []
        remember_place(self)
        if steps:
            self.addSteps(steps)

    def addStep(self, step: Any, **kwargs: Any) -> None:
        """Add one step: `addStep(ShellCommand(command="make"))`, or the older `addStep(ShellCommand, command=...)`."""
        if kwargs and not isinstance(step, type):
            error(f"addStep() takes more arguments only after a step's class, not after {step!r}")
            return
        try:
            recipe = StepFactory(step, (), kwargs) if isinstance(step, type) else step_factory_of(step)
        except TypeError as wrong:
            error(f"addStep(): {wrong}")
            return
        if not isinstance(step, Recreatable):
            _try_out(recipe)
        if not is_broken(step):
            self.steps.append(recipe)

    def addSteps(self, steps: Iterable[Any], withSecrets: Any = None) -> None:
        """Add several steps. withSecrets: list of (path on the slave, Secret): files that are there while they run."""
        if isinstance(steps, (str, Recreatable)) or not isinstance(steps, Iterable):
            error(f"addSteps() takes a list of steps, not {steps!r}", "one step is added with addStep()")
            return
        with self.withSecrets(withSecrets) if withSecrets else nullcontext():
            for step in steps:
                self.addStep(step)

    @contextmanager
    def withSecrets(self, secrets: Any) -> Iterator[Self]:
        """`with factory.withSecrets([(path on the slave, Secret)]):` the files are there while the steps run that are
        added inside."""
        kinds = import_module("buildbot.steps.download_secret_to_worker")
        self.addStep(kinds.DownloadSecretsToWorker(secrets))
        yield self
        self.addStep(kinds.RemoveWorkerFileSecret(secrets))

    def setSkipBuildIf(self, predicate: Any) -> None:
        """Builds for which `predicate(build)` is true are SKIPPED; no step of theirs runs. It may answer with a
        Deferred."""
        if callable(predicate):
            self.skipBuildIf = predicate
        else:
            error(f"setSkipBuildIf() takes a function of the build, not {predicate!r}")

    def newBuild(self, requests: Sequence[Any], builder: Any = None) -> Any:
        """A Build for these requests, which runs later. A subclass may make it otherwise, or give it attributes."""
        kind = self.buildClass or import_module("buildbot.process.build").Build  # which knows factories
        return called(kind, requests, builder)

    def new_steps(self) -> list[Any]:
        """The step objects of one build. Entries that a subclass put into `steps` itself may have any form."""
        return [step_factory_of(step).buildStep() for step in self.steps]

    def clone(self) -> Self:
        """Another factory with the same steps, to which more may be added."""
        other = copy.copy(self)
        other.steps = list(self.steps)
        return other

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.steps)} steps>"


def _try_out(recipe: StepFactory) -> None:
    """A step that is made only when a build runs would show its mistakes only then: make one now."""
    step = recipe.buildStep()
    if location_of(step) is None:
        remember_place(step)
