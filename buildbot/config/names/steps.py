"""The steps: in which module of ours each is, and on which paths of other eras its name is found as well.

A new step is one name in `OURS`: `buildbot.plugins.steps` has all that are there.
"""

from __future__ import annotations

from collections.abc import Mapping

from buildbot.config.names.places import places

#: Module of ours -> its steps.
OURS: Mapping[str, tuple[str, ...]] = {
    "buildbot.process.buildstep": ("BuildStep",),
    "buildbot.steps.cmake": ("CMake",),
    "buildbot.steps.cppcheck": ("Cppcheck",),
    "buildbot.steps.download_secret_to_worker": ("DownloadSecretsToWorker", "RemoveWorkerFileSecret"),
    "buildbot.steps.downloading": ("FileDownload", "JSONPropertiesDownload", "JSONStringDownload", "StringDownload"),
    "buildbot.steps.dummy": ("Dummy", "FailingDummy", "RemoteDummy"),
    "buildbot.steps.maxq": ("MaxQ",),
    "buildbot.steps.mswin": ("Robocopy",),
    "buildbot.steps.debs": ("DebCowbuilder", "DebLintian", "DebPbuilder", "UbuCowbuilder", "UbuPbuilder"),
    "buildbot.steps.related": (
        "CancelGerritRelatedBuilds",
        "CancelRelatedBuilds",
        "StopGerritRelatedBuilds",
        "StopRelatedBuilds",
    ),
    "buildbot.steps.rpms": ("Mock", "MockBuildSRPM", "MockRebuild", "RpmBuild", "RpmLint", "RpmSpec"),
    "buildbot.steps.gitdiffinfo": ("GitDiffInfo",),
    "buildbot.steps.http": ("DELETE", "GET", "HEAD", "HTTPStep", "OPTIONS", "POST", "PUT"),
    "buildbot.steps.master": (
        "Assert",
        "LogRenderable",
        "MasterShellCommand",
        "SetProperties",
        "SetProperty",
        "SetSlaveInfo",
    ),
    "buildbot.steps.mtrlogobserver": ("MTR",),
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
    "buildbot.steps.source.bzr": ("Bzr",),
    "buildbot.steps.source.cvs": ("CVS",),
    "buildbot.steps.source.darcs": ("Darcs",),
    "buildbot.steps.source.gerrit": ("Gerrit",),
    "buildbot.steps.source.git": ("Git",),
    "buildbot.steps.source.github": ("GitHub",),
    "buildbot.steps.source.gitlab": ("GitLab",),
    "buildbot.steps.source.gitwriting": ("GitCommit", "GitPush", "GitTag"),
    "buildbot.steps.source.mercurial": ("Mercurial",),
    "buildbot.steps.source.repo": ("Repo",),
    "buildbot.steps.source.mtn": ("Monotone",),
    "buildbot.steps.source.p4": ("P4",),
    "buildbot.steps.source.svn": ("SVN",),
    "buildbot.steps.subunit": ("SubunitShellCommand",),
    "buildbot.steps.transfer": ("DirectoryUpload", "FileUpload", "MultipleFileUpload"),
    "buildbot.steps.trigger": ("Trigger",),
    "buildbot.steps.vstudio": (
        *(f"VC{number}" for number in (6, 7, 8, 9, 10, 11, 12, 14, 141)),
        *("VCExpress9", "VS2019", "VS2022", "VisualStudio"),
        *(f"MsBuild{number}" for number in (4, 12, 14, 141, 16, 17)),
    ),
    "buildbot.steps.worker": (
        "CopyDirectory",
        "FileExists",
        "MakeDirectory",
        "RemoveDirectory",
        "SetPropertiesFromEnv",
    ),
    "buildbot.steps.warnings": ("Compile", "PerlModuleTest", "Test", "WarningCountingShellCommand"),
}

#: Modules whose steps were together in one, before they had a module each.
_SOURCES = (
    "buildbot.steps.source.bzr",
    "buildbot.steps.source.cvs",
    "buildbot.steps.source.darcs",
    "buildbot.steps.source.git",
    "buildbot.steps.source.mercurial",
    "buildbot.steps.source.mtn",
    "buildbot.steps.source.p4",
    "buildbot.steps.source.svn",
)


#: What some of them are called as well.
_MICROSOFT = places(
    "buildbot.steps.vstudio",
    MsBuild="MsBuild4",
    MsBuild15="MsBuild141",
    VS2003="VC7",
    VS2005="VC8",
    VS2008="VC9",
    VS2010="VC10",
    VS2012="VC11",
    VS2013="VC12",
    VS2015="VC14",
    VS2017="VC141",
)


def _ours(*modules: str) -> dict[str, str]:
    """The steps of these modules."""
    return {name: place for module in modules for name, place in places(module, *OURS[module]).items()}


_COMPOSITE = places("buildbot.process.compositemixin", "CompositeStepMixin")


def _new_style(*modules: str) -> dict[str, str]:
    """What these steps were called from 2.9 to 3.1, while their plain names were those of an older style."""
    return {f"{name}NewStyle": place for name, place in _ours(*modules).items()}


_SHELL_NEW_STYLE = _new_style("buildbot.steps.shell", "buildbot.steps.warnings")
_HTTP_NEW_STYLE = _new_style("buildbot.steps.http")
#: What worked on the slave's side in 0.8, on either of its two paths.
_SLAVE_SIDE = _ours("buildbot.steps.source.base", "buildbot.steps.source.repo", *_SOURCES) | places(
    "buildbot.steps.source.base", SlaveSource="Source"
)

#: Path of some era -> {name: place}. For a path that is also a module of ours: what it gives besides its own.
PATHS: Mapping[str, Mapping[str, str]] = {
    "buildbot.plugins.steps": _ours(*OURS) | _MICROSOFT | _SHELL_NEW_STYLE | _HTTP_NEW_STYLE,
    "buildbot.plugins.util.repo": places(
        "buildbot.steps.source.repo",
        DownloadsFromChangeSource="RepoDownloadsFromChangeSource",
        DownloadsFromProperties="RepoDownloadsFromProperties",
    ),
    "buildbot.process.step": _ours("buildbot.process.buildstep")
    | places("buildbot.process.loggingstep", "LoggingBuildStep")
    | _ours("buildbot.steps.shell", "buildbot.steps.warnings", *_SOURCES)
    | _ours("buildbot.steps.transfer", "buildbot.steps.downloading"),
    "buildbot.process.mtrlogobserver": places(
        "buildbot.steps.mtrlogobserver", "EqConnectionPool", "MtrLogObserver", "MtrTestFailData"
    ),
    "buildbot.process.step_twisted": _ours("buildbot.steps.python_twisted"),
    "buildbot.steps.gerrit": places(
        "buildbot.steps.related", "CancelGerritRelatedBuilds", "StopGerritRelatedBuilds"
    ),
    "buildbot.steps.master": places("buildbot.steps.related", "CancelRelatedBuilds", "StopRelatedBuilds"),
    "buildbot.steps.http": _HTTP_NEW_STYLE,
    "buildbot.steps.package": _ours("buildbot.steps.debs", "buildbot.steps.rpms"),
    "buildbot.steps.package.deb.lintian": places("buildbot.steps.debs", "DebLintian"),
    "buildbot.steps.package.deb.pbuilder": _ours("buildbot.steps.debs"),
    "buildbot.steps.package.rpm.mock": _ours("buildbot.steps.rpms"),
    "buildbot.steps.package.rpm.rpmbuild": places("buildbot.steps.rpms", "RpmBuild"),
    "buildbot.steps.package.rpm.rpmlint": places("buildbot.steps.rpms", "RpmLint"),
    "buildbot.steps.package.rpm.rpmspec": places("buildbot.steps.rpms", "RpmSpec"),
    "buildbot.steps.python_twisted": places("buildbot.steps.trialcounts", "TrialTestCaseCounter", "countFailedTests"),
    "buildbot.steps.shell": places("buildbot.steps.shell", SetProperty="SetPropertyFromCommand")
    | _ours("buildbot.steps.warnings")
    | _SHELL_NEW_STYLE
    | places("buildbot.process.properties", "WithProperties"),
    "buildbot.steps.shellsequence": places("buildbot.steps.shell", "ShellArg", "ShellSequence"),
    "buildbot.steps.transfer": _ours("buildbot.steps.downloading")
    | places(
        "buildbot.steps.transferring",
        "StatusRemoteCommand",
        "makeStatusRemoteCommand",
        _TransferBuildStep="TransferBuildStep",
    ),
    "buildbot.steps.vstudio": _MICROSOFT,
    "buildbot.steps.slave": _ours("buildbot.steps.worker")
    | _COMPOSITE
    | places("buildbot.steps.worker", SlaveBuildStep="WorkerBuildStep"),
    "buildbot.steps.worker": _COMPOSITE,
    "buildbot.steps.source": _SLAVE_SIDE,
    "buildbot.steps.source.git": _ours("buildbot.steps.source.gitwriting"),
    "buildbot.steps.source.oldsource": _SLAVE_SIDE,
}
