"""Old and new module paths: every name of the table is there, and a wrong one names the right one."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from buildbot.config import names
from buildbot.config.names.finder import message_for, resolve
from buildbot.config.names.known import KNOWN_MODULES, KNOWN_NAMES
from buildbot.config.names.table import TABLE
from tests.tools import ROOT

names.install()

ALL = sorted((path, name) for path, table in TABLE.items() for name in table)


@pytest.mark.parametrize(("path", "name"), ALL, ids=[f"{path}.{name}" for path, name in ALL])
def test_every_name_of_the_table_is_there(path: str, name: str) -> None:
    found = getattr(importlib.import_module(path), name)
    assert found is resolve(TABLE[path][name])


IMPORTS = """\
from buildbot.buildslave import BuildSlave
from buildbot.changes.filter import ChangeFilter
from buildbot.changes.pb import PBChangeSource
from buildbot.config import BuilderConfig, error
from buildbot.interfaces import BuildSlaveTooOldError, IRenderable, LOG_CHANNEL_HEADER, WorkerTooOldError
from buildbot.locks import MasterLock, SlaveLock, WorkerLock
from buildbot.process import factory, properties
from buildbot.process.base import Build
from buildbot.process.build import Build, SUCCESS
from buildbot.process.builder import Builder
from buildbot.process.buildstep import BuildStep, LogLineObserver, RemoteShellCommand, ShellMixin, SUCCESS
from buildbot.process.buildstep import BuildStepFailed, CommandMixin, LoggedRemoteCommand, LoggingBuildStep
from buildbot.process.factory import BuildFactory, s
from buildbot.process.logobserver import BufferLogObserver
from buildbot.process.log import Log
from buildbot.process.properties import Interpolate, Properties, Property, WithProperties, renderer
from buildbot.process.results import SUCCESS, FAILURE, Results, statusToString
from buildbot.process.remotecommand import LoggedRemoteCommand, RemoteCommand
from buildbot.process.step import BuildStep, LoggingBuildStep, ShellCommand
from buildbot.process.workerforbuilder import AbstractWorkerForBuilder
from buildbot.scheduler import AnyBranchScheduler, Scheduler
from buildbot.schedulers import basic
from buildbot.schedulers.basic import SingleBranchScheduler
from buildbot.schedulers.filter import ChangeFilter
from buildbot.schedulers.forcesched import BuildslaveChoiceParameter, FixedParameter, ForceScheduler
from buildbot.changes.gitpoller import GitPoller
from buildbot.status import html, mail, results, builder
from buildbot.status.builder import BuildStatus, BuildStepStatus, HEADER, SUCCESS, TestResult, WARNINGS
from buildbot.status.logfile import STDOUT
from buildbot.status.testresult import TestResult
from buildbot.status.html import WebStatus
from buildbot.status.mail import MailNotifier
from buildbot.status.web import auth, authz
from buildbot.status.web.auth import BasicAuth
from buildbot.status.web.authz import Authz
from buildbot.status.web.baseweb import WebStatus
from buildbot.reporters.mail import MailNotifier
from buildbot.steps import shell, source
from buildbot.steps.shell import Compile, Configure, SetProperty, ShellCommand, Test, WithProperties
from buildbot.steps.shell import CompileNewStyle, ShellCommandNewStyle, TestNewStyle, TreeSizeNewStyle
from buildbot.steps.http import HTTPStepNewStyle
from buildbot.plugins.steps import HTTPStepNewStyle, SetPropertyFromCommandNewStyle
from buildbot.steps.shellsequence import ShellSequence
from buildbot.steps.source import Git, Repo, SlaveSource
from buildbot.steps.source.git import Git
from buildbot.plugins import buildslave, changes, reporters, schedulers, status, steps, util, worker
from buildbot.plugins.util import Interpolate
from buildbot.plugins import *
from buildbot.steps.slave import CompositeStepMixin
from buildbot.steps.worker import CompositeStepMixin
from buildbot.util import ComparableMixin, NotABranch, now
from buildbot.worker import Worker
from buildbot.worker.base import Worker
from buildbot.www.auth import UserPasswordAuth
from buildbot.www.authz import Authz
from buildbot.www.authz.roles import RolesFromUsername
from buildbot import locks, version
import buildbot.status.html
import buildbot.plugins.steps
"""


@pytest.mark.parametrize("line", IMPORTS.splitlines())
def test_import_lines_of_every_era_work(line: str) -> None:
    exec(line, {})


def test_they_work_in_a_new_process_in_one_go() -> None:
    """There no test has imported anything before, so that the order of imports shows."""
    code = f"from buildbot.config import names\nnames.install()\n{IMPORTS}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from buildbot.plugins import step", "there is no 'step' in buildbot.plugins (did you mean 'steps'?)"),
        ("from buildbot.status import htlm", "there is no 'htlm' in buildbot.status (did you mean 'html'?)"),
        ("from buildbot.status.html import WebSttus", "(did you mean 'WebStatus'?)"),
        ("from buildbot.process.factory import BuildFactry", "(did you mean 'BuildFactory'?)"),
        (
            "from buildbot.plugins.worker import OpenStackLatentWorker",
            "(it is a name of Buildbot, but not in this version)",
        ),
        ("from buildbot.steps.shell import Git", "(it is in buildbot.plugins.steps)"),
        ("from buildbot.plugins.util import qqqqqq", "there is no 'qqqqqq' in buildbot.plugins.util"),
    ],
)
def test_a_wrong_name_is_an_import_error_that_helps(line: str, said: str) -> None:
    with pytest.raises(ImportError) as raised:
        exec(line, {})
    assert said in str(raised.value)


def test_a_wrong_attribute_is_an_attribute_error_that_helps() -> None:
    steps = importlib.import_module("buildbot.plugins.steps")
    with pytest.raises(AttributeError, match="did you mean 'ShellCommand'"):
        steps.ShelCommand  # noqa: B018
    assert not hasattr(steps, "Nothing")
    assert "Compile" in dir(steps)


def installed(directory: Path, **entries: str) -> None:
    """A package beside us, as pip would install it: `group=name -> place` lines of its entry points."""
    facts = directory / "someones_buildbot_plugin-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: someones-buildbot-plugin\nVersion: 1.0\n")
    groups = "".join(f"[{group}]\n{lines}\n" for group, lines in entries.items())
    (facts / "entry_points.txt").write_text(groups.replace("buildbot_", "buildbot."))
    (directory / "someones_plugin.py").write_text("class Lint: pass\ndef split(path): return path\n")


def test_names_of_other_packages_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    installed(
        tmp_path,
        buildbot_steps="Lint = someones_plugin:Lint\nShellCommand = someones_plugin:Lint",
        buildbot_util="paths.split = someones_plugin:split",
        buildbot_www="their_page = someones_plugin:Lint",
    )
    given: dict[str, Any] = {}
    exec("from buildbot.plugins import steps, util, www\nfrom buildbot.plugins.steps import Lint", given)
    assert given["Lint"] is given["steps"].Lint is given["www"].their_page
    assert given["Lint"].__module__ == "someones_plugin"
    assert given["util"].paths.split("a") == "a"
    assert given["steps"].ShellCommand.__module__ == "buildbot.steps.shell"  # nobody takes one of ours away


def test_what_public_configurations_import_is_there() -> None:
    lines = (ROOT / "tests" / "unit" / "config" / "imported.txt").read_text().splitlines()
    wrong = []
    for line in lines:
        if not line.startswith("#"):
            module, name, _, *mark = line.split()
            try:
                getattr(importlib.import_module(module), name)
            except (ImportError, AttributeError):
                there = False
            else:
                there = True
            if there != (mark != ["later"]):
                wrong.append(line)
    assert wrong == []  # nothing is missing, and no mark is out of date


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from buildbot.steps.blocker import Blocker", "steps.Trigger(waitForFinish=True)"),
        ("from buildbot.plugins.steps import BuildbotCiSetupSteps", "addStepsAfterCurrentStep"),
        ("from buildbot.steps.dummy import Wait", "use Dummy"),
        ("import buildbot.db.pool", "leave the import and what uses it out"),
        ("from buildbot import db", "leave the import and what uses it out"),
        ("from buildbot.plugins.worker import MarathonLatentWorker", "use DockerLatentWorker"),
        ("from buildbot.slave.commands import SlaveShellCommand", "in the package buildslave"),
    ],
)
def test_what_was_dropped_says_what_to_write_instead(line: str, said: str) -> None:
    with pytest.raises(ImportError) as raised:
        exec(line, {})
    assert said in f"{raised.value} {names.hint_for(raised.value)}"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("import buildbot.status.words", "not in this version"),
        ("import buildbot.www.hooks.github", "not in this version"),
        ("import buildbot.steps.shel", "did you mean 'buildbot.steps.shell'?"),
        ("import some_other_module", None),
    ],
)
def test_a_missing_module_has_its_hint(line: str, hint: str | None) -> None:
    with pytest.raises(ImportError) as raised:
        exec(line, {})
    said = names.hint_for(raised.value)
    assert said is None if hint is None else hint in str(said)


def test_installing_twice_changes_nothing() -> None:
    before = list(sys.meta_path)
    names.install()
    assert sys.meta_path == before


def test_what_is_known_is_told_apart() -> None:
    assert {"Trigger", "Nightly", "FileUpload"} <= KNOWN_NAMES
    assert "buildbot.steps.transfer" in KNOWN_MODULES
    assert message_for("buildbot.plugins.steps", "zzzzzz").hint is None
