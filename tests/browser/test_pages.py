"""The pages in a real browser: they fit, they read well, they work with the keyboard, without scripts and with them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.processes import Process, Processes
from tests.tools import ROOT

PAGES = (
    "/",
    "/waterfall",
    "/waterfall?show_events=true",
    "/waterfall/help",
    "/builders",
    "/builders/linux-py311",
    "/builders/a%2Fb%20%3Cx%3E",
    "/builders/docs/builds/-1",
    "/builders/docs/builds/-1/tests",
    "/builders/docs/builds/-1/tests/project.test.test_module1.Case.test_number_30",
    "/buildslaves",
    "/buildslaves/slave-2",
    "/buildslaves/slave-4",
    "/schedulers",
    "/schedulers/nightly%20%3Cx%3E",
    "/schedulers/main",
    "/changes",
    "/changes/5",
    "/pendingbuildrequests",
    "/actions",
    "/about",
    "/login",
    "/nowhere",
)

# The contrast of every visible text against the ground that is really behind it.
POOR_CONTRAST = """() => {
  const parts = text => {
    const found = text.match(/[\\d.]+/g).map(Number);
    return found.length > 3 ? found : [...found, 1];
  };
  const linear = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = parts(getComputedStyle(element).backgroundColor);
      if (colour[3] > .5) return colour;
    }
    return [255, 255, 255, 1];
  };
  const poor = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.data.trim(), element = walk.currentNode.parentElement;
    if (!text || !element.checkVisibility({checkOpacity: true})) continue;
    if (element.closest('.hidden, .skip, script, datalist')) continue;
    const a = light(parts(getComputedStyle(element).color)), b = light(ground(element));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.add(`${element.tagName}.${element.className} ${text.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return [...poor];
}"""


@dataclass
class Running:
    """The site, in a process of its own."""

    address: str
    process: Process


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("web")
    processes = Processes(directory / "processes")
    command = [sys.executable, "-m", "tests.browser.serve", str(directory / "base")]
    process = processes.start(command, cwd=ROOT)
    port = process.wait_for_line(r"listening on (\d+)")[1]
    yield Running(f"http://127.0.0.1:{port}", process)
    processes.stop_all()


@pytest.mark.console_errors  # the browser logs the 404 of /nowhere
@pytest.mark.parametrize("width", [1400, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_read_well(site: Running, browser: Browser, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    for path in PAGES:
        page.goto(site.address + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than the window"
        assert page.evaluate(POOR_CONTRAST) == [], path
    context.close()


def test_results_have_colours_of_their_own(site: Running, page: Page) -> None:
    page.goto(site.address + "/waterfall?num_events=2000")
    colours = {}
    for name in ("success", "warnings", "failure", "running"):
        box = page.locator(f"tbody td.{name}").first
        colours[name] = box.evaluate("e => getComputedStyle(e).backgroundColor")
    assert colours["success"] == "rgb(136, 221, 68)"
    assert len(set(colours.values())) == 4


def test_every_box_of_the_waterfall_is_high_enough_to_be_read(site: Running, page: Page) -> None:
    page.goto(site.address + "/waterfall")
    heights = page.locator("tbody td[class]").evaluate_all("boxes => boxes.map(e => e.getBoundingClientRect().height)")
    assert len(heights) > 50
    assert min(heights) >= 18


def test_tables_are_cards_on_a_phone(site: Running, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 800})
    page = context.new_page()
    page.goto(site.address + "/builders/linux-py311")
    cell = page.locator("table.cards tbody td").first
    assert cell.evaluate("e => getComputedStyle(e).display") == "block"
    assert cell.evaluate("e => getComputedStyle(e, '::before').content") == '"Request"'
    context.close()


def test_focus_is_seen(site: Running, page: Page) -> None:
    page.goto(site.address + "/builders")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Tab")
    style = "getComputedStyle(document.activeElement)"
    outline = page.evaluate(f"{style}.outlineStyle + ' ' + {style}.outlineWidth")
    assert outline == "solid 3px"


@pytest.mark.console_errors  # the browser logs the 403 of the wrong password
def test_login_and_actions_work_without_scripts(site: Running, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.address + "/builders/linux-py311")
    assert page.get_by_role("button", name="Cancel", exact=True).count() == 0
    page.get_by_role("link", name="Log in").first.click()
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(site.address + "/builders/linux-py311")
    page.get_by_role("button", name="Cancel", exact=True).first.click()
    expect(page.get_by_role("status")).to_contain_text("was cancelled")
    site.process.wait_for_line("^asked to cancel .* ada")
    page.goto(site.address + "/changes?num=5")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    context.close()


def test_boxes_change_while_one_looks(site: Running, page: Page) -> None:
    page.goto(site.address + "/waterfall")
    running = page.locator("tbody td.running.build a[href^='/builders/linux-py311/builds/']")
    expect(running).to_be_visible()
    address = running.get_attribute("href")
    site.process.kill(signal.SIGUSR1)
    expect(page.locator(f"tbody td.failure.build a[href='{address}']")).to_be_visible(timeout=60_000)
    expect(page.locator("thead td.LastBuild.failure").first).to_contain_text("broke <now>")


def test_filter_form_leads_to_the_filtered_waterfall(site: Running, page: Page) -> None:
    page.goto(site.address + "/waterfall")
    page.get_by_role("link", name="Filter").click()
    page.locator("input[name=builder]").fill("linux-*")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("tr.names th")).to_have_count(4)
    expect(page.locator(".filters")).to_contain_text("builder: linux-*")
    page.get_by_role("link", name="Older").first.click()
    expect(page.locator("tr.names th")).to_have_count(4)


def test_what_is_ticked_and_typed_outlives_a_change_of_the_page(site: Running, page: Page) -> None:
    page.goto(f"{site.address}/login?next=/pendingbuildrequests")
    page.fill("[name=username]", "ada")
    page.fill("[name=password]", "secret")
    page.click("main button")
    box = page.locator("[data-live=waiting] input[type=checkbox]").first
    box.check()
    page.fill("[aria-label='why they are cancelled']", "too old")
    page.locator("h1").click()
    page.evaluate("""() => {
        document.activeElement.blur();
        window.before = document.querySelector("[data-live=waiting]");
        before.liveSource = "something else";
    }""")
    site.process.kill(signal.SIGUSR1)  # a build ends
    page.wait_for_function("() => document.querySelector('[data-live=waiting]') !== window.before")
    expect(box).to_be_checked()
    expect(page.locator("[aria-label='why they are cancelled']")).to_have_value("too old")
