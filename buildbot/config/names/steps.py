"""The steps: in which module of ours each is, and on which paths of other eras its name is found as well.

A new step is one name in `OURS`: `buildbot.plugins.steps` has all that are there.
"""

from __future__ import annotations

from collections.abc import Mapping

from buildbot.config.names.places import places

#: Module of ours -> its steps.
OURS: Mapping[str, tuple[str, ...]] = {
    "buildbot.process.buildstep": ("BuildStep",),
    "buildbot.steps.python": ("BuildEPYDoc", "PyFlakes", "PyLint", "Sphinx"),
    "buildbot.steps.python_twisted": ("BuildDebs", "HLint", "ProcessDocs", "RemovePYCs", "Trial"),
    "buildbot.steps.shell": (
        "Configure",
        "SetPropertyFromCommand",
        "ShellCommand",
        "ShellSequence",
        "TreeSize",
    ),
    "buildbot.steps.source.base": ("Source",),
    "buildbot.steps.source.gerrit": ("Gerrit",),
    "buildbot.steps.source.git": ("Git",),
    "buildbot.steps.source.github": ("GitHub",),
    "buildbot.steps.source.gitlab": ("GitLab",),
    "buildbot.steps.source.gitwriting": ("GitCommit", "GitPush", "GitTag"),
    "buildbot.steps.trigger": ("Trigger",),
    "buildbot.steps.warnings": ("Compile", "PerlModuleTest", "Test", "WarningCountingShellCommand"),
}


def _ours(*modules: str) -> dict[str, str]:
    """The steps of these modules."""
    return {name: place for module in modules for name, place in places(module, *OURS[module]).items()}


#: Path of some era -> {name: place}. For a path that is also a module of ours: what it gives besides its own.
PATHS: Mapping[str, Mapping[str, str]] = {
    "buildbot.plugins.steps": _ours(*OURS),
    "buildbot.process.step": _ours("buildbot.process.buildstep")
    | places("buildbot.process.loggingstep", "LoggingBuildStep")
    | _ours("buildbot.steps.shell", "buildbot.steps.warnings"),
    "buildbot.process.step_twisted": _ours("buildbot.steps.python_twisted"),
    "buildbot.steps.python_twisted": places("buildbot.steps.trialcounts", "TrialTestCaseCounter", "countFailedTests"),
    "buildbot.steps.shell": places("buildbot.steps.shell", SetProperty="SetPropertyFromCommand")
    | _ours("buildbot.steps.warnings")
    | places("buildbot.process.properties", "WithProperties"),
    "buildbot.steps.shellsequence": places("buildbot.steps.shell", "ShellArg", "ShellSequence"),
    "buildbot.steps.source": _ours("buildbot.steps.source.git"),
    "buildbot.steps.source.git": _ours("buildbot.steps.source.gitwriting"),
    "buildbot.steps.source.oldsource": _ours("buildbot.steps.source.git"),
}
