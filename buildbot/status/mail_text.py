"""The words of a mail about a build: our own text, and the message formatters of users.

A formatter makes a `Text` out of a report. Nothing here sends, and nothing here trusts a byte of a log or a change:
whatever is not printable is taken out, and whatever can be long is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any, NamedTuple

import jinja2

from buildbot.config.errors import error
from buildbot.model import Log, Result, Step
from buildbot.status.build_report import BuildReport, ReportedChange, build_url, log_url
from buildbot.store.logfiles import LogFiles

LAST_LINES = 30
SHOWN_CHANGES = 30
SHOWN_FILES = 20
LONGEST_COMMENT = 2000
LONGEST_LINE = 300
LONGEST_BODY = 1 << 20

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u202a-\u202e\u2066-\u2069]")

_SAYS = {
    Result.SUCCESS: "succeeded",
    Result.WARNINGS: "finished with warnings",
    Result.FAILURE: "failed",
    Result.SKIPPED: "was skipped",
    Result.EXCEPTION: "ended with an exception",
    Result.RETRY: "is tried again",
    Result.CANCELLED: "was cancelled",
}


class Text(NamedTuple):
    """A mail's words. `kind` is plain or html; without a subject, the notifier's own is used."""

    body: str
    kind: str = "plain"
    subject: str | None = None


class Site(NamedTuple):
    """What a mail says about the master: its title, and where its pages are ('' when nowhere)."""

    title: str
    title_url: str
    url: str


def clean(text: str) -> str:
    """Text fit for a mail: no escape sequences, no control characters, no tricks with the writing direction."""
    return _UNPRINTABLE.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """The same as one line of bounded length, fit for a header."""
    line = " ".join(clean(text).split())
    return line if len(line) <= most else line[: most - 3] + "..."


def change_of_state(report: BuildReport) -> str:
    """What the build tells in comparison with the one before: '', 'again', 'newly broken', 'fixed'."""
    if report.previous is None or report.previous.result is None:
        return ""
    bad = (Result.FAILURE, Result.EXCEPTION)
    now, before = report.result in bad, report.previous.result in bad
    if now:
        return "again" if before else "newly broken"
    return "fixed" if before and report.result in (Result.SUCCESS, Result.WARNINGS) else ""


def summary(report: BuildReport) -> str:
    """One line: what came of which build."""
    state = change_of_state(report)
    return (
        f"{report.builder.name} #{report.build.number} {_SAYS[report.result]}"
        + (" again" if state == "again" else f" ({state})" if state else "")
        + (f": {report.build.state_text}" if report.build.state_text else "")
    )


def last_lines(log_files: LogFiles, log: Log, count: int = LAST_LINES) -> list[str]:
    """The end of a log; nothing when its file is not there any more."""
    try:
        with log_files.read(log.path) as reader:
            lines = reader.last_lines(count, most_bytes=1 << 16, longest=4 * LONGEST_LINE)
    except OSError:
        return []
    texts = (b"".join(data for _, data in line.pieces).decode("utf-8", "replace") for line in lines)
    return [_cut(clean(text.rpartition("\r")[2] or text)) for text in texts]


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 3] + "..."


def default_text(report: BuildReport, site: Site, log_files: LogFiles) -> str:
    """Our own mail: what, where, why, whose changes, and how it ended."""
    parts = [[one_line(summary(report))], _facts(report, site)]
    step = report.failing_step()
    if step is not None:
        parts.append(_failing_step(report, step, site, log_files))
    if report.changes:
        parts.append(_changes(report))
    parts.append(["-- ", f"Buildbot of {one_line(site.title)}" + (f"  {site.url}" if site.url else "")])
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _facts(report: BuildReport, site: Site) -> list[str]:
    build = report.build
    facts = [
        ("Builder", report.builder.name),
        ("Result", report.result.name.lower()),
        ("Slave", report.slave or "none"),
        ("Reason", build.reason),
        ("Took", _duration((build.complete_at or build.started_at) - build.started_at)),
    ]
    facts += [("Source", _stamp(stamp)) for stamp in report.stamps]
    page = build_url(site.url, report.builder.name, build.number)
    facts += [("Page", page)] if page else []
    return [f"  {name + ':':<9} {one_line(value)}" for name, value in facts]


def _stamp(stamp: Any) -> str:
    words = [stamp.repository, f"branch {stamp.branch}" if stamp.branch else "", stamp.revision or "newest revision"]
    words.append("with a patch" if stamp.patch_id is not None else "")
    named = " ".join(word for word in words if word)
    return f"{stamp.codebase}: {named}" if stamp.codebase else named


def _failing_step(report: BuildReport, step: Step, site: Site, log_files: LogFiles) -> list[str]:
    lines = [f"Step {step.number + 1} of {len(report.steps)}, {one_line(step.name)}: {one_line(step.state_text)}"]
    logs = sorted(report.logs_of(step), key=lambda log: log.name != "stdio")
    for log in logs[:1]:
        tail = last_lines(log_files, log)
        where = log_url(site.url, report, log)
        lines.append(f"The end of its log {one_line(log.name)}" + (f" ({where})" if where else "") + ":")
        lines += ["", *(f"    {line}" for line in tail)]
    return lines


def _changes(report: BuildReport) -> list[str]:
    lines = [f"Changes ({report.all_changes}):"]
    hidden = report.all_changes - SHOWN_CHANGES
    if hidden > 0:
        lines.append(f"  ({hidden} older ones are not shown)")
    for reported in report.changes[-SHOWN_CHANGES:]:
        lines += _change(reported)
    return lines


def _change(reported: ReportedChange) -> list[str]:
    change = reported.change
    head = [change.revision or "no revision", f"on {change.branch}" if change.branch else "", f"by {change.author}"]
    lines = ["", f"  * {one_line(' '.join(word for word in head if word))}"]
    comment = clean(change.comments).strip()
    comment = comment if len(comment) <= LONGEST_COMMENT else comment[:LONGEST_COMMENT] + "..."
    lines += [f"    {_cut(line)}".rstrip() for line in comment.splitlines()]
    lines += [f"      {one_line(path)}" for path in reported.files[:SHOWN_FILES]]
    more = reported.all_files - min(SHOWN_FILES, len(reported.files))
    lines += [f"      and {more} more files"] if more > 0 else []
    lines += [f"    {one_line(change.revlink)}"] if change.revlink else []
    return lines


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def template_values(report: BuildReport, site: Site, mode: tuple[str, ...]) -> dict[str, Any]:
    """What a Jinja template of a user finds, under the names that Buildbot gives it."""
    build = report.build
    previous = None if report.previous is None else report.previous.result
    page = build_url(site.url, report.builder.name, build.number)
    stamps = [stamp._asdict() for stamp in report.stamps]
    properties = {known.name: (known.value, known.source) for known in report.properties}
    changes = [{**r.change._asdict(), "who": r.change.author, "files": list(r.files)} for r in report.changes]
    return {
        "results": int(report.result),
        "result_names": [result.name.lower() for result in Result],
        "mode": mode,
        "buildername": report.builder.name,
        "workername": report.slave,
        "slavename": report.slave,
        "buildset": {"reason": build.reason, "sourcestamps": stamps},
        "build": {
            "number": build.number,
            "results": int(report.result),
            "state_string": build.state_text,
            "started_at": build.started_at,
            "complete_at": build.complete_at,
            "reason": build.reason,
            "url": page,
            "builder": report.builder._asdict(),
            "properties": properties,
            "steps": [step._asdict() for step in report.steps],
            "prev_build": None if report.previous is None else report.previous._asdict(),
        },
        "is_buildset": False,
        "projects": ", ".join(sorted({stamp.project for stamp in report.stamps if stamp.project})) or site.title,
        "previous_results": None if previous is None else int(previous),
        "status_detected": summary(report),
        "build_url": page,
        "buildbot_title": site.title,
        "buildbot_url": site.url,
        "blamelist": report.users(),
        "changes": changes,
        "summary": build.state_text,
        "sourcestamps": stamps,
    }


def compiled(source: str, kind: str) -> jinja2.Template | None:
    """A template of a user; None when it is wrong, which is reported."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=kind == "html", keep_trailing_newline=True
    )
    try:
        return environment.from_string(source)
    except jinja2.TemplateSyntaxError as wrong:
        error(f"a mail template is wrong in its line {wrong.lineno}: {wrong.message}")
        return None


class MessageFormatter:
    """Makes mails from Jinja templates.

    template: the body (None: our own text). subject: the subject (None: the notifier's). template_type: plain or html.
    ctx: more values for the templates. The keywords want_properties, want_steps, want_logs and want_logs_content are
    accepted; properties and steps are always there.
    """

    def __init__(
        self,
        template: str | None = None,
        subject: str | None = None,
        template_type: str | None = None,
        ctx: Mapping[str, Any] | None = None,
        want_properties: bool = True,
        want_steps: bool = False,
        want_logs: bool = False,
        want_logs_content: Any = False,
    ) -> None:
        self.kind = template_type or "plain"
        if self.kind not in ("plain", "html"):
            error(f"MessageFormatter: template_type is 'plain' or 'html', not {template_type!r}")
        self._facts = (template, subject, self.kind, dict(ctx or {}))
        self.ctx = dict(ctx or {})
        self._body = None if template is None else compiled(template, self.kind)
        self._subject = None if subject is None else compiled(subject, "plain")

    def text(self, values: Mapping[str, Any], default: Callable[[], str]) -> Text:
        values = {**values, **self.ctx}
        body = default() if self._body is None else self._body.render(values)
        kind = "plain" if self._body is None else self.kind
        return Text(body, kind, None if self._subject is None else self._subject.render(values))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._facts == other._facts

    def __hash__(self) -> int:
        return hash((type(self), self.kind))


class MessageFormatterFunction:
    """Makes mails with a function: `function({"build": build})` returns the body (or a coroutine or Deferred of it)."""

    def __init__(self, function: Callable[[dict[str, Any]], Any], template_type: str = "plain") -> None:
        self.function = function
        self.kind = template_type
        if template_type not in ("plain", "html"):
            error(f"MessageFormatterFunction: template_type is 'plain' or 'html', not {template_type!r}")

    async def text(self, values: Mapping[str, Any], default: Callable[[], str]) -> Text:
        body = self.function({"build": values["build"]})
        return Text(str(await body if isawaitable(body) else body), self.kind)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (self.function, self.kind) == (other.function, other.kind)

    def __hash__(self) -> int:
        return hash((self.function, self.kind))


def text_of_dict(answer: Any) -> Text:
    """What a messageFormatter of Buildbot 0.8 answered: {"body": ..., "type": "plain" or "html", "subject"?: ...}."""
    if not isinstance(answer, dict) or not isinstance(answer.get("body"), str):
        raise TypeError(f"messageFormatter must return a dict with 'body' and 'type', not {type(answer).__name__}")
    kind = answer.get("type", "plain")
    if kind not in ("plain", "html"):
        raise ValueError(f"messageFormatter: type is 'plain' or 'html', not {kind!r}")
    subject = answer.get("subject")
    return Text(answer["body"], kind, None if subject is None else str(subject))
