"""The logs of a running step, and who watches them."""

from __future__ import annotations

import traceback
from typing import Any

from buildbot.model import CommandID, StepID
from buildbot.process.observers import LogObserver
from buildbot.process.steplog import DONE, Done, StepLog, slug_of
from buildbot.store.logfiles import Channel, LogReader, LogWriter, aside_path, log_path


class StepLogs:
    """The part of a BuildStep that makes logs."""

    name: Any
    build: Any
    logEncoding: str | None
    runs_anew: bool
    logs: dict[str, StepLog]
    _observers: dict[str, list[LogObserver]]
    _asides: list[str]

    @property
    def step_id(self) -> StepID:
        raise NotImplementedError

    # -- for steps

    def addLog(self, name: str, type: str = "s", logEncoding: str | None = None) -> StepLog:
        """A new log. type: "s" (output of commands), "t" (text) or "h" (html). logEncoding: of what is added to it
        (None: as the step's). May be awaited."""
        kind = {"s": "stream", "t": "text", "h": "html"}.get(type, type)
        return self.new_log(name, kind, logEncoding)

    def addCompleteLog(self, name: str, text: str | bytes) -> Done:
        self.note_text(name, text)
        return DONE

    def addHTMLLog(self, name: str, html: str | bytes) -> Done:
        self.note_text(name, html, "html")
        return DONE

    def addLogWithException(self, why: BaseException, logprefix: str = "") -> Done:
        """A log `err.text` with the traceback of an exception."""
        self.note_text(f"{logprefix}err.text", "".join(traceback.format_exception(why)))
        return DONE

    def addLogWithFailure(self, why: Any, logprefix: str = "") -> Done:
        self.note_text(f"{logprefix}err.text", why.getTraceback())
        return DONE

    def addLogObserver(self, logname: str, observer: LogObserver) -> None:
        """Have `observer` watch the log of this name, now or as soon as it is there."""
        observer.setStep(self)
        self._observers.setdefault(logname, []).append(observer)
        if logname in self.logs:
            observer.setLog(self.logs[logname])

    def getLog(self, name: str) -> StepLog:
        """Raises KeyError when there is no such log."""
        return self.logs[name]

    def getLogs(self) -> list[StepLog]:
        return list(self.logs.values())

    # -- for job control

    def new_log(self, name: str, kind: str = "stream", encoding: str | None = None) -> StepLog:
        """The log of this name. Its slug is unique in the step."""
        taken = {log.slug for log in self.logs.values()}
        shown = self.build.secrets.mask(name)
        slug = base = slug_of(shown)
        number = 1
        while slug in taken:
            number += 1
            slug = f"{base}_{number}"
        build = self.build
        log = StepLog(
            store=build.store,
            files=build.log_files,
            step=self.step_id,
            name=shown,
            slug=slug,
            kind=kind,
            path=log_path(build.builder_name, build.number, str(self.name), slug),
            now=build.now,
            encoding=encoding or self.logEncoding or build.log_encoding,
            masker=build.secrets.html_masker if kind == "html" else build.secrets.masker,
            limit=build.services.log_limit,
            of=self,
        )
        if self.runs_anew:
            log.go_on()
        self.logs[name] = log
        for observer in self._observers.get(name, ()):
            observer.setLog(log)
        build.moved()
        return log

    def note_text(self, name: str, text: str | bytes, kind: str = "text") -> None:
        """A whole log at once."""
        log = self.new_log(name, kind)
        log.write(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"), Channel.STDOUT)
        log.close()

    def aside(self, command: CommandID) -> tuple[LogWriter, LogReader]:
        """A file for output of a command that goes into no log, and what is in it already. It ends with the step."""
        build = self.build
        path = aside_path(build.builder_name, build.number, str(self.name), command)
        self._asides.append(path)
        return build.log_files.write(path), build.log_files.read(path)

    def forget_asides(self) -> None:
        for path in self._asides:
            self.build.log_files.remove(path)

    def close_logs(self) -> None:
        for log in self.logs.values():
            log.close()
