"""Which builds call for a mail: modes, builders, tags, schedulers and branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jinja2

from buildbot.config.arguments import configurable
from buildbot.config.errors import did_you_mean, error
from buildbot.model import Result
from buildbot.status.build_report import BuildReport
from buildbot.status.mail_text import Site, compiled, template_values

MODES = ("change", "failing", "passing", "problem", "warnings", "exception", "cancelled")
_WORDS = {
    "all": ("failing", "passing", "warnings", "exception", "cancelled"),
    "warnings": ("warnings", "failing"),
}
_BY_RESULT = {
    Result.FAILURE: "failing",
    Result.SUCCESS: "passing",
    Result.WARNINGS: "warnings",
    Result.EXCEPTION: "exception",
    Result.CANCELLED: "cancelled",
}
_SUBJECT = "buildbot %(result)s in %(title)s on %(builder)s"


def modes_of(mode: Any) -> tuple[str, ...]:
    """What the argument `mode` means; mistakes are reported."""
    if isinstance(mode, str):
        mode = _WORDS.get(mode, (mode,))
    if not isinstance(mode, (list, tuple, set, frozenset)):
        error(f"mode is a word or a list of words, not {mode!r}")
        return ()
    for word in mode:
        if word == "all":
            error("mode 'all' stands alone, not in a list")
        elif word not in MODES:
            error(f"{word!r} is no mode; there are {', '.join(MODES)} and all", did_you_mean(str(word), MODES))
    return tuple(word for word in MODES if word in mode)


@configurable
class BuildStatusGenerator:
    """Says for which builds a mail is sent and what it says. The arguments are those of MailNotifier.

    schedulers, branches: only builds that one of these schedulers asked for, or of one of these branches.
    add_logs, add_patch, subject, message_formatter: as addLogs, addPatch, subject, messageFormatter there.
    """

    def __init__(
        self,
        mode: Any = ("failing", "passing", "warnings"),
        tags: Sequence[str] | None = None,
        builders: Sequence[str] | None = None,
        schedulers: Sequence[str] | None = None,
        branches: Sequence[str | None] | None = None,
        subject: str | None = None,
        add_logs: Any = None,
        add_patch: bool = False,
        report_new: bool = False,
        message_formatter: Any = None,
    ) -> None:
        self.mode = modes_of(mode)
        self.tags = _names("tags", tags)
        self.builders = _names("builders", builders)
        self.schedulers = _names("schedulers", schedulers)
        self.branches = _names("branches", branches)
        self.subject = _checked_subject(subject)
        self.add_logs = add_logs
        self.add_patch = add_patch
        self.message_formatter = message_formatter
        if tags is not None and builders is not None:
            error("give tags (categories) or builders, not both")
        if report_new:
            error("report_new is not in this version: mails are about finished builds")
        if message_formatter is not None and not (callable(message_formatter) or hasattr(message_formatter, "text")):
            error(f"the message formatter {message_formatter!r} is neither a formatter nor a function")

    def wants(self, report: BuildReport) -> bool:
        return self._selects(report) and self._mode_fits(report)

    def _selects(self, report: BuildReport) -> bool:
        branches = {stamp.branch for stamp in report.stamps}
        return (
            (self.builders is None or report.builder.name in self.builders)
            and (self.tags is None or not self.tags.isdisjoint(report.builder.tags))
            and (self.schedulers is None or not self.schedulers.isdisjoint(report.schedulers))
            and (self.branches is None or not self.branches.isdisjoint(branches))
        )

    def _mode_fits(self, report: BuildReport) -> bool:
        result = report.result
        if _BY_RESULT.get(result) in self.mode:
            return True
        before = None if report.previous is None else report.previous.result
        if before is None or result not in _BY_RESULT or result is Result.CANCELLED:
            return False  # who was first to build here is not to blame, and a cancelled build says nothing
        if "change" in self.mode and result is not before:
            return True
        return "problem" in self.mode and result is Result.FAILURE and before is not Result.FAILURE

    def mode_word(self, report: BuildReport) -> str | tuple[str, ...]:
        """What a messageFormatter gets as its `mode`."""
        return self.mode

    def subject_of(self, report: BuildReport, site: Site) -> str:
        subject = _SUBJECT if self.subject is None else self.subject
        if "{{" in subject:
            values = template_values(report, site, self.mode)
            return jinja2.Environment(undefined=jinja2.ChainableUndefined).from_string(subject).render(values)
        projects = ", ".join(sorted({stamp.project for stamp in report.stamps if stamp.project}))
        return subject % {
            "result": report.result.name.lower(),
            "title": site.title,
            "projectName": projects or site.title,
            "builder": report.builder.name,
        }

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _facts(self) == _facts(other)

    def __hash__(self) -> int:
        return hash((type(self), self.mode))


def _checked_subject(subject: str | None) -> str | None:
    if subject is not None and "{{" in subject:
        return subject if compiled(subject, "plain") is not None else None
    try:
        (subject or "") % {"result": "", "title": "", "projectName": "", "builder": ""}
    except (KeyError, TypeError, ValueError):
        error(f"the subject {subject!r} may use %(result)s, %(title)s, %(projectName)s and %(builder)s")
        return None
    return subject


def _facts(thing: object) -> dict[str, Any]:
    return {name: value for name, value in vars(thing).items() if not name.startswith("_config")}


def _names(argument: str, given: Any) -> frozenset[Any] | None:
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, (list, tuple, set, frozenset)):
        error(f"{argument} is a list, not {given!r}")
        return frozenset([given] if isinstance(given, str) else [])
    return frozenset(given)
