"""The table of step classes: what each does, run for real on the slaves of every dialect.

A module is a list of cases; `TABLE` has them all. `tests/dialects/test_catalogue.py` runs each on our slave,
buildbot-worker 4.3 and buildslave 0.8.14, and sees to it that the steps a case names are the steps it has run.
tests/meta finds the classes that no case has.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.dialects.catalogue import (
    arguments,
    factories,
    files,
    gits,
    master,
    of_08,
    of_09,
    packages,
    python,
    shell,
    tools,
)
from tests.dialects.catalogue.case import Case

TABLE: tuple[Case, ...] = tuple(
    found
    for module in (arguments, shell, files, master, tools, python, packages, gits, factories, of_08, of_09)
    for found in vars(module).values()
    if isinstance(found, Case)
)

#: Steps that no case runs: module of ours -> why. What they do is tested where it says.
ELSEWHERE: Mapping[str, str] = {
    "buildbot.steps.http": "asks a server from the master: tests/steps/test_http.py",
    "buildbot.steps.related": "looks at the builds of the master: tests/steps/test_related.py",
    "buildbot.steps.source.base": "nobody makes one: it is for subclasses",
    **{
        f"buildbot.steps.source.{name}": "with others of its kind: tests/source/test_vcs_other_slaves.py"
        for name in ("bzr", "cvs", "darcs", "mercurial", "mtn", "p4", "repo", "svn")
    },
}
