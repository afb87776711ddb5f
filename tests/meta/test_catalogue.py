"""Every class of step is run by a case of the table of tests/dialects, or it is said why by none."""

from __future__ import annotations

import re

from buildbot.config.names.steps import OURS
from tests.dialects.catalogue import ELSEWHERE, TABLE
from tests.dialects.catalogue.case import KNOWN
from tests.tools import ROOT


def test_every_class_is_in_the_table() -> None:
    in_the_table = {kind for case in TABLE for kind in case.classes}
    assert in_the_table <= set(KNOWN), "only steps of the catalogue are named by cases"
    missing = [
        f"{module}.{kind.__name__}"
        for kind, module in KNOWN.items()
        if kind not in in_the_table and module not in ELSEWHERE
    ]
    assert not missing, "no case of tests/dialects/catalogue runs them, and none of ELSEWHERE says why"


def test_those_that_are_run_elsewhere_are() -> None:
    of_the_table = {KNOWN[kind] for case in TABLE for kind in case.classes}
    assert of_the_table.isdisjoint(ELSEWHERE), "they are in the table by now: take them out of ELSEWHERE"
    assert set(ELSEWHERE) <= set(OURS)
    for module, why in ELSEWHERE.items():
        for path in re.findall(r"tests/\S+", why):
            text = (ROOT / path).read_text()
            unused = [name for name in OURS[module] if not re.search(rf"\b{name}\b", text)]
            assert not unused, f"{path} runs none of these steps"


def test_cases_have_names_of_their_own() -> None:
    names = [case.name for case in TABLE]
    assert len(names) == len(set(names))
