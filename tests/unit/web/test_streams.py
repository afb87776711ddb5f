"""Live streams: what a browser hears, how much of it at most, and that nothing stays when it has gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import EventKind, Log
from buildbot.status.web import log_lines, streams
from buildbot.status.web.log_tail import MOST_BEHIND_BYTES, LogTail
from buildbot.store import events, logs
from buildbot.store.logfiles import Channel
from tests.unit.web.served import BUILDER, START, Served, build_path


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.served = Served()
        self.addCleanup(self.served.close)

    def happen(self, kind: EventKind = EventKind.SLAVE_LOST, **detail: Any) -> int:
        return self.served.store.transact(lambda store: events.add(store, START, kind, **detail)).id


class PageEventTests(Case):
    def test_says_hello_with_the_newest_id(self) -> None:
        newest = self.happen()
        answer = self.served.ask("/events")
        self.assertEqual(answer.header("content-type"), "text/event-stream; charset=utf-8")
        self.assertEqual(answer.events(), [("hello", {}, str(newest))])

    def test_tells_what_happens_once_it_is_committed(self) -> None:
        answer = self.served.ask("/events")
        answer.events()
        build = self.served.build()
        told = answer.events(0.3)
        self.assertEqual(
            [data["kind"] for _, data, _ in told],
            ["change added", "buildset submitted", "request claimed", "build started"],
        )
        self.assertEqual(told[-1][1], {"kind": "build started", "builder": BUILDER, "build": build.number})
        self.assertEqual(told[2][1]["builder"], BUILDER)
        self.assertEqual(told[-1][2], str(events.last_id(self.served.store)))

    def test_what_was_reverted_is_not_told(self) -> None:
        answer = self.served.ask("/events")
        answer.events()

        def work(store: Any) -> None:
            events.add(store, START, EventKind.SLAVE_LOST)
            raise ValueError

        with self.assertRaises(ValueError):
            self.served.store.transact(work)
        self.assertEqual(answer.events(1), [])

    def test_a_page_hears_only_of_what_it_shows(self) -> None:
        build = self.served.build()
        answer = self.served.ask(f"/events?builder=a%2Fb+%3Cx%3E&build={build.number}")
        answer.events()
        self.served.build("other")
        self.served.build()
        self.assertEqual(answer.events(1), [])
        self.served.finish(build)
        self.assertEqual([data["kind"] for _, data, _ in answer.events(1)], ["build finished"])

    def test_kinds_can_be_chosen(self) -> None:
        answer = self.served.ask("/events?kind=slave+lost")
        answer.events()
        self.served.build()
        self.happen()
        self.assertEqual([data["kind"] for _, data, _ in answer.events(1)], ["slave lost"])

    def test_a_browser_that_comes_back_hears_what_it_missed(self) -> None:
        seen = self.happen()
        self.happen(number=7)
        for answer in (self.served.ask("/events", Last_Event_ID=str(seen)), self.served.ask(f"/events?after={seen}")):
            told = answer.events(0.3)
            self.assertEqual([(event, id) for event, _, id in told], [("hello", str(seen)), ("change", str(seen + 1))])

    def test_one_that_missed_too_much_is_told_of_a_gap(self) -> None:
        seen = self.happen()
        for _ in range(streams.MOST_WAITING):
            newest = self.happen()
        told = self.served.ask("/events", Last_Event_ID=str(seen)).events(0.3)
        self.assertEqual([(event, id) for event, _, id in told], [("hello", str(seen)), ("gap", str(newest))])

    def test_an_id_of_the_future_is_not_believed(self) -> None:
        newest = self.happen()
        self.assertEqual(self.served.ask("/events?after=99999999").events(0.3), [("hello", {}, str(newest))])

    def test_too_many_events_at_once_become_a_gap(self) -> None:
        answer = self.served.ask("/events")
        answer.events()
        for _ in range(streams.MOST_WAITING * 3):
            newest = self.happen()
        self.assertEqual(answer.events(1), [("gap", {}, str(newest))])
        self.happen()
        self.assertEqual(len(answer.events(1)), 1)

    def test_progress_is_told_once_a_second_and_without_an_id(self) -> None:
        build = self.served.build()
        answer = self.served.ask("/events")
        answer.events()
        for _ in range(5):
            self.served.control.progress.tell(build.id)
        self.assertEqual(answer.events(0.5), [])
        data = {"kind": "progress", "builder": BUILDER, "build": build.number}
        self.assertEqual(answer.events(1), [("change", data, None)])

    def test_keeps_the_connection_alive(self) -> None:
        answer = self.served.ask("/events")
        answer.more()
        self.assertEqual(answer.more(14), "")
        self.assertEqual(answer.more(2), ": still here\n\n")

    def test_ends_after_an_hour(self) -> None:
        answer = self.served.ask("/events")
        for _ in range(250):
            answer.more(15)
        self.assertTrue(answer.ended)

    def test_head(self) -> None:
        self.assertEqual(self.served.ask("/events", "HEAD").body, b"")


class LeavingTests(Case):
    def test_nothing_stays(self) -> None:
        build = self.served.build()
        _, writer = self.served.log(build, self.served.step(build))
        self.addCleanup(writer.close)
        listeners = len(self.served.store.event_listeners)
        page = self.served.ask("/events")
        log = self.served.ask(f"{build_path(build)}/steps/compile/logs/stdio/events")
        self.happen()
        writer.append(b"x\n", Channel.STDOUT, 1, START)
        self.assertEqual(len(self.served.site.streams), 2)
        self.assertEqual(len(self.served.store.event_listeners), listeners + 1)
        self.assertEqual(len(self.served.control.progress.calls), 1)
        page.leave()
        log.leave()
        self.assertEqual(len(self.served.site.streams), 0)
        self.assertEqual(len(self.served.store.event_listeners), listeners)
        self.assertEqual(self.served.control.progress.calls, [])
        self.assertEqual(self.served.log_files._watchers, {})
        self.assertEqual(self.served.clock.getDelayedCalls(), [])

    def test_all_end_with_the_site(self) -> None:
        page = self.served.ask("/events")
        self.served.site.streams.close()
        self.assertTrue(page.ended)
        self.assertEqual(self.served.clock.getDelayedCalls(), [])

    def test_an_address_has_only_so_many(self) -> None:
        self.served.site.streams._most_of_an_address = 2
        first = self.served.ask("/events")
        self.served.ask("/events")
        refused = self.served.ask("/events")
        self.assertEqual((refused.status, refused.header("retry-after")), (503, "60"))
        self.assertIn("too many", refused.text)
        first.leave()
        self.assertEqual(self.served.ask("/events").status, 200)

    def test_the_site_has_only_so_many(self) -> None:
        self.served.site.streams._most = 1
        path = self.served.finished_log(b"x\n")
        self.served.ask("/events")
        self.assertEqual(self.served.ask(f"{path}/events").status, 503)


class LogStreamTests(Case):
    def setUp(self) -> None:
        super().setUp()
        build = self.served.build()
        self.log_id, self.writer = self.served.log(build, self.served.step(build))
        self.path = f"{build_path(build)}/steps/compile/logs/stdio/events"
        self.open = True
        self.addCleanup(self.end_log)

    def end_log(self) -> None:
        if self.open:
            self.open = False
            self.writer.close()

    def write(self, data: bytes, channel: Channel = Channel.STDOUT) -> None:
        self.writer.append(data, channel, 1, START)

    def lines(self, told: list[tuple[str, Any, str | None]]) -> list[tuple[int, str]]:
        return [(n, html) for event, data, _ in told if event == "lines" for n, html in data["lines"]]

    def test_lines_come_as_the_page_draws_them(self) -> None:
        self.write(b"old\n")
        answer = self.served.ask(f"{self.path}?after=4")
        self.assertEqual(answer.events(), [])
        self.write(b"<new>\n", Channel.STDERR)
        ((event, data, id),) = answer.events(0.3)
        self.assertEqual((event, id), ("lines", str(self.writer.size)))
        number, html = data["lines"][0]
        self.assertEqual(number, 2)
        self.assertEqual(html, '<div><a id="L2" href="#L2">2</a><span class="stderr">&lt;new&gt;</span>\n</div>')

    def test_many_writes_are_few_events(self) -> None:
        answer = self.served.ask(self.path)
        answer.events()
        for n in range(100):
            self.write(b"%d\n" % n)
        told = answer.events(0.3)
        self.assertEqual(len(told), 1)
        self.assertEqual(len(self.lines(told)), 100)

    def test_an_unfinished_line_grows_under_its_number(self) -> None:
        answer = self.served.ask(self.path)
        self.write(b"one\n10%\r")
        first = answer.events(0.3)
        self.write(b"20%\r")
        second = answer.events(0.3)
        self.write(b"done\nnext\n")
        third = answer.events(0.3)
        self.assertEqual([n for n, _ in self.lines(first)], [1, 2])
        self.assertEqual([n for n, _ in self.lines(second)], [2])
        self.assertIn(">20%<", self.lines(second)[0][1])
        self.assertEqual([n for n, _ in self.lines(third)], [2, 3])
        self.assertEqual(first[-1][2], "4")
        self.assertEqual(answer.events(1), [])

    def test_colours_go_on_from_line_to_line(self) -> None:
        answer = self.served.ask(self.path)
        self.write(b"\x1b[31mred\nred")
        self.assertEqual([html.count("f1") for _, html in self.lines(answer.events(0.3))], [1, 1])
        self.write(b" still\nand\n")
        self.assertEqual([html.count("f1") for _, html in self.lines(answer.events(0.3))], [1, 1])

    def test_a_browser_that_comes_back_goes_on_at_its_byte(self) -> None:
        self.write(b"one\ntwo\nthree\n")
        told = self.served.ask(f"{self.path}?after=0", Last_Event_ID="8").events(0.3)
        self.assertEqual([n for n, _ in self.lines(told)], [3])

    def test_a_byte_in_the_middle_of_a_line_gives_the_whole_line(self) -> None:
        self.write(b"one\ntwo\n")
        told = self.served.ask(f"{self.path}?after=6").events(0.3)
        self.assertEqual([n for n, _ in self.lines(told)], [2])

    def test_a_finished_log_ends_the_stream(self) -> None:
        answer = self.served.ask(self.path)
        self.write(b"last words")
        self.open = False
        self.served.finish_log(self.log_id, self.writer)
        told = answer.events(0.3) + answer.events(3)
        self.assertEqual([event for event, _, _ in told], ["lines", "end"])
        self.assertTrue(answer.ended)
        self.assertEqual(self.served.clock.getDelayedCalls(), [])

    def test_a_log_that_was_closed_before_its_row_ends_too(self) -> None:
        answer = self.served.ask(self.path)
        answer.events()
        self.open = False
        self.writer.close()
        self.assertEqual(answer.events(0.5), [])
        self.served.store.transact(logs.finish, self.log_id, 0, 0, START)
        self.assertEqual([event for event, _, _ in answer.events(3)], ["end"])

    def test_far_behind_means_a_gap_that_says_which_lines(self) -> None:
        answer = self.served.ask(self.path)
        self.write(b"first\n")
        answer.events(0.3)
        self.write(b"x" * 79 + b"\n")
        for _ in range(40):
            self.write((b"y" * 79 + b"\n") * 1000)
        told = answer.events(0.25)
        self.assertEqual(told[0][0], "gap")
        gap = told[0][1]
        self.assertEqual(gap["first"], 2)
        shown = self.lines(told + answer.events(3))
        self.assertEqual(shown[0][0], gap["last"] + 1)
        self.assertEqual(shown[-1][0], 40002)

    def test_a_line_without_end_is_told_once(self) -> None:
        answer = self.served.ask(self.path)
        for _ in range(5):
            self.write(b"z" * (1 << 20))
        told = answer.events(0.5)
        self.assertEqual(len(self.lines(told)), 1)
        self.assertIn("the line goes on", self.lines(told)[0][1])
        self.write(b"z" * (1 << 20))
        self.assertEqual(answer.events(3), [])


class SlowStream:
    """A stream whose browser takes an event only when it is told to."""

    def __init__(self) -> None:
        self.full = False
        self.open = True
        self.sent: list[tuple[str, Any, int | None]] = []

    def start(self, source: object) -> None: ...

    def send(self, kind: str, data: Any, id: int | None = None) -> None:
        self.sent.append((kind, data, id))
        self.full = True

    def end(self) -> None:
        self.open = False


class SlowBrowserTests(Case):
    def tail(self, current: Callable[[], Log | None]) -> tuple[SlowStream, LogTail, Log]:
        stream: Any = SlowStream()
        log = current()
        assert log is not None
        tail = LogTail(stream, self.served.log_files, log, current, self.served.clock, log_lines.Drawing())
        return stream, tail, log

    def test_gets_no_more_than_it_takes(self) -> None:
        build = self.served.build()
        id, writer = self.served.log(build, self.served.step(build))
        self.addCleanup(writer.close)
        stream, tail, _ = self.tail(lambda: logs.get(self.served.store, id))
        tail.start(0)
        self.addCleanup(tail.closed)
        for _ in range(100):
            writer.append((b"w" * 99 + b"\n") * 1000, Channel.STDOUT, 1, START)
            self.served.clock.advance(1)
        self.assertEqual(len(stream.sent), 1)
        stream.full = False
        tail.ready()
        self.served.clock.advance(0.3)
        kind, data, _ = stream.sent[1]
        self.assertEqual(kind, "gap")
        self.assertGreater((data["last"] - data["first"]) * 100, writer.size - 2 * MOST_BEHIND_BYTES)
