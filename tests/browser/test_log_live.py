"""A build and its log change while one looks, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.log_server import BUILD_PATH, PATH, LogServer
from tests.processes import Processes, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def server(processes: Processes, basedir: Path) -> Iterator[LogServer]:
    started = LogServer(processes, basedir)
    yield started
    started.close()


def at_end(page: Page) -> bool:
    script = "() => scrollY + innerHeight >= document.scrollingElement.scrollHeight - 60"
    found: bool = page.evaluate(script)
    return found


def text_of(page: Page) -> list[str]:
    """The lines of the log, as they are read."""
    lines = page.locator("#log > div").all()
    return ["".join(line.locator("span").all_inner_texts()) for line in lines]


def test_a_log_grows_while_one_looks(server: LogServer, page: Page) -> None:
    server.do("append", "make all\n", "HEADER")
    page.goto(server.url + PATH)
    assert page.locator("#L1").count() == 1
    server.do("append", "compiling \x1b[32mok\x1b[0m <b>\n")
    page.wait_for_selector("#L2")
    line = page.locator("#log > div").nth(1)
    assert text_of(page) == ["make all", "compiling ok <b>"]
    assert line.locator(".f2").inner_text() == "ok"
    assert page.locator("#log b:not(.cut)").count() == 0
    assert page.locator("#last-line").inner_text() == "2"


def test_progress_is_drawn_over(server: LogServer, page: Page) -> None:
    page.goto(server.url + PATH)
    for percent in (10, 50):
        server.do("append", f"{percent}%\r")
        page.get_by_text(f"{percent}%", exact=True).wait_for()
    server.do("append", "all done\n")
    page.get_by_text("all done").wait_for()
    assert text_of(page) == ["all done"]


def test_the_end_is_followed_only_by_who_is_there(server: LogServer, page: Page) -> None:
    server.do("append", "line\n" * 300)
    page.goto(server.url + PATH)
    wait_until(lambda: at_end(page))
    assert page.evaluate("() => scrollY") > 0
    server.do("append", "line\n" * 50)
    page.wait_for_selector("#L350", state="attached")
    assert at_end(page)
    page.evaluate("scrollTo(0, 100)")
    server.do("append", "line\n" * 50)
    page.wait_for_selector("#L400", state="attached")
    assert page.evaluate("() => scrollY") == 100


def test_the_page_says_when_the_log_has_ended(server: LogServer, page: Page) -> None:
    page.goto(server.url + PATH)
    server.do("append", "last words\n")
    server.do("finish")
    page.wait_for_selector(".loghead .pill.success")
    assert "growing" not in page.locator(".loghead").inner_text()
    wait_until(lambda: server.do("stats")["streams"] == 0)


def test_a_burst_is_shown_with_an_honest_gap(server: LogServer, page: Page) -> None:
    page.goto(server.url + PATH)
    wait_until(lambda: server.do("stats")["streams"] == 1)
    server.do("append", ("x" * 79 + "\n") * 1000, "STDOUT", 40)
    page.wait_for_selector("#L40000", state="attached")
    gap = page.locator(".gap")
    assert gap.count() >= 1
    said = re.fullmatch(r"lines (\d+) to (\d+) are not shown here", gap.first.inner_text().strip())
    assert said is not None
    assert page.locator(f"#L{int(said[2]) + 1}").count() == 1
    assert page.locator(f"#L{said[2]}").count() == 0


def test_a_link_to_a_line_far_away_finds_it(server: LogServer, page: Page) -> None:
    server.do("append", "".join(f"this is {n}\n" for n in range(1, 5001)))
    page.goto(f"{server.url}{PATH}#L77")
    page.wait_for_selector("#L77")
    assert "this is 77" in page.locator("#log > div", has=page.locator("#L77")).inner_text()


@pytest.mark.console_errors
def test_a_lost_stream_is_told_and_comes_back(processes: Processes, basedir: Path, free_port, page: Page) -> None:
    port = free_port()
    server = LogServer(processes, basedir / "one", port)
    server.do("append", "one\n")
    page.goto(server.url + PATH)
    wait_until(lambda: server.do("stats")["streams"] == 1)
    server.close()
    server.process.stop()
    page.wait_for_selector("#stale")
    assert re.fullmatch(r"stale since \d\d:\d\d", page.locator("#stale").inner_text())
    server = LogServer(processes, basedir / "two", port)
    server.do("append", "one\ntwo\n")
    page.wait_for_selector("#L2", timeout=60_000)
    page.wait_for_selector("#stale", state="detached")
    assert page.locator("#log > div").count() == 2
    server.close()


def test_a_stream_that_ends_goes_on_where_it_was(server: LogServer, page: Page) -> None:
    page.goto(server.url + PATH)
    server.do("append", "one\n")
    page.wait_for_selector("#L1")
    server.do("drop_streams")
    server.do("append", "two\nthree\n")
    page.wait_for_selector("#L3")
    assert text_of(page) == ["one", "two", "three"]


def test_a_build_page_changes_in_place(server: LogServer, page: Page) -> None:
    server.do("append", "hello\n")
    page.goto(server.url + BUILD_PATH)
    assert page.locator(".buildhead .pill").inner_text() == "running"
    page.evaluate("window.same = true")
    server.do("next_step", "test")
    page.wait_for_selector(".steps >> text=doing test")
    server.do("finish")
    page.wait_for_selector(".buildhead .pill.success")
    assert page.evaluate("window.same") is True
    assert page.title().startswith("success")


def test_everything_is_there_without_scripts(server: LogServer, browser: Browser) -> None:
    server.do("append", "line\n" * 2500)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.url + BUILD_PATH)
    page.get_by_role("link", name="stdio").click()
    assert page.locator("#L2500").count() == 1
    page.get_by_role("link", name="first lines").first.click()
    assert page.locator("#L1").count() == 1
    page.get_by_role("link", name="with times").click()
    assert page.locator("#log time").count() > 100
    context.close()


@pytest.mark.parametrize("width", [1400, 360])
def test_no_page_is_wider_than_the_window(server: LogServer, page: Page, width: int) -> None:
    server.do("append", "word " * 200 + "\n" + "x" * 3000 + "\n")
    server.do("fail_step")
    page.set_viewport_size({"width": width, "height": 800})
    for path in (PATH, BUILD_PATH, PATH.partition("/logs")[0]):
        page.goto(server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
