"""The manual names every key and argument of the configuration, and its example loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildbot.config.arguments import known_arguments
from buildbot.config.builder import BuilderConfig
from buildbot.config.keys import GONE, KEYS, SAME, WITHOUT_EFFECT
from buildbot.config.loader import load_config
from buildbot.config.slave import BuildSlave
from buildbot.process.interpolate import _SELECTORS
from tests.tools import ROOT

CONFIGURATION = (ROOT / "docs" / "manual" / "configuration.md").read_text()
PROPERTIES = (ROOT / "docs" / "manual" / "properties.md").read_text()


@pytest.mark.parametrize("name", sorted({*KEYS, *SAME, *known_arguments(BuilderConfig), *known_arguments(BuildSlave)}))
def test_every_key_and_argument_is_in_the_manual(name: str) -> None:
    assert re.search(rf"\b{name}\b", CONFIGURATION)


@pytest.mark.parametrize("selector", sorted(_SELECTORS))
def test_every_selector_is_in_the_manual(selector: str) -> None:
    assert f"%({selector}:" in PROPERTIES


def test_the_manuals_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(from buildbot\.plugins.*?)```", CONFIGURATION, re.DOTALL)
    path = tmp_path / "master.cfg"
    path.write_text(example)
    config = load_config(path)
    assert [builder.name for builder in config.builders] == ["check"]
    assert config.warnings == ()


def test_the_tables_of_keys_do_not_overlap() -> None:
    assert not set(KEYS) & set(SAME)
    assert not set(GONE) & {*KEYS, *SAME}
    assert {*SAME.values(), *WITHOUT_EFFECT} <= set(KEYS)
