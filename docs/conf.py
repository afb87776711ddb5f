"""Settings of Sphinx for `make docs`."""

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]

project = "Buildbot"
author = "the Buildbot developers"
release = version = PROJECT["version"]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 4
# Drawings of states stay Mermaid source here; viewers of the repository draw them.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"Buildbot {release}"
html_show_copyright = False
