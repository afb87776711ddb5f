"""How pages write times, durations and texts, and the jinja2 environment that knows it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from buildbot.model import Result
from buildbot.status.web import urls

TEMPLATES = Path(__file__).with_name("templates")


def local(at: float) -> datetime:
    """A moment in the master's own time zone."""
    return datetime.fromtimestamp(at, tz=UTC).astimezone()


def _tag(at: float, text: str) -> Markup:
    moment = local(at)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), moment.strftime("%a %Y-%m-%d %H:%M:%S %Z"), text
    )


def when(at: float | None) -> Markup:
    """A date and time of day."""
    return Markup("—") if at is None else _tag(at, local(at).strftime("%Y-%m-%d %H:%M:%S"))


def clock(at: float) -> Markup:
    """A time of day alone."""
    return _tag(at, local(at).strftime("%H:%M:%S"))


def minute(at: float, text: str) -> Markup:
    """A short label of the time axis, of which a page has hundreds: few bytes, quickly made. `text` is no user's."""
    utc = datetime.fromtimestamp(at, tz=UTC)
    return Markup(f'<time datetime="{utc:%Y-%m-%dT%H:%M}Z">{text}</time>')


def ago(at: float | None, now: float) -> Markup:
    """How long since then; the exact time is one hover away."""
    if at is None:
        return Markup("never")
    text = f"{duration_text(now - at)} ago" if at <= now else f"in {duration_text(at - now)}"
    return _tag(at, text)


def duration_text(seconds: float) -> str:
    """`42 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`: two units at most."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole, 60, "min", 1, "s")
    if whole < 86400:
        return _two(whole, 3600, "h", 60, "min")
    return _two(whole, 86400, "d", 3600, "h")


def _two(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    count, rest = divmod(whole, large)
    text = f"{count} {large_name}"
    return f"{text} {rest // small} {small_name}" if rest // small else text


def duration(seconds: float | None) -> Markup:
    if seconds is None:
        return Markup("—")
    return Markup('<time datetime="PT{}S">{}</time>').format(max(round(seconds), 0), duration_text(seconds))


def size(count: int | None) -> str:
    """A number of bytes for people."""
    if count is None:
        return "—"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def result_class(result: Result | None, started: bool = True) -> str:
    """The CSS class of a box: the result's name, `running`, or `waiting` for what has not begun."""
    if result is not None:
        return result.css_class
    return "running" if started else "waiting"


def result_text(result: Result | None) -> str:
    return "running" if result is None else result.css_class


def short(revision: str | None) -> str:
    """A revision that fits into a table: hashes are cut to twelve places."""
    if revision is None:
        return "latest"
    return revision[:12] if len(revision) == 40 and revision.isalnum() else revision


def first_line(text: str, most: int = 80) -> str:
    line = text.strip().partition("\n")[0].strip()
    return line if len(line) <= most else line[: most - 1] + "…"


def person(author: str) -> str:
    """A name without its mail address."""
    name = author.partition("<")[0].strip().strip('"')
    return name or author.strip("<> ").partition("@")[0]


def web_link(address: str) -> str:
    """An address that may stand in a link: http, https or one of ours; anything else gives nothing."""
    return address if address.startswith(("http://", "https://")) or urls.is_local(address) else ""


@cache
def make_environment(own_templates: Path | None = None) -> Environment:
    """Templates of the base directory's `templates/` win over ours. One a process: a template is compiled once."""
    places = [str(TEMPLATES)] if own_templates is None else [str(own_templates), str(TEMPLATES)]
    environment = Environment(
        loader=FileSystemLoader(places),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {
        "when": when,
        "clock": clock,
        "minute": minute,
        "ago": ago,
        "duration": duration,
        "size": size,
        "result_class": result_class,
        "result_text": result_text,
        "short": short,
        "person": person,
        "first_line": first_line,
        "web_link": web_link,
    }
    environment.filters.update(filters)
    environment.globals["url"] = urls
    return environment
