"""A log: as a page (a window of its lines), as a download, and as a stream of lines while it grows."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup
from twisted.web.server import Request

from buildbot.model import Build, Builder, Log, Step
from buildbot.status.web import downloads, formats, log_lines, urls
from buildbot.status.web.asked import Asked, BadRequest, whole
from buildbot.status.web.log_tail import LogTail
from buildbot.status.web.pages import Master, NotFound, Page, Raw, View
from buildbot.status.web.places import LogPlace, find_log
from buildbot.status.web.streams import TooMany
from buildbot.store import logs
from buildbot.store.logfiles import Channel, LogReader

PATH = "/builders/{builder}/builds/{number}/steps/{step}/logs/{log}"
CHANNELS = {css: channel for channel, css in log_lines.CHANNEL_CLASS.items()}
HTML_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_RUNS_A_TURN = 1000
NOTHING = Markup("")


class Link(NamedTuple):
    text: str
    path: str
    current: bool = False


NO_LINK = Link("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogView(View):
    builder: Builder
    build: Build
    step: Step
    log: Log
    address: str
    times: Link
    lines: Markup = NOTHING
    first: int = 0  # counted from 1, as shown
    last: int = 0
    total: int = 0
    size: int = 0
    earlier: tuple[Link, ...] = ()  # where else in the log one may go
    later: tuple[Link, ...] = ()
    stream: str = ""  # of new lines, when the window reaches the end of a log that grows
    count: int = log_lines.LINES
    removed: str = ""

    @property
    def running(self) -> bool:
        return self.log.finished_at is None and not self.removed


def removal(log: Log) -> str:
    """What happened to a log's file, in words; '' while it is there."""
    if log.removed_at is None:
        return ""
    rule = f" by the retention rule {log.removed_by}" if log.removed_by else ""
    return f"This log was removed on {formats.local(log.removed_at):%Y-%m-%d at %H:%M}{rule}."


def encoding_of(master: Master) -> str:
    """What the configuration says that logs are written in: `logEncoding`, else UTF-8."""
    return codecs.lookup(master.config.other.get("logEncoding", "utf-8")).name


def view(asked: Asked, master: Master) -> View:
    place = find_log(master.store, asked)
    address = urls.log(place.builder.name, place.build.number, place.step.name, place.log.slug)
    title = f"{place.log.name} of {place.step.name}, {place.builder.name} #{place.build.number}"
    if place.log.removed_at is not None:
        return LogView(
            title=title, **place._asdict(), address=address, times=NO_LINK, status=410, removed=removal(place.log)
        )
    with _reader(master, place.log) as reader:
        return _window_view(asked, place, address, title, reader, encoding_of(master))


def _reader(master: Master, log: Log) -> LogReader:
    try:
        return master.log_files.read(log.path)
    except FileNotFoundError:
        raise NotFound(f"The file of log {log.name!r} is not in the logs directory; nobody wrote down why.") from None


def _window_view(asked: Asked, place: LogPlace, address: str, title: str, reader: LogReader, encoding: str) -> LogView:
    running = place.log.finished_at is None
    count = asked.number("count", log_lines.LINES, 1, log_lines.MOST_LINES)
    most_bytes = log_lines.MOST_BYTES if asked.one("count") else log_lines.WINDOW_BYTES
    times = asked.flag("times")
    match asked.one("first") or ("last" if running else "1"):
        case "last":
            shown = log_lines.ending(reader, count, most_bytes)
        case number:
            shown = log_lines.window(reader, whole(number, "first") - 1, count, most_bytes)
    html, _ = log_lines.draw_all(shown.lines, log_lines.Drawing(encoding, times), shown.pen)
    follows = running and shown.end >= shown.total
    kept = [("count", asked.one("count")), ("times", "1" if times else "")]
    stream = urls.with_query(f"{address}/events", [("after", shown.after or "0"), *kept[1:]])
    first = asked.one("first")
    return LogView(
        title=title,
        **place._asdict(),
        address=address,
        lines=html,
        first=shown.first + 1 if shown.lines else 0,
        last=shown.end,
        total=shown.total,
        size=shown.size,
        earlier=_earlier(address, shown, count, kept),
        later=_later(address, shown, kept),
        times=Link(
            "without times" if times else "with times",
            urls.with_query(address, [("first", first), kept[0], ("times", "" if times else "1")]),
        ),
        stream=stream if follows else "",
        count=count,
    )


def _earlier(address: str, shown: log_lines.Window, count: int, kept: list[tuple[str, str]]) -> tuple[Link, ...]:
    if shown.first <= 0:
        return ()
    before = max(1, shown.first + 1 - min(count, max(len(shown.lines), 1)))
    return (
        Link("first lines", urls.with_query(address, [("first", 1), *kept])),
        Link("earlier", urls.with_query(address, [("first", before), *kept]) + f"#L{shown.first}"),
    )


def _later(address: str, shown: log_lines.Window, kept: list[tuple[str, str]]) -> tuple[Link, ...]:
    if shown.end >= shown.total:
        return ()
    return (
        Link("later", urls.with_query(address, [("first", shown.end + 1), *kept])),
        Link("last lines", urls.with_query(address, [("first", "last"), *kept])),
    )


# -- downloads


def text(asked: Asked, master: Master, request: Request) -> None:
    """The bytes as they were written, shown by the browser."""
    _download(asked, master, request, attach=asked.flag("download"))


def raw(asked: Asked, master: Master, request: Request) -> None:
    """The bytes as they were written, to be saved."""
    _download(asked, master, request, attach=asked.flag("download", True))


def _download(asked: Asked, master: Master, request: Request, attach: bool) -> None:
    place = find_log(master.store, asked)
    log = place.log
    request.setHeader("Content-Type", f"text/plain; charset={encoding_of(master)}")
    request.setHeader("Cache-Control", "private, no-cache")
    if log.removed_at is not None:
        _say(request, 410, removal(log))
        return
    channels = [_channel(name) for value in asked.every("channel") for name in value.split(",")]
    name = f"{place.builder.name}-{place.build.number}-{place.step.name}-{log.slug}.txt"
    if attach:
        request.setHeader("Content-Disposition", _attachment(name))
    reader = _reader(master, log)
    if channels:
        _send(request, master, reader, _chunks_of_channels(reader, channels))
        return
    span = downloads.wanted(request, reader.size, f'"{log.id}-{reader.size}"')
    _send(request, master, reader, iter(()) if span is None else downloads.chunks_of(reader.raw, span))


def _channel(name: str) -> Channel:
    channel = CHANNELS.get(name)
    if channel is None:
        raise BadRequest(f"channel must be one of {', '.join(CHANNELS)}")
    return channel


def _attachment(name: str) -> str:
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "_" for char in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _chunks_of_channels(reader: LogReader, channels: list[Channel]) -> Iterator[bytes]:
    """These channels alone, joined to chunks. Looks at so many runs a turn, however few of them are wanted."""
    kept = bytearray()
    for seen, (run, data) in enumerate(reader.pieces(0, reader.size)):
        if run.channel in channels:
            kept += data
        if len(kept) >= downloads.CHUNK_BYTES or seen % _RUNS_A_TURN == _RUNS_A_TURN - 1:
            yield bytes(kept)
            kept.clear()
    yield bytes(kept)


def _send(request: Request, master: Master, reader: LogReader, chunks: Iterator[bytes]) -> None:
    if request.method == b"HEAD":
        chunks = iter(())
        request.write(b"")
    downloads.Sender(request, chunks, master.streams.clock, reader.close).start()


def _say(request: Request, status: int, words: str) -> None:
    request.setResponseCode(status)
    body = f"{words}\n".encode()
    request.setHeader("Content-Length", str(len(body)))
    request.write(body)
    request.finish()


# -- a log that is HTML itself


def html(asked: Asked, master: Master, request: Request) -> None:
    """An HTML log as a page of its own, in a sandbox: it runs no script and knows nothing of this site."""
    place = find_log(master.store, asked)
    if place.log.kind != "html":
        raise NotFound(f"Log {place.log.name!r} is not HTML.")
    if place.log.removed_at is not None:
        _say(request, 410, removal(place.log))
        return
    request.setHeader("Content-Type", f"text/html; charset={encoding_of(master)}")
    request.setHeader("Content-Security-Policy", HTML_POLICY)
    reader = _reader(master, place.log)
    request.setHeader("Content-Length", str(reader.size))
    _send(request, master, reader, downloads.chunks_of(reader.raw, downloads.Span(0, reader.size)))


# -- live


def follow(asked: Asked, master: Master, request: Request) -> None:
    """Server-sent events with the lines after byte `after`, drawn, until the log is finished."""
    place = find_log(master.store, asked)
    if place.log.removed_at is not None:
        _say(request, 410, removal(place.log))
        return
    if request.method == b"HEAD":
        _say(request, 200, "")
        return
    resumed = asked.headers.get("last-event-id", "")
    after = int(resumed) if resumed.isdecimal() and len(resumed) < 19 else asked.number("after", 0, 0, 1 << 62)
    try:
        stream = master.streams.open(request)
    except TooMany as error:
        request.setHeader("Retry-After", "60")
        _say(request, 503, str(error))
        return
    LogTail(
        stream,
        master.log_files,
        place.log,
        lambda: logs.get(master.store, place.log.id),
        master.streams.clock,
        log_lines.Drawing(encoding_of(master), asked.flag("times")),
    ).start(after)


ROUTES = (
    Page(PATH, "log.html", view),
    Raw(f"{PATH}/text", text),
    Raw(f"{PATH}/raw", raw),
    Raw(f"{PATH}/html", html),
    Raw(f"{PATH}/events", follow),
)
