"""Fixtures for all tests: processes, ports, directories, the reference Buildbot, a browser."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests import processes as _processes
from tests.tools import Peer, make_peer, require_tool

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sys.dont_write_bytecode = False  # else every test run, and every process that it starts, compiles everything anew

# Headless, as root, and without the browser's own calls home.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

GIT_CONFIG = """\
[user]
name = Test
email = test@example.org
[init]
defaultBranch = main
[safe]
directory = *
[protocol "file"]
allow = always
[gc]
auto = 0
[commit]
gpgSign = false
"""

IN_MEMORY = Path("/dev/shm")
ROOM_IN_MEMORY = 2 * 1024**3

_REPORTERS = pytest.StashKey[list[Callable[[], list[tuple[str, str]]]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Directories of tests are in memory where there is room: they are thousands of small files, each soon removed."""
    if config.option.basetemp is None and "TMPDIR" not in os.environ and IN_MEMORY.is_dir():
        there = os.statvfs(IN_MEMORY)
        if there.f_bavail * there.f_frsize >= ROOM_IN_MEMORY and not there.f_flag & os.ST_NOEXEC:
            os.environ["TMPDIR"] = str(IN_MEMORY)  # also that of xdist's processes, and of those that tests start
            tempfile.tempdir = None  # to be asked for anew


@pytest.fixture(scope="session", autouse=True)
def _plain_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's settings of git, Python, locale and proxies do not reach the tests or the processes they start."""
    config = tmp_path_factory.mktemp("git") / "config"
    config.write_text(GIT_CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", str(config))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_TERMINAL_PROMPT", "0")
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("no_proxy", "*")
        for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
            patch.delenv(name, raising=False)
        for name in [name for name in os.environ if name.startswith("GIT_") and "CONFIG" not in name]:
            if name != "GIT_TERMINAL_PROMPT":
                patch.delenv(name)
        yield


@pytest.fixture
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_processes.Processes]:
    """Starts real processes and ends them with the test; their output is shown when it fails."""
    started = _processes.Processes(tmp_path / "processes")
    request.node.stash.setdefault(_REPORTERS, []).append(started.report)
    yield started
    started.stop_all()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when == "call":
        for reporter in item.stash.get(_REPORTERS, []):
            report.sections += reporter()
    return report


@pytest.fixture(autouse=True)
def _trial_directory(request: pytest.FixtureRequest) -> None:
    """As under trial itself, a TestCase runs in a directory of its own, where its mktemp() makes its paths."""
    if isinstance(request.instance, SynchronousTestCase):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that gives a TCP port nobody listens on."""
    return _processes.free_port


@pytest.fixture
def basedir(tmp_path: Path) -> Path:
    """An empty directory for a master or slave."""
    directory = tmp_path / "base"
    directory.mkdir()
    return directory


@pytest.fixture(scope="session")
def peer() -> Peer:
    """Buildbot 4.3.0 in its own virtual environment, made when it is missing."""
    return make_peer()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium. It may run a module's tests; pages and contexts are each test's own."""
    executable = require_tool("chromium", "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page in a fresh context, 1400 pixels wide. Whatever its scripts throw or log as an error fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    errors: list[Any] = []
    opened.on("pageerror", lambda error: errors.append(error))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert not errors or request.node.get_closest_marker("console_errors"), errors
