"""What code of 0.7 and 0.8 asks of a remote command, besides what every code does."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import error
from buildbot.process.assignable import assignable
from buildbot.process.owntransfer import OwnReader, OwnWriter
from buildbot.process.steplog import StepLog

#: By which name each command told its result in `updates`.
RESULTS = {"glob": "files", "listdir": "files", "stat": "stat"}
_WATCH = "watch the log with addLogObserver(logname, LogObserver())"
#: What Buildbot called in some era and this version does not -> what to write instead.
NEVER_CALLED = {
    "remote_complete": "look at the command when runCommand has given it back",
    "remote_update": _WATCH,
    "remoteComplete": "look at the command when runCommand has given it back",
    "remoteUpdate": _WATCH,
    **dict.fromkeys(("addStdout", "addStderr", "addHeader", "addToLog"), _WATCH),
    "start": "do it in the step, before it calls runCommand",
}


class OldCommand:
    """The part of a RemoteCommand that has old names.

    updates: {name: [value]} of what the slave has told: `rc`, and by the command `stat` (the ten numbers), `files`
    (of glob and listdir), or `result`.
    """

    remote_command: str
    rc: int | None
    logs: dict[str, StepLog]
    stdioLogName: str | None
    _home: Any
    upload: Any
    download: Any
    updates: dict[str, list[Any]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in NEVER_CALLED.keys() & vars(cls).keys():
            error(f"{cls.__name__}.{name}() is not called in this version", NEVER_CALLED[name])

    def note_updates(self, outcome: dict[str, Any]) -> None:
        """The command has ended with this."""
        for own in (self.upload, self.download):
            if isinstance(own, (OwnWriter, OwnReader)):
                own.ended(outcome)
        self.updates["rc"] = [self.rc]
        result = outcome.get("result")
        if result is not None:
            self.updates["result"] = [result]
            if self.remote_command in RESULTS:
                self.updates[RESULTS[self.remote_command]] = [result]
        others = outcome.get("updates")  # what commands of a slave's own say, and those of other eras
        if isinstance(others, dict):
            for name, values in others.items():
                self.updates.setdefault(name, []).extend(values)

    @assignable
    def step(self) -> Any:
        """The step that runs it."""
        return self._home

    @assignable
    def name(self) -> str:
        return self.remote_command

    # -- a step's own lines in the command's log

    def addStdout(self, data: str | bytes) -> None:
        self._log_of(None).addStdout(data)

    def addStderr(self, data: str | bytes) -> None:
        self._log_of(None).addStderr(data)

    def addHeader(self, data: str | bytes) -> None:
        self._log_of(None).addHeader(data)

    def addToLog(self, logname: str, data: str | bytes) -> None:
        self._log_of(logname).addStdout(data)

    def _log_of(self, logname: str | None) -> Any:
        name = logname or self.stdioLogName or ""
        if name not in self.logs:
            raise KeyError(f"{self!r} has no log {name!r}: give it one with useLog(log)")
        return self.logs[name]
