"""One step: the commands that it asked of the slave, what came of them, its logs and links."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from buildbot.model import Build, Builder, CommandState, RemoteCommandRow, Step, StepURL
from buildbot.status.web import events_page, formats, urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.build_page import LogLink, log_link, step_seconds
from buildbot.status.web.pages import Master, Page, View
from buildbot.status.web.places import find_step
from buildbot.store import events as stored_events
from buildbot.store import log_pages, logs

PATH = "/builders/{builder}/builds/{number}/steps/{step}"
LONGEST_TEXT = 4000
_OWN_PLACES = ("command", "env", "workdir")

# arguments of every shell command, in words; what is not here is shown by its name
_WORDS = {
    "timeout": "killed when silent for",
    "maxTime": "killed after",
    "sigtermTime": "killed hard, after being asked to end, in",
    "maxLines": "killed after lines",
    "usePTY": "on a terminal",
    "logfiles": "followed files",
    "initialStdin": "input",
    "interruptSignal": "interrupted by signal",
    "want_stdout": "keeps stdout",
    "want_stderr": "keeps stderr",
    "logEnviron": "environment in the log",
    "dir": "directory",
    "fromdir": "from",
    "todir": "to",
    "file": "file",
    "slavesrc": "from",
    "workersrc": "from",
    "slavedest": "to",
    "workerdest": "to",
    "maxsize": "at most bytes",
    "blocksize": "bytes at once",
    "keepstamp": "keeps the times",
    "mode": "file mode",
}
_SECONDS = ("timeout", "maxTime", "sigtermTime")


class Detail(NamedTuple):
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    row: RemoteCommandRow
    line: str  # the command as one would type it; '' for what is no shell command
    details: list[Detail]
    environment: list[Detail]
    seconds: float
    outcome: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView(View):
    builder: Builder
    build: Build
    step: Step
    path: str
    build_path: str
    now: float
    seconds: float | None
    commands: list[CommandRow]
    more_commands: bool
    show_env: bool
    logs: list[LogLink]
    urls: list[StepURL]


def view(asked: Asked, master: Master) -> View:
    store = master.store
    builder, build, step = find_step(store, asked)
    rows = log_pages.commands_of_step(store, step.id)
    state = "waiting" if step.started_at is None else formats.result_text(step.result)
    return StepView(
        title=f"{state}: {step.name}, {builder.name} #{build.number}",
        events=events_page.address(builder.name, build.number, stored_events.last_id(store)),
        builder=builder,
        build=build,
        step=step,
        path=urls.step(builder.name, build.number, step.name),
        build_path=urls.build(builder.name, build.number),
        now=asked.now,
        seconds=step_seconds(step, asked.now),
        commands=[command_row(row, asked.now, asked.flag("env")) for row in rows[: log_pages.MOST_COMMANDS]],
        more_commands=len(rows) > log_pages.MOST_COMMANDS,
        show_env=asked.flag("env"),
        logs=[log_link(master.log_files, builder, build, step, log) for log in logs.of_step(store, step.id)],
        urls=log_pages.urls_of_step(store, step.id),
    )


def command_row(row: RemoteCommandRow, now: float, show_env: bool) -> CommandRow:
    args = row.args
    environment = args.get("env")
    details = [Detail(_WORDS.get(name, name), _detail(name, args[name])) for name in args if name not in _OWN_PLACES]
    if args.get("workdir"):
        details.insert(0, Detail("in directory", _cut(str(args["workdir"]))))
    known = environment if isinstance(environment, dict) and show_env else {}
    outcome, failed = outcome_words(row)
    return CommandRow(
        row=row,
        line=command_line(args["command"]) if "command" in args else "",
        details=[detail for detail in details if detail.text],
        environment=[Detail(name, _env_text(value)) for name, value in sorted(known.items())],
        seconds=(row.finished_at or now) - row.ordered_at,
        outcome=outcome,
        failed=failed,
    )


def command_line(command: Any) -> str:
    """A shell's line as it is; a list of words quoted as a person would type it, its secrets hidden."""
    if isinstance(command, str):
        return _cut(command)
    return _cut(" ".join(_quoted(word) for word in _words(command)))


def _words(command: Any) -> list[str]:
    """The words of a command, nested lists flattened; of ("obfuscated", real, shown) what is to be shown."""
    if not isinstance(command, list | tuple):
        return [str(command)]
    if len(command) == 3 and command[0] == "obfuscated":
        return [str(command[2])]
    return [word for part in command for word in _words(part)]


def _quoted(word: str) -> str:
    if word and all(char.isalnum() or char in "@%+=:,./-_~" for char in word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def _detail(name: str, value: Any) -> str:
    """An argument in words; '' for what says nothing."""
    if value is None or value == {} or value == [] or value == "":
        return ""
    if name in _SECONDS and isinstance(value, int | float):
        return formats.duration_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "mode" and isinstance(value, int):
        return oct(value)
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return _cut(" ".join(_quoted(part) for part in value))
    return _cut(json.dumps(value, ensure_ascii=False))


def _env_text(value: Any) -> str:
    if value is None:
        return "(removed)"
    if isinstance(value, list):
        return _cut(":".join(str(part) for part in value))
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


_REASONS = {
    "timeout": "killed: it took too long",
    "timeout_without_output": "killed: it was silent for too long",
    "max_lines_failure": "killed: it wrote too many lines",
    "interrupted": "interrupted",
}


def outcome_words(row: RemoteCommandRow) -> tuple[str, bool]:
    """How a command ended, and whether that is bad."""
    if row.state is CommandState.LOST and row.left_at is not None:
        return "given up, and may still run on its slave", True
    if row.state is CommandState.LOST:
        return "lost with its slave", True
    if row.state is CommandState.ORDERED:
        return "ordered, not yet begun", False
    if row.state is CommandState.RUNNING or row.outcome is None:
        return "running", False
    outcome = row.outcome
    code, signal = outcome.get("rc"), outcome.get("signal")
    words = []
    if outcome.get("error"):
        words.append(_cut(str(outcome["error"])))
    if outcome.get("reason"):
        words.append(_REASONS.get(str(outcome["reason"]), str(outcome["reason"])))
    if signal is not None:
        words.append(f"ended by signal {signal}")
    elif code is not None:
        words.append(f"exit code {code}" if row.name == "shell" else "done" if code == 0 else f"error {code}")
    return ", ".join(words) or "done", bool(code or signal or outcome.get("error") or outcome.get("reason"))


ROUTES = (Page(PATH, "step.html", view),)
