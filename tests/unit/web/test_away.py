"""A slave that is away, and what was given up on it: on its page, in the list, on the page of its build."""

from __future__ import annotations

from typing import Any

from buildbot.config.authz import ActionAuthz
from buildbot.process.reattach import Away
from buildbot.store import commands, slaves, steps
from tests.unit.web.test_actions import USERS, ActionCase, B
from tests.unit.web.visitor import NOW, links_in

PAGE = "/buildslaves/s1"


class AwayCase(ActionCase):
    def setUp(self) -> None:
        super().setUp()
        self.step = self.store.transact(steps.start, self.build.id, 0, "make <check>", "running", NOW)

    def order(self, ordinal: int = 0, command: Any = "make <check>") -> Any:
        args = {"command": command}
        return self.store.transact(
            lambda store: commands.order(
                store, step=self.step, ordinal=ordinal, name="shell", args=args, incarnation="a", now=NOW - 120
            )
        )

    def connect(self) -> None:
        self.store.transact(
            slaves.connected, self.slaves["s1"], NOW, incarnation="a", version=None, details={}
        )


class PageTests(AwayCase):
    def test_since_when_until_when_and_what_runs_there(self) -> None:
        self.order()
        self.away["s1"] = Away(NOW - 20, NOW + 40, "it gives <no> answer")
        page = self.visit(PAGE)
        self.assertIn("Away since 20 s ago (it gives &lt;no&gt; answer). Its builds wait for it until", page.words)
        self.assertIn("for another 40 s", page.words)
        self.assertIn("a/b &lt;x&gt; #1 make &lt;check&gt; make &lt;check&gt; 2 min ago its build waits", page.words)
        self.assertIn(f"{B}/builds/1/steps/make%20%3Ccheck%3E", links_in(page.text))
        self.assertNotIn("detached", page.words)
        self.assertIn("away builds wait until", self.visit("/buildslaves").words)
        build = self.visit(f"{B}/builds/1").words
        self.assertIn("s1 away since 20 s ago (it gives &lt;no&gt; answer); the build waits for it until", build)

    def test_what_was_given_up_is_shown_until_it_is_gone(self) -> None:
        command = self.order(command=["make", "a file"])
        self.store.transact(commands.lose, command, NOW - 10)
        page = self.visit(PAGE)
        self.assertIn("detached", page.words)
        self.assertIn("1 command was given up here and may still run", page.words)
        self.assertIn("make 'a file'", page.text.replace("&#39;", "'"))
        self.assertIn("given up 10 s ago", page.words)
        self.assertIn("detached 1 command given up", self.visit("/buildslaves").words)
        self.assertIn("given up, and may still run", self.visit(f"{B}/builds/1/steps/make%20%3Ccheck%3E").words)
        self.store.transact(commands.let_go, command)
        self.assertNotIn("detached", self.visit(PAGE).words)

    def test_a_slave_that_is_here_shows_only_what_was_given_up(self) -> None:
        self.connect()
        self.order()
        self.assertNotIn("make &lt;check&gt;", self.visit(PAGE).text)
        lost = self.order(1, "sleep 1")
        self.store.transact(commands.lose, lost, NOW)
        page = self.visit(PAGE)
        self.assertIn("sleep 1", page.text)
        self.assertNotIn("its build waits", page.words)

    def test_a_slave_for_which_no_build_waits_is_only_not_connected(self) -> None:
        self.away["s2"] = Away(NOW - 20, NOW + 40, "gone")
        self.store.transact(slaves.sync, ["s1", "s2"], NOW)
        page = self.visit("/buildslaves/s2")
        self.assertNotIn("away", page.words)
        self.assertNotIn("Give it up", page.words)

    def test_many_commands_are_cut(self) -> None:
        for ordinal in range(200):
            self.store.transact(commands.lose, self.order(ordinal), NOW)
        self.away["s1"] = Away(NOW - 20, NOW + 40, "gone")
        page = self.visit(PAGE)
        self.assertEqual(page.text.count('data-label="Command"'), 50)
        self.assertIn("200 commands were given up", page.words)


class ButtonTests(AwayCase):
    def test_who_may_sees_the_buttons_and_they_ask_the_master(self) -> None:
        self.away["s1"] = Away(NOW - 20, NOW + 40, "gone")
        self.store.transact(commands.lose, self.order(), NOW)
        for button in ("Give it up", "Free it"):
            self.assertNotIn(button, self.visit(PAGE).words)
        self.log_in()
        for button in ("Give it up", "Free it"):
            self.assertIn(button, self.visit(PAGE).words)
        answer = self.post(f"{PAGE}/giveup", token=self.token(), comments="it burnt")
        self.assertEqual((answer.status, answer.header("location")), (303, PAGE))
        self.assertIn("s1 is given up: 2 builds will be tried again.", self.visit(PAGE).words)
        self.post(f"{PAGE}/free", token=self.token())
        self.assertIn("s1 is free of 1 command.", self.visit(PAGE).words)
        self.assertEqual(self.control.asked, [("give up", "s1", "ada", "it burnt"), ("free", "s1", "ada", "")])

    def test_there_may_be_nothing_to_do(self) -> None:
        self.control.answer = False
        self.log_in()
        self.post(f"{PAGE}/giveup", token=self.token())
        self.assertIn("No build waits for s1.", self.visit(PAGE).words)
        self.post(f"{PAGE}/free", token=self.token())
        self.assertIn("Nothing was left on s1.", self.visit(PAGE).words)
        self.assertEqual(self.post("/buildslaves/none/giveup", token=self.token()).status, 404)

    def test_the_right_is_a_name_of_its_own(self) -> None:
        self.away["s1"] = Away(NOW - 20, NOW + 40, "gone")
        self.set_www(auth=USERS, authz=ActionAuthz(auth=USERS, pauseSlave="auth"))
        self.log_in()
        for action in ("giveup", "free"):
            self.assertEqual(self.post(f"{PAGE}/{action}", token=self.token()).status, 403)
        self.assertNotIn("Give it up", self.visit(PAGE).words)
        self.set_www(auth=USERS, authz=ActionAuthz(auth=USERS, giveUpSlave=lambda user, slave: slave == "s1"))
        self.assertEqual(self.post(f"{PAGE}/giveup", token=self.token()).status, 303)
