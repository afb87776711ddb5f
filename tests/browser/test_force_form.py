"""The form of a ForceScheduler in a real browser, at a real master."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.a_master import WEB_PASSWORD, WEB_USER, AMaster
from tests.processes import Processes, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

FORM = """
c['schedulers'].append(schedulers.ForceScheduler(name='force', builderNames=['tests'], properties=[
    util.ChoiceStringParameter(name='kind', choices=['quick', 'release'], default='quick', autopopulate={
        'release': {'notes': 'for "all" & everybody', 'signed': True}, 'quick': {'notes': '', 'signed': False}}),
    util.StringParameter(name='notes', default=''),
    util.BooleanParameter(name='signed', default=False),
    util.NestedParameter(name='more', label='More', layout='tabs', fields=[
        util.NestedParameter(name='one', label='One', fields=[util.IntParameter(name='jobs', default=2)]),
        util.NestedParameter(name='two', label='Two', fields=[util.StringParameter(name='flags', default='')]),
    ]),
]))
"""


def test_an_answer_fills_in_others_and_all_of_it_arrives(processes: Processes, tmp_path: Path, page: Page) -> None:
    master = AMaster(processes, tmp_path)
    master.configure(FORM)
    master.start()
    page.goto(f"{master.web.root}/login?next=/builders/tests/force")
    page.fill("input[name=username]", WEB_USER)
    page.fill("input[name=password]", WEB_PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("select[name=kind]")
    page.select_option("select[name=kind]", "release")
    assert page.input_value("input[name=notes]") == 'for "all" & everybody'
    assert page.is_checked("input[name=signed][type=checkbox]")
    page.select_option("select[name=kind]", "quick")
    assert page.input_value("input[name=notes]") == ""
    page.select_option("select[name=kind]", "release")
    page.locator("summary", has_text="Two").click()
    page.fill("input[name=more_two_flags]", "-O2 'x'")
    page.get_by_role("button", name="force", exact=True).dispatch_event("click")
    page.wait_for_url("**/builders/tests", wait_until="domcontentloaded")  # before the browser is taken away
    wait_until(lambda: master.value("SELECT count(*) FROM buildsets") == 1, what="the buildset")
    stored = {name: json.loads(value) for name, value in master.rows("SELECT name, value FROM buildset_properties")}
    assert (stored["kind"], stored["notes"], stored["signed"]) == ("release", 'for "all" & everybody', True)
    assert stored["more"] == {"one": {"jobs": 2}, "two": {"flags": "-O2 'x'"}}
