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
        f"buildbot.steps.source.{name}": f"source steps have tests of their own: tests/source/test_{test}.py"
        for name, test in {
            "bzr": "bzr",
            "cvs": "cvs",
            "darcs": "darcs",
            "gerrit": "git_forges",
            "github": "git_forges",
            "gitlab": "git_forges",
            "mercurial": "mercurial",
            "mtn": "mtn",
            "p4": "p4",
            "repo": "repo",
            "svn": "svn",
        }.items()
    },
}
