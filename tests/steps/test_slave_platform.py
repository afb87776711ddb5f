"""The seam between the slave and its operating system: nothing of Unix alone is imported at top level, and what Windows
needs is tested as far as it can be without one.
"""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

import buildslave
from buildslave.platform import posix, windows
from buildslave.platform.threads import ThreadReader, ThreadWriter

OF_UNIX = "fcntl grp pty pwd resource syslog termios tty posix _posixsubprocess crypt nis spwd twisted.internet.process"
IMPORT_ALL = f"""
import sys, importlib, pkgutil

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in {OF_UNIX.split()!r}:
            raise ImportError(f"{{name}} is not on Windows")

import subprocess, twisted.application.service, twisted.spread.pb, twisted.internet.endpoints, twisted.internet.task
import twisted.internet.threads, twisted.python.logfile, twisted.internet.abstract
for name in {OF_UNIX.split()!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Blocked())
import buildslave
names = [each.name for each in pkgutil.walk_packages(buildslave.__path__, "buildslave.")]
for name in names:
    if name != "buildslave.__main__":
        importlib.import_module(name)
print(len(names))
"""


def test_every_module_is_imported_without_what_is_of_unix_alone() -> None:
    """The block holds for the slave's modules; what Twisted imports for itself has been imported before."""
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, timeout=60, check=False)
    count = len(list(pkgutil.walk_packages(buildslave.__path__, "buildslave.")))
    assert (done.returncode, done.stdout.split()) == (0, [str(count)]), done.stderr
    assert count > 40


def test_the_block_works() -> None:
    broken = IMPORT_ALL.replace("import buildslave\n", "import fcntl\n", 1)
    done = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True, timeout=60, check=False)
    assert "ImportError: fcntl is not on Windows" in done.stderr


def test_both_systems_have_the_same_functions() -> None:
    seam = "shell_words start_process read_output write_input watch_exit reap signal_group lock_file unlock_file"
    for name in seam.split():
        annotations = [getattr(module, name).__annotations__ for module in (posix, windows)]
        assert annotations[0] == annotations[1], name


def test_how_windows_is_given_a_command() -> None:
    for words, expected in (
        (windows.shell_words('echo "a b" & dir'), 'cmd.exe /s /c "echo "a b" & dir"'),
        (["C:\\a b\\x.EXE", 'say "hi"', ""], '"C:\\a b\\x.EXE" "say \\"hi\\"" ""'),
        (["make.bat", "a&b", "50%", "x y"], 'cmd.exe /s /c "make.bat a^&b 50^% ^"x y^""'),
        (["type", "a", "|", "sort"], 'cmd.exe /s /c "type a | sort"'),
        (["dir", "a^b", b"(c)"], 'cmd.exe /s /c "dir a^^b ^(c^)"'),
    ):
        assert windows.command_line(words) == expected


class Threads(TestCase):
    """The pipes that threads read and write."""

    timeout = 30

    def setUp(self) -> None:
        self.got: list[bytes] = []
        self.closed: Deferred[Any] = Deferred()
        ours, self.theirs = os.pipe()
        self.reader = ThreadReader(reactor, ours, self.got.append, self.closed.callback)

    async def settle(self) -> None:
        await deferLater(reactor, 0.1)  # type: ignore[arg-type]

    async def test_all_is_read_to_the_end(self) -> None:
        writer = ThreadWriter(self.theirs)
        for _ in range(40):
            writer.write(b"x" * 50_000)
        writer.end()
        self.assertIs(await self.closed, self.reader)
        self.assertEqual(b"".join(self.got), b"x" * 2_000_000)

    async def test_a_paused_one_hands_on_nothing_and_loses_nothing(self) -> None:
        self.reader.pause()
        os.write(self.theirs, b"abc")
        await self.settle()
        self.assertEqual(self.got, [])
        self.reader.resume()
        self.assertEqual(self.got, [b"abc"])
        os.close(self.theirs)
        await self.closed

    async def test_a_closed_one_is_over_at_once(self) -> None:
        self.reader.close()
        self.assertTrue(self.closed.called)
        os.write(self.theirs, b"late")
        await self.settle()
        self.assertEqual(self.got, [])
        os.close(self.theirs)

    async def test_a_process_that_does_not_read_does_no_harm(self) -> None:
        ours, theirs = os.pipe()
        os.close(ours)
        writer = ThreadWriter(theirs)
        writer.write(b"nobody reads this")
        writer.close()
        os.close(self.theirs)
        await self.closed
