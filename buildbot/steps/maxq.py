"""MaxQ, a tester of web sites."""

from __future__ import annotations

from typing import Any, ClassVar

from buildbot.steps.findings import FindingStep
from buildbot.steps.madecommand import MadeCommand, needed


class MaxQ(MadeCommand, FindingStep):
    """Run the tests of a directory with `run_maxq.py`; failed ones are FAILURE.

    testdir: where they are, relative to workdir; needed, renderable. The other arguments are those of ShellCommand.
    """

    name = "maxq"
    description = ["running maxq tests"]
    descriptionDone = ["maxq tests"]
    flunkOnFailure = True
    kinds = ("failures",)
    flunking = ("failures",)
    renderables: ClassVar[Any] = ("testdir",)

    def __init__(self, testdir: Any = None, **kwargs: Any) -> None:
        self.testdir = testdir
        needed(self, "testdir")
        super().__init__(**kwargs)

    def argv(self) -> list[Any]:
        return ["run_maxq.py", self.testdir]

    def see(self, line: str) -> None:
        if line.startswith("TEST FAILURE:"):
            self.findings.add("failures", line)
