"""CMake: the step that configures a project."""

from __future__ import annotations

from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.rendering import needs_rendering
from buildbot.steps.madecommand import MadeCommand, check_words, words
from buildbot.steps.shell import ShellCommand


class CMake(MadeCommand, ShellCommand):
    """Run cmake.

    path: the source or an existing build tree. generator: for `-G`. definitions: dict for `-D`. options: list of more
    words. cmake: the program (default "cmake"). All may be renderable; the other arguments are those of ShellCommand.
    """

    name = "cmake"
    description = ["running", "cmake"]
    descriptionDone = ["cmake"]
    haltOnFailure = True
    renderables: ClassVar[Any] = ("cmake", "definitions", "generator", "options", "path")

    def __init__(
        self,
        path: Any = None,
        generator: Any = None,
        definitions: Any = None,
        options: Any = None,
        cmake: Any = "cmake",
        **kwargs: Any,
    ) -> None:
        self.path = path
        self.generator = generator
        self.definitions = definitions
        self.options = options
        self.cmake = cmake
        if definitions is not None and not isinstance(definitions, dict) and not needs_rendering(definitions):
            error(f"CMake: definitions is a dict, not {definitions!r}")
        check_words(self, "options")
        super().__init__(**kwargs)

    def argv(self) -> list[Any]:
        command = [self.cmake]
        if self.generator:
            command += ["-G", self.generator]
        command += [f"-D{name}={value}" for name, value in (self.definitions or {}).items()]
        return [*command, *words(self.options), *([self.path] if self.path else [])]
