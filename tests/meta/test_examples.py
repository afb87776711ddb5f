"""The configurations that the documents show are good ones."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from buildbot.config.errors import ConfigErrors
from buildbot.config.loader import load_config
from buildbot.config.master import Config
from tests.tools import ROOT


def of_readme() -> str:
    """From its first import to the next line that is not indented."""
    text = (ROOT / "README").read_text()
    start = text.index("    from buildbot.plugins")
    end = re.compile(r"^\S", re.MULTILINE).search(text, start)
    assert end
    return textwrap.dedent(text[start : end.start()])


def of_tutorial() -> str:
    (found,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "tutorial.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return str(found)


def load(directory: Path, text: str) -> Config:
    path = directory / "master.cfg"
    path.write_text(text)
    return load_config(path)


def test_the_readmes_master_cfg_has_ten_lines_and_loads(tmp_path: Path) -> None:
    text = of_readme()
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    config = load(tmp_path, text)
    assert [builder.name for builder in config.builders] == ["hello"]


def test_the_tutorials_master_cfg_loads(tmp_path: Path) -> None:
    (tmp_path / "htpasswd").touch()
    config = load(tmp_path, of_tutorial())
    assert [slave.name for slave in config.slaves] == ["bot1"]


def test_the_sample_loads(tmp_path: Path) -> None:
    assert load(tmp_path, (ROOT / "master.cfg.sample").read_text()).builders


def test_a_wrong_example_would_be_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors):
        load(tmp_path, of_tutorial().replace("builderNames", "bulderNames"))
