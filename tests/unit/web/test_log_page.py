"""The pages of logs, their downloads, and what holds for logs that are large, odd or gone."""

from __future__ import annotations

import re

import pytest
from twisted.trial.unittest import SynchronousTestCase

from buildbot.status.web import log_lines
from buildbot.status.web.downloads import Span, Unsatisfiable, byte_range
from buildbot.store.logfiles import Channel
from tests.unit.web.served import START, Served, build_path


@pytest.mark.parametrize(
    ("header", "size", "span"),
    [
        ("bytes=0-", 10, (0, 10)),
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=2-4", 10, (2, 5)),
        ("bytes=2-400", 10, (2, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-30", 10, (0, 10)),
        (" Bytes = 1 - 2 ", 10, (1, 3)),
        ("bytes=5-2", 10, None),
        ("bytes=-", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("lines=0-1", 10, None),
        ("", 10, None),
        ("bytes=²-3", 10, None),
        ("bytes=99999999999999999999-", 10, None),
        ("bytes=10-", 10, Unsatisfiable),
        ("bytes=-0", 10, Unsatisfiable),
        ("bytes=0-", 0, Unsatisfiable),
        ("bytes=-1", 0, Unsatisfiable),
    ],
)
def test_byte_range(header: str, size: int, span: tuple[int, int] | type[Exception] | None) -> None:
    if isinstance(span, type):
        with pytest.raises(span):
            byte_range(header, size)
    else:
        assert byte_range(header, size) == (None if span is None else Span(*span))


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<a id="L(\d+)" href="#L\1">\1</a>', page)]


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.served = Served()
        self.addCleanup(self.served.close)


class PageTests(Case):
    def test_channels_are_classes_and_text_is_escaped(self) -> None:
        build = self.served.build()
        step = self.served.step(build)
        id, writer = self.served.log(build, step)
        writer.append(b"in dir <x>\n", Channel.HEADER, 1, START)
        writer.append(b"out & about\n", Channel.STDOUT, 1, START)
        writer.append(b"\x1b[31mbad\x1b[0m\n", Channel.STDERR, 1, START)
        self.served.finish_log(id, writer)
        page = self.served.ask(f"{build_path(build)}/steps/compile/logs/stdio").text
        self.assertIn('<span class="header">in dir &lt;x&gt;</span>', page)
        self.assertIn('<span class="stdout">out &amp; about</span>', page)
        self.assertIn('<span class="stderr f1">bad</span>', page)
        self.assertEqual(numbers(page), [1, 2, 3])
        self.assertNotIn("data-stream", page)

    def test_bytes_that_are_no_text_are_shown_as_such(self) -> None:
        path = self.served.finished_log(b"caf\xc3\xa9 \xff\x00\n")
        self.assertIn('<span class="stdout">café \ufffd␀</span>', self.served.ask(path).text)

    def test_a_character_in_two_writes_is_one(self) -> None:
        build = self.served.build()
        id, writer = self.served.log(build, self.served.step(build))
        writer.append(b"caf\xc3", Channel.STDOUT, 1, START)
        writer.append(b"\xa9\n", Channel.STDOUT, 1, START + 5)
        self.served.finish_log(id, writer)
        self.assertIn("café", self.served.ask(f"{build_path(build)}/steps/compile/logs/stdio").text)

    def test_a_finished_log_begins_at_its_beginning(self) -> None:
        path = self.served.finished_log(b"".join(b"line %d\n" % n for n in range(1, 2501)))
        first = self.served.ask(path).text
        self.assertEqual(numbers(first), list(range(1, 1001)))
        self.assertIn(f'{path}?first=1001"', first)
        self.assertIn(f'{path}?first=last"', first)
        self.assertEqual(numbers(self.served.ask(f"{path}?first=1001&count=3").text), [1001, 1002, 1003])
        self.assertEqual(numbers(self.served.ask(f"{path}?first=last").text), list(range(1501, 2501)))
        self.assertEqual(numbers(self.served.ask(f"{path}?first=99999").text), [2500])

    def test_a_running_log_shows_its_end_and_follows(self) -> None:
        build = self.served.build()
        _, writer = self.served.log(build, self.served.step(build))
        self.addCleanup(writer.close)
        writer.append(b"".join(b"line %d\n" % n for n in range(1, 2501)) + b"unfin", Channel.STDOUT, 1, START)
        path = f"{build_path(build)}/steps/compile/logs/stdio"
        page = self.served.ask(path).text
        self.assertEqual(numbers(page)[-1], 2501)
        self.assertIn(f'data-stream="{path}/events?after={writer.size - 5}"', page)
        self.assertNotIn("data-stream", self.served.ask(f"{path}?first=1&count=10").text)

    def test_the_last_lines_are_there_when_lines_are_long(self) -> None:
        path = self.served.finished_log(b"".join(b"%d %s\n" % (n, b"x" * 200) for n in range(1, 3001)))
        page = self.served.ask(f"{path}?first=last").text
        self.assertEqual(numbers(page)[-1], 3000)
        self.assertLess(len(page), 100_000)

    def test_the_first_view_is_small(self) -> None:
        path = self.served.finished_log(b"".join(b"%d %s\n" % (n, b"y" * 74) for n in range(1, 20001)))
        self.assertLess(len(self.served.ask(path).body), 100_000)

    def test_a_line_without_end_is_cut_and_leads_to_the_download(self) -> None:
        build = self.served.build()
        id, writer = self.served.log(build, self.served.step(build))
        for _ in range(64):
            writer.append(b"z" * (1 << 20), Channel.STDOUT, 1, START)
        self.served.finish_log(id, writer)
        page = self.served.ask(f"{build_path(build)}/steps/compile/logs/stdio").text
        self.assertIn("the line goes on", page)
        self.assertIn("/raw", page)
        self.assertLess(len(page), 100_000)

    def test_times_are_shown_when_asked_for(self) -> None:
        path = self.served.finished_log(b"one\n")
        self.assertNotIn(
            '<time datetime="2023-11-14T', self.served.ask(path).text.partition('class="log"')[2].partition("</div>")[0]
        )
        timed = self.served.ask(f"{path}?times=1").text.partition('class="log"')[2]
        self.assertRegex(timed, r'</a><time datetime="2023-11-1\dT[\d:.+-]+">\d\d:\d\d:33\.0</time><span')

    def test_colours_that_are_on_before_the_window_are_on_in_it(self) -> None:
        path = self.served.finished_log(b"\x1b[32mgreen\n" + b"more\n" * 50)
        self.assertIn('<span class="stdout f2">more</span>', self.served.ask(f"{path}?first=30&count=2").text)

    def test_the_configuration_names_the_encoding(self) -> None:
        served = Served(logEncoding="latin-1")
        self.addCleanup(served.close)
        path = served.finished_log(b"caf\xe9\n")
        self.assertIn("café", served.ask(path).text)
        self.assertEqual(served.ask(f"{path}/text").header("content-type"), "text/plain; charset=iso8859-1")

    def test_a_removed_log_says_when_and_why(self) -> None:
        path = self.served.finished_log(b"gone\n")
        self.served.store.execute("UPDATE logs SET removed_at = ?, removed_by = ?", START, "logs of 30 days")
        for part in ("", "/text", "/raw", "/events"):
            answer = self.served.ask(path + part)
            self.assertEqual(answer.status, 410, part)
            self.assertIn("logs of 30 days", answer.text)
            self.assertIn("2023-11-1", answer.text)

    def test_what_is_not_there_is_not_found(self) -> None:
        path = self.served.finished_log(b"x\n")
        good = path.split("/")
        for place, wrong in ((2, "none"), (4, "99"), (4, "x"), (4, "0"), (6, "none"), (8, "none")):
            parts = [*good]
            parts[place] = wrong
            self.assertEqual(self.served.ask("/".join(parts)).status, 404, parts)
        self.assertEqual(self.served.ask(f"{path}?first=x").status, 400)

    def test_a_file_that_is_missing_is_told(self) -> None:
        path = self.served.finished_log(b"x\n")
        for file in self.served.log_files.root.rglob("*.txt"):
            file.unlink()
        for part in ("", "/text"):
            self.assertEqual(self.served.ask(path + part).status, 404)

    def test_steps_by_number_and_builds_from_the_newest(self) -> None:
        self.served.finished_log(b"first\n")
        self.served.finished_log(b"second\n")
        base = "/builders/a%2Fb%20%3Cx%3E/builds"
        self.assertIn("second", self.served.ask(f"{base}/-1/steps/0/logs/stdio").text)
        self.assertIn("first", self.served.ask(f"{base}/-2/steps/0/logs/stdio").text)
        self.assertEqual(self.served.ask(f"{base}/-3").status, 404)

    def test_few_statements(self) -> None:
        path = self.served.finished_log(b"x\n" * 5000)
        before = self.served.store.statements
        self.served.ask(path)
        self.assertLessEqual(self.served.store.statements - before, 10)

    def test_an_empty_log_is_a_page(self) -> None:
        build = self.served.build()
        _, writer = self.served.log(build, self.served.step(build))
        self.addCleanup(writer.close)
        page = self.served.ask(f"{build_path(build)}/steps/compile/logs/stdio")
        self.assertEqual(page.status, 200)
        self.assertIn("events?after=0", page.text)


class WindowTests(Case):
    def test_goes_on_where_the_lines_end(self) -> None:
        for data, after in ((b"a\nb\n", 4), (b"a\nb", 2), (b"", 0), (b"abc", 0), (b"\n", 1)):
            writer = self.served.log_files.write(f"w{len(data)}{after}.txt")
            writer.append(data, Channel.STDOUT, 0, START)
            writer.close()
            with self.served.log_files.read(f"w{len(data)}{after}.txt") as reader:
                self.assertEqual(log_lines.ending(reader).after, after, data)
                self.assertEqual(log_lines.beginning(reader).after, after, data)


class DownloadTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.data = bytes(range(256)) * 2000
        self.path = self.served.finished_log(self.data)

    def test_the_whole_log_byte_for_byte(self) -> None:
        answer = self.served.ask(f"{self.path}/text")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header("content-type"), "text/plain; charset=utf-8")
        self.assertEqual(answer.length, len(self.data))
        self.assertEqual(answer.header("accept-ranges"), "bytes")
        self.assertEqual(answer.header("x-content-type-options"), "nosniff")
        self.assertIsNone(answer.header("content-disposition"))
        self.assertEqual(answer.body, self.data)

    def test_raw_is_to_be_saved(self) -> None:
        said = self.served.ask(f"{self.path}/raw").header("content-disposition") or ""
        self.assertTrue(said.startswith('attachment; filename="a_b__x_-1-compile-stdio.txt"'), said)
        self.assertIsNone(self.served.ask(f"{self.path}/raw?download=0").header("content-disposition"))
        self.assertIsNotNone(self.served.ask(f"{self.path}/text?download=1").header("content-disposition"))

    def test_a_range(self) -> None:
        answer = self.served.ask(f"{self.path}/text", Range="bytes=300-100299")
        self.assertEqual(answer.status, 206)
        self.assertEqual(answer.header("content-range"), f"bytes 300-100299/{len(self.data)}")
        self.assertEqual(answer.length, 100_000)
        self.assertEqual(answer.body, self.data[300:100300])

    def test_a_suffix(self) -> None:
        answer = self.served.ask(f"{self.path}/text", Range="bytes=-7")
        self.assertEqual((answer.status, answer.body), (206, self.data[-7:]))

    def test_a_range_behind_the_end(self) -> None:
        answer = self.served.ask(f"{self.path}/text", Range="bytes=512000-")
        self.assertEqual(answer.status, 416)
        self.assertEqual(answer.header("content-range"), "bytes */512000")
        self.assertEqual(answer.body, b"")

    def test_several_ranges_are_answered_with_the_whole(self) -> None:
        answer = self.served.ask(f"{self.path}/text", Range="bytes=0-1,5-6")
        self.assertEqual((answer.status, answer.body), (200, self.data))

    def test_if_range(self) -> None:
        etag = self.served.ask(f"{self.path}/text").header("etag") or ""
        part = {"Range": "bytes=0-1"}
        self.assertEqual(self.served.ask(f"{self.path}/text", If_Range=etag, **part).status, 206)
        self.assertEqual(self.served.ask(f"{self.path}/text", If_Range='"other"', **part).status, 200)

    def test_if_none_match(self) -> None:
        etag = self.served.ask(f"{self.path}/text").header("etag") or ""
        answer = self.served.ask(f"{self.path}/text", If_None_Match=etag)
        self.assertEqual((answer.status, answer.body), (304, b""))

    def test_head(self) -> None:
        answer = self.served.ask(f"{self.path}/raw", "HEAD")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, b"")

    def test_a_growing_log_is_sent_as_it_is_now(self) -> None:
        build = self.served.build()
        _, writer = self.served.log(build, self.served.step(build))
        self.addCleanup(writer.close)
        writer.append(b"x" * 300_000, Channel.STDOUT, 1, START)
        answer = self.served.ask(f"{build_path(build)}/steps/compile/logs/stdio/text")
        writer.append(b"later", Channel.STDOUT, 1, START)
        self.assertEqual(answer.length, 300_000)
        self.assertEqual(len(answer.body), 300_000)

    def test_a_channel_alone(self) -> None:
        build = self.served.build()
        id, writer = self.served.log(build, self.served.step(build))
        for n in range(2500):
            writer.append(b"o%d " % n, Channel.STDOUT, 1, START)
            writer.append(b"e%d " % n, Channel.STDERR, 1, START)
        writer.append(b"exit", Channel.HEADER, 1, START)
        self.served.finish_log(id, writer)
        path = f"{build_path(build)}/steps/compile/logs/stdio/text"
        self.assertEqual(self.served.ask(f"{path}?channel=stderr").body, b"".join(b"e%d " % n for n in range(2500)))
        self.assertTrue(self.served.ask(f"{path}?channel=stderr,header").body.endswith(b"e2499 exit"))
        self.assertEqual(self.served.ask(f"{path}?channel=nonsense").status, 400)

    def test_files_are_closed_when_the_client_leaves(self) -> None:
        answer = self.served.ask(f"{self.path}/text")
        answer.leave()
        self.served.clock.advance(1)
        self.assertEqual(self.served.clock.getDelayedCalls(), [])


class HTMLLogTests(Case):
    def test_it_is_served_in_a_sandbox(self) -> None:
        path = self.served.finished_log(b"<h1>report</h1><script>1</script>", kind="html", name="report")
        answer = self.served.ask(f"{path}/html")
        self.assertTrue((answer.header("content-security-policy") or "").startswith("sandbox;"))
        self.assertEqual(answer.header("content-type"), "text/html; charset=utf-8")
        self.assertEqual(answer.body, b"<h1>report</h1><script>1</script>")
        self.assertIn("&lt;script&gt;", self.served.ask(path).text)

    def test_other_logs_are_never_html(self) -> None:
        path = self.served.finished_log(b"<script>1</script>")
        self.assertEqual(self.served.ask(f"{path}/html").status, 404)
        self.assertEqual(self.served.ask(f"{path}/text").header("content-type"), "text/plain; charset=utf-8")
