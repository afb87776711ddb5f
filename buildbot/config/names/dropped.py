"""What Buildbot had in some era and this one will not have, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping

_DATABASE = (
    "this reaches into Buildbot's own database, which is not there: the store is one SQLite file (docs/schema) that "
    "other programs may read; leave the import and what uses it out"
)
_ON_THE_SLAVE = "commands run in the package buildslave; write a step that uses what `buildslave` has"

#: Name -> advice.
NAMES: Mapping[str, str] = {
    "Blocker": "a Triggerable scheduler and steps.Trigger(waitForFinish=True) wait for other builders",
    "Arch": "GNU Arch is gone; convert the archive to git, or run `tla` in a ShellCommand",
    "BK": "run `bk clone` or `bk pull` in a ShellCommand, or use Git on an export of the repository",
    "Bazaar": "this was baz, of GNU Arch, which is gone; for Bazaar as it is now, write Bzr",
    "BonsaiMaildirSource": "Bonsai is gone; have its hook call `buildbot sendchange`",
    "BonsaiPoller": "Bonsai is gone; have its hook call `buildbot sendchange`",
    "BuildbotCiSetupSteps": "a custom step may read such a file and call self.build.addStepsAfterCurrentStep([...])",
    "BuildbotTestCiTrigger": "a custom step may read such a file and run steps.Trigger for what it says",
    "DNotify": "nothing here needs it; use a library such as watchdog",
    "FCMaildirSource": "FreshCVS is gone; use CVSMaildirSource or `buildbot sendchange`",
    "FreshCVSSource": "FreshCVS is gone; have CVS's loginfo call `buildbot sendchange`",
    "HipChatStatusPush": "HipChat is gone; use HttpStatusPush for the service that took its place",
    "HyperLatentWorker": "Hyper.sh is gone; use DockerLatentWorker or KubeLatentWorker",
    "P4Sync": "write P4(...): it makes the client by itself; for one that is there, run `p4 sync` in a ShellCommand",
    "MarathonLatentWorker": "Marathon is gone; use DockerLatentWorker or KubeLatentWorker",
    "Wait": "it waited for a test of Buildbot's own in the same process; use Dummy or RemoteDummy",
}

#: Module path, with all below it -> advice.
MODULES: Mapping[str, str] = {
    "buildbot.changes.bonsaipoller": NAMES["BonsaiPoller"],
    "buildbot.changes.freshcvs": NAMES["FreshCVSSource"],
    "buildbot.db": _DATABASE,
    "buildbot.dnotify": NAMES["DNotify"],
    "buildbot.slave": _ON_THE_SLAVE,
    "buildbot.steps.blocker": NAMES["Blocker"],
    "buildbot.steps.configurable": NAMES["BuildbotCiSetupSteps"],
    "buildbot.twcompat": "it bridged versions of Twisted that are gone; import from Twisted and zope.interface",
    "buildbot.util.sautils": _DATABASE,
    "buildbot.worker.marathon": NAMES["MarathonLatentWorker"],
}


def advice_for(name: str, module: str = "") -> str | None:
    """What to write instead of a name, or of a module, that was dropped; None when it was not."""
    path = module
    while path:
        if path in MODULES:
            return f"it was dropped: {MODULES[path]}"
        path = path.rpartition(".")[0]
    return f"it was dropped: {NAMES[name]}" if name in NAMES else None
