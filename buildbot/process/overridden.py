"""Methods of steps that Buildbot called in some era and this version never does: a class that overrides one is told so.

An override that is not called would be a change of what the step does that nobody is told of.
"""

from __future__ import annotations

from collections.abc import Mapping

from buildbot.config.errors import error

_RUN = "write `async def run(self)`, which may await super().run() and returns a result"
_AFTER = "write `async def run(self)`: what comes after `result = await super().run()` runs when its command has ended"
_CHECKOUT = "write `async def check_out(self, branch, revision)`, which may await super().check_out(branch, revision)"
_REVISION = "write `async def got_revision(self)`, which may await super().got_revision() and returns the revision"
_PATCH = "write `async def run_vc(self, branch, revision, patch)`, which may give super().run_vc patch=None"
_LINES = (
    "watch the output with self.addLogObserver('stdio', util.LogLineObserver()), a subclass of which sees the lines"
)
_LOCKS = "say which locks it needs with locks=[...]"
_RECIPE = "leave it out: the arguments that a step was made with are remembered by themselves"
_ONE_UPLOAD = "write `async def run(self)`; give the step other slavesrcs, or make a step of each"

_CHECKOUTS = ("mode_full", "mode_incremental", "full", "incremental", "clean", "fresh", "copy", "doUpdate")
_OF_REPO = ("doStartVC", "continueStartVC", "doRepoSync", "doRepoDownloads", "doClobberStart", "doCleanup")
_OF_MTR = ("registerInDB", "doRegisterInDB", "afterRegisterInDB")


def _all(names: tuple[str, ...], advice: str) -> dict[str, str]:
    return dict.fromkeys(names, advice)


#: Class of ours -> {method of Buildbot's: what to write instead}. A name that people's own helpers are likely to have
#: is not here.
NEVER_CALLED: Mapping[str, Mapping[str, str]] = {
    "BuildStep": {
        "setupProgress": _RUN,
        **_all(("acquireLocks", "releaseLocks", "setStepLocks"), _LOCKS),
        "getStepFactory": _RECIPE,
    },
    "LoggingBuildStep": {"checkDisconnect": "leave it out: the loss of the slave makes the build RETRY"},
    "ShellCommand": {"getWorkdir": "give the step a workdir, which may be a function or renderable"},
    "ShellSequence": {"getFinalState": "write getResultSummary"},
    "WarningCountingShellCommand": {
        **_all(("warningLogConsumer",), "write maybeAddWarning(self, warnings, line, match), called for each match"),
        **_all(
            ("setup_suppression", "uploadDone"), "give suppressionList, or call self.addSuppression([...]) in run()"
        ),
    },
    **{name: {"logConsumer": _LINES} for name in ("DebPbuilder", "HLint", "MockBuildSRPM", "RpmBuild")},
    "Trial": {
        "logConsumer": _LINES,
        "setup_python_path": "give testpath, or PYTHONPATH in env",
        "rtext": "write getResultSummary",
        "build_results": "write getResultSummary",
    },
    "VisualStudio": {
        "evaluate_result": "write evaluateCommand(self, cmd)",
        "describe_project": "write getCurrentSummary and getResultSummary",
        **_all(("setupInstalldir", "setup_log_files"), _RUN),
    },
    "MTR": _all((*_OF_MTR, "reportError"), "write commandComplete(self, cmd), which may await super()'s"),
    "MasterShellCommand": {"processEnded": _AFTER},
    "Dummy": {"done": _AFTER},
    "CancelRelatedBuilds": _all(("get_candidates", "handle_candidate"), _RUN),
    "StopRelatedBuilds": _all(("get_candidates", "handle_candidate"), _RUN),
    "TransferStep": _all(("runTransferCommand", "checkSlaveVersion", "checkWorkerVersion"), _RUN),
    "MultipleFileUpload": _all(("startUpload", "uploadDirectory", "uploadFile"), _ONE_UPLOAD),
    "Trigger": {
        "prepareSourcestampListForTrigger": "give sourceStamps, which may be a renderable",
        "getSchedulerByName": "write getSchedulersAndProperties, which names the schedulers",
        **_all(("worstStatus", "end"), "give unimportantSchedulerNames; or change what super().run() returns in run()"),
        **_all(("addBuildUrls", "getAllGotRevisions"), _RUN),
    },
    "Source": {
        **_all(_CHECKOUTS, _CHECKOUT),
        **_all(("parseGotRevision", "parseCommitDescription"), _REVISION),
        **_all(("applyPatch", "patch"), _PATCH),
        **_all(("finish", "checkCompatibility"), _AFTER),
        **_all(("removeFiles", "checkLogin", "sourcedirIsPatched", "doCheckout"), _CHECKOUT),
        **_all(("getSvnUrl", "computeRepositoryURL"), "give a function of the repository as repourl"),
        "getHgPullCommand": _CHECKOUT,
        "getUnversionedFiles": _CHECKOUT,
        "get_sync_revision": _CHECKOUT,
    },
    "Repo": _all((*_OF_REPO, "maybeExtractTarball", "maybeUpdateTarball", "buildDownloadList"), _CHECKOUT),
    "DownloadSecretsToWorker": {"runPopulateSecrets": _RUN},
    "RemoveWorkerFileSecret": {"runRemoveWorkerFileSecret": _RUN},
}


def never_called(cls: type) -> dict[str, str]:
    """{method: what to write instead} of those that a subclass of this class would override for nothing."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("buildbot."):
            found.update(NEVER_CALLED.get(base.__name__, {}))
    return found


def check_overrides(cls: type) -> None:
    """Say it of a class of a user's that overrides one of them."""
    if cls.__module__.startswith("buildbot."):
        return
    advice = never_called(cls)
    for name in sorted(advice.keys() & vars(cls).keys()):
        if callable(vars(cls)[name]):
            error(f"{cls.__name__}.{name}() is not called in this version", advice[name])
