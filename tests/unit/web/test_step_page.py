"""The page of one step, and how a command is said in words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import CommandID, CommandState, RemoteCommandRow, Result, StepID
from buildbot.status.web.step_page import command_line, command_row, outcome_words
from buildbot.store import steps
from tests.unit.web.served import START, Served, build_path


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("make -j4 && echo 'done'", "make -j4 && echo 'done'"),
        (["make", "-j4", "CFLAGS=-O2 -g"], "make -j4 'CFLAGS=-O2 -g'"),
        (["echo", "it's", ""], "echo 'it'\"'\"'s' ''"),
        (["a", ["b", ["c d"]]], "a b 'c d'"),
        (["login", ["obfuscated", "secret", "XXX"]], "login XXX"),
        (("login", ("obfuscated", "secret", "XXX")), "login XXX"),
        ([1, True], "1 True"),
        ("x" * 5000, "x" * 4000 + " …"),
    ],
)
def test_command_line(command: Any, line: str) -> None:
    assert command_line(command) == line


def a_row(
    name: str = "shell", args: Any = None, state: CommandState = CommandState.FINISHED, **outcome: Any
) -> RemoteCommandRow:
    return RemoteCommandRow(
        CommandID(1), StepID(1), 0, name, args or {}, state, None, START, START + 5, outcome or None
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (a_row(rc=0), ("exit code 0", False)),
        (a_row(rc=2), ("exit code 2", True)),
        (a_row(rc=-1, signal=9), ("ended by signal 9", True)),
        (a_row(rc=-1, reason="timeout"), ("killed: it took too long, exit code -1", True)),
        (a_row(rc=None, error="no such file"), ("no such file", True)),
        (a_row("mkdir", rc=0), ("done", False)),
        (a_row("stat", rc=2), ("error 2", True)),
        (a_row(state=CommandState.RUNNING), ("running", False)),
        (a_row(state=CommandState.ORDERED), ("ordered, not yet begun", False)),
        (a_row(state=CommandState.LOST), ("lost with its slave", True)),
    ],
)
def test_outcome_in_words(row: RemoteCommandRow, words: tuple[str, bool]) -> None:
    assert outcome_words(row) == words


def test_arguments_in_words() -> None:
    args = {
        "command": "make",
        "workdir": "build",
        "timeout": 1200,
        "maxTime": None,
        "usePTY": False,
        "logfiles": {},
        "env": {"TOKEN": "t", "GONE": None, "PATH": ["/a", "/b"]},
        "odd": {"k": 1},
    }
    hidden = command_row(a_row(args=args, rc=0), START, show_env=False)
    assert [tuple(detail) for detail in hidden.details] == [
        ("in directory", "build"),
        ("killed when silent for", "20 min"),
        ("on a terminal", "no"),
        ("odd", '{"k": 1}'),
    ]
    assert hidden.environment == []
    shown = command_row(a_row(args=args, rc=0), START, show_env=True)
    assert [tuple(each) for each in shown.environment] == [("GONE", "(removed)"), ("PATH", "/a:/b"), ("TOKEN", "t")]


class StepPageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.served = Served()
        self.addCleanup(self.served.close)
        self.build = self.served.build()
        self.step = self.served.step(self.build)
        self.path = f"{build_path(self.build)}/steps/compile"

    def test_commands_logs_and_links(self) -> None:
        self.served.command(self.step, "mkdir", {"dir": "build"}, {"rc": 0})
        self.served.command(
            self.step, "shell", {"command": ["make", "<all>"], "workdir": "build", "env": {"KEY": "hush"}}, {"rc": 2}
        )
        id, writer = self.served.log(self.build, self.step)
        self.served.finish_log(id, writer)
        self.served.store.transact(steps.put_url, self.step, "report", "/report")
        self.served.end_step(self.step, Result.FAILURE)
        page = self.served.ask(self.path).text
        self.assertIn('<pre class="line">make &#39;&lt;all&gt;&#39;</pre>', page)
        self.assertIn("exit code 2", page)
        self.assertIn(f'<a href="{self.path}/logs/stdio">stdio</a>', page)
        self.assertIn('<a href="/report"', page)
        self.assertIn("<title>failure: compile", page)
        self.assertNotIn("hush", page)
        self.assertIn("hush", self.served.ask(f"{self.path}?env=1").text)

    def test_a_step_without_commands(self) -> None:
        self.assertIn("asked nothing", self.served.ask(self.path).text)

    def test_not_begun(self) -> None:
        self.served.store.execute("UPDATE steps SET started_at = NULL")
        page = self.served.ask(self.path)
        self.assertEqual(page.status, 200)
        self.assertIn("waiting", page.text)

    def test_long_journals_are_cut(self) -> None:
        for _ in range(120):
            self.served.command(self.step, "shell", {"command": "true"}, {"rc": 0})
        page = self.served.ask(self.path).text
        self.assertEqual(page.count("<article"), 100)
        self.assertIn("only the first 100", page)

    def test_few_statements(self) -> None:
        for _ in range(50):
            self.served.command(self.step, "shell", {"command": "true"}, {"rc": 0})
        before = self.served.store.statements
        self.served.ask(self.path)
        self.assertLessEqual(self.served.store.statements - before, 10)

    def test_every_form_of_address(self) -> None:
        for step in ("compile", "0"):
            self.assertEqual(self.served.ask(f"{build_path(self.build)}/steps/{step}").status, 200)
        for step in ("1", "none", "-1"):
            self.assertEqual(self.served.ask(f"{build_path(self.build)}/steps/{step}").status, 404)

    def test_a_step_may_have_any_name(self) -> None:
        self.served.step(self.build, 1, "a/b <c> ü")
        page = self.served.ask(build_path(self.build)).text
        address = re.search(r'href="([^"]+)">a/b &lt;c&gt; ü</a>', page)
        assert address is not None
        self.assertEqual(self.served.ask(address[1]).status, 200)
