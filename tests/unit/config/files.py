"""Small configurations for tests: written to a directory, loaded, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from buildbot.config.errors import ConfigErrors, Problem
from buildbot.config.loader import load_config
from buildbot.config.master import Config

GOOD = """\
from buildbot.plugins import schedulers, steps, util, worker
c = BuildmasterConfig = {}
c['workers'] = [worker.Worker("bot", "pw")]
c['protocols'] = {'pb': {'port': 9989}}
factory = util.BuildFactory([steps.ShellCommand(command=["make"])])
c['builders'] = [util.BuilderConfig(name="full", workernames=["bot"], factory=factory)]
c['schedulers'] = [schedulers.AnyBranchScheduler(name="all", builderNames=["full"])]
"""


def write(directory: Path, text: str, name: str = "master.cfg") -> Path:
    path = directory / name
    path.write_text(dedent(text))
    return path


def loaded(directory: Path, text: str = GOOD) -> Config:
    return load_config(write(directory, text))


def problems(directory: Path, text: str) -> list[Problem]:
    """The problems of a configuration that must not load."""
    path = write(directory, text)
    try:
        config = load_config(path)
    except ConfigErrors as wrong:
        return list(wrong.problems)
    raise AssertionError(f"it loaded: {config}")


def told(directory: Path, text: str) -> list[str]:
    """The same as one line each: `LINE: message (hint)`."""
    return [str(problem).removeprefix(f"{directory / 'master.cfg'}:") for problem in problems(directory, text)]
