"""A case of the table, and what it may use of the test that runs it."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from buildbot.config.names.steps import OURS
from buildbot.process.factory import BuildFactory
from buildbot.process.results import SKIPPED
from tests.dialects.cases import PeerCase
from tests.rig import Built, Source
from tests.steps.case import StepsCase

#: The classes of the catalogue, by their modules.
KNOWN = {getattr(import_module(module), name): module for module, names_of_it in OURS.items() for name in names_of_it}


class Here(PeerCase, StepsCase):
    """The test that runs cases: `run_steps`, and the files of the steps' directory, which begins empty."""

    makes_text: ClassVar[bool] = False  # whole lines, of what programs print; what is no UTF-8 is lost then

    async def setUp(self) -> None:
        await super().setUp()
        self.ran: set[type] = set()

    def begin(self) -> None:
        """The next case."""
        self.ran.clear()
        for path in self.work.parent.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    async def build(self, factory: BuildFactory, *sources: Source, **options: Any) -> Built:
        """Build it on builder `b`; the classes of its steps that have run are in `ran`."""
        self.rig.add_builder("b", factory, **options)
        given = factory.new_steps()
        built = await self.rig.build("b", *sources)
        done = [step.result not in (None, SKIPPED) for step in built.steps]
        for step, has_run in zip(given, done, strict=False):
            if has_run:  # a subclass stands for the nearest class of the catalogue
                self.ran.add(next(kind for kind in type(step).__mro__ if kind in KNOWN))
        return built

    async def run_steps(self, *given: Any, sources: Any = (), **options: Any) -> Built:
        return await self.build(BuildFactory(list(given)), *sources, **options)


@dataclass(frozen=True)
class Case:
    """Steps of these classes are run by this function."""

    classes: tuple[type, ...]
    run: Callable[[Here], Awaitable[None]]

    @property
    def name(self) -> str:
        return self.run.__name__


def case(*classes: type) -> Callable[[Callable[[Here], Awaitable[None]]], Case]:
    """The function runs steps of these classes, or of subclasses that change no more than a stand-in needs."""
    return lambda run: Case(classes, run)
