"""Pausing, retiring and cancelling many: buttons, rights, and what the pages say afterwards."""

from __future__ import annotations

from twisted.internet import task

from buildbot.config.authz import ActionAuthz, AnyControlEndpointMatcher, Authz, RolesFromUsername
from buildbot.model import NewChange
from buildbot.process.cleanstop import Stopping, Waiting
from buildbot.process.control import Control
from buildbot.process.progress import Progress
from buildbot.store import actions, changes, pauses, requests, slaves
from buildbot.store.pauses import Kind
from tests.unit.web.served import NoStop
from tests.unit.web.test_actions import USERS, ActionCase, B
from tests.unit.web.visitor import NOW


class Running:
    by_id: dict = {}


class AskingTests(ActionCase):
    def setUp(self) -> None:
        super().setUp()
        self.log_in()

    def test_a_builder_is_paused_with_the_reason(self) -> None:
        answer = self.post(f"{B}/pause", token=self.token(), comments="the tree is closed")
        self.assertEqual((answer.status, answer.header("location")), (303, B))
        self.post(f"{B}/unpause", token=self.token())
        self.assertEqual(
            self.control.asked,
            [
                ("pause", Kind.BUILDER, "a/b <x>", "ada", "the tree is closed"),
                ("unpause", Kind.BUILDER, "a/b <x>", "ada", ""),
            ],
        )

    def test_a_slave_is_paused(self) -> None:
        self.post("/buildslaves/s1/pause", token=self.token(), comments="new disk")
        self.assertEqual(self.control.asked, [("pause", Kind.SLAVE, "s1", "ada", "new disk")])
        self.assertEqual(self.post("/buildslaves/none/pause", token=self.token()).status, 404)

    def test_only_a_slave_that_is_here_can_be_shut_down(self) -> None:
        self.post("/buildslaves/s1/shutdown", token=self.token())
        self.assertEqual(self.control.asked, [])
        self.assertIn("not connected", self.visit("/about").words)
        self.store.transact(slaves.connected, self.slaves["s1"], NOW, incarnation="a", version=None, details={})
        self.post("/buildslaves/s1/shutdown", token=self.token(), comments="old")
        self.assertEqual(self.control.asked, [("retire", Kind.SLAVE, "s1", "ada", "old")])

    def test_a_selection_is_cancelled(self) -> None:
        second = self.ask("a/b <x>")
        self.post(f"{B}/cancelbuild", token=self.token(), id=[str(self.request), str(second)], comments="old")
        self.assertEqual(self.control.asked, [("cancel", (self.request, second), "ada", "old")])
        self.assertIn("2 requests cancelled", self.visit("/about").words)

    def test_a_selection_with_another_builders_request_is_refused(self) -> None:
        ids = [str(self.request), str(self.ask("other"))]
        self.assertEqual(self.post(f"{B}/cancelbuild", token=self.token(), id=ids).status, 400)
        self.assertEqual(self.control.asked, [])

    def test_a_selection_of_nothing_says_so(self) -> None:
        answer = self.post("/pendingbuildrequests/cancel", token=self.token())
        self.assertEqual(answer.status, 400)
        self.assertIn("tick some first", answer.words)

    def test_all_of_a_builder_and_all_of_all(self) -> None:
        self.ask("other")
        self.post(f"{B}/cancelbuild", token=self.token(), id="all", comments="flood")
        self.post("/builders/_all/cancelpendingall", token=self.token())
        b, other = self.builders["a/b <x>"], self.builders["other"]
        self.assertEqual(
            self.control.asked, [("cancel all", (b,), "ada", "flood"), ("cancel all", (b, other), "ada", "")]
        )

    def test_a_change_is_stopped(self) -> None:
        change, _ = self.store.transact(changes.add, NewChange(author="eve", revision="1"), NOW)
        answer = self.post("/builders/_all/stopchangeall", token=self.token(), change=str(change), comments="bad")
        self.assertEqual(answer.header("location"), f"/changes/{change}")
        self.post(f"{B}/stopchange", token=self.token(), change=str(change))
        self.assertEqual(
            self.control.asked,
            [
                ("stop change", change, None, "ada", "bad"),
                ("stop change", change, self.builders["a/b <x>"], "ada", ""),
            ],
        )
        self.assertIn("2 requests cancelled, 1 build being stopped", self.visit("/about").words)
        self.assertEqual(self.post(f"{B}/stopchange", token=self.token(), change="99").status, 400)


class RightsTests(ActionCase):
    def test_0_8s_names_of_actions(self) -> None:
        self.set_www(
            auth=USERS,
            authz=ActionAuthz(
                auth=USERS,
                pauseSlave=lambda user, slave: slave == "s1",
                cancelPendingBuild=lambda user, builder=None: builder in (None, "other"),
            ),
        )
        self.log_in()
        self.assertEqual(self.post("/buildslaves/s1/pause", token=self.token()).status, 303)
        refused = (
            ("/buildslaves/s1/shutdown", {}),
            (f"{B}/pause", {}),
            (f"{B}/stopchange", {"change": "1"}),
            ("/builders/_all/cancelpendingall", {}),
            (f"{B}/cancelbuild", {"id": "all"}),
            ("/builders/other/cancelbuild", {"id": "all"}),  # one request, but not all
            ("/pendingbuildrequests/cancel", {"id": str(self.request)}),  # of a builder that is not ada's
        )
        for address, form in refused:
            answer = self.post(address, token=self.token(), **form)
            self.assertEqual(answer.status, 403, address)
        other = str(self.ask("other"))
        self.assertEqual(self.post("/pendingbuildrequests/cancel", token=self.token(), id=other).status, 303)
        self.assertEqual([asked[0] for asked in self.control.asked], ["pause", "cancel"])

    def test_the_later_rules(self) -> None:
        authz = Authz(
            allowRules=[AnyControlEndpointMatcher(role="admins")], roleMatchers=[RolesFromUsername(["admins"], ["bob"])]
        )
        self.set_www(auth=USERS, authz=authz)
        self.log_in()
        self.assertEqual(self.post("/buildslaves/s1/pause", token=self.token()).status, 403)
        self.assertNotIn("Pause", self.visit("/buildslaves/s1").words)


class PagesTests(ActionCase):
    def setUp(self) -> None:
        super().setUp()
        self.control = Control(self.store, Running(), Progress(), lambda: NOW, task.Clock(), NoStop(), lambda *_: 0)  # type: ignore[arg-type]
        self.site = self.make_site()
        self.log_in()

    def test_a_paused_builder_says_who_and_why_everywhere(self) -> None:
        self.post("/builders/other/pause", token=self.token(), comments="tree <closed>")
        self.now += 60
        page = self.visit("/builders/other")
        self.assertIn("paused 1 min ago by ada: tree &lt;closed&gt;", page.words)
        self.assertIn("Unpause", page.words)
        self.assertIn('title="paused by ada: tree &lt;closed&gt;"', self.visit("/builders").text)
        self.assertIn("paused", self.visit("/waterfall").words)
        self.assertIn("pause other by ada", self.visit("/waterfall?show_events=true").words)
        self.post("/builders/other/unpause", token=self.token(), comments="open")
        page = self.visit("/builders/other")
        self.assertNotIn("Unpause", page.words)
        self.assertIn("ada unpause open", page.words)

    def test_a_paused_slave_says_who_and_why(self) -> None:
        self.post("/buildslaves/s1/pause", token=self.token(), comments="new disk")
        for address in ("/buildslaves/s1", "/buildslaves"):
            self.assertIn("by ada: new disk", self.visit(address).words)
        self.assertIsNotNone(pauses.get(self.store, Kind.SLAVE, "s1"))

    def test_what_was_done_to_a_build_is_on_its_page(self) -> None:
        self.post(f"{B}/builds/1/rebuild", token=self.token(), comments="flaky <disk>")
        self.assertIn("ada rebuild flaky &lt;disk&gt;", self.visit(f"{B}/builds/1").words)

    def test_all_that_waits_can_be_ticked(self) -> None:
        page = self.visit("/pendingbuildrequests")
        self.assertIn(f'name="id" value="{self.request}" form="chosen"', page.text)
        self.post("/pendingbuildrequests/cancel", token=self.token(), id=str(self.request), comments="too old")
        self.assertEqual(requests.get(self.store, self.request).cancelled_because, "cancelled by ada: too old")
        self.assertIn("Nothing waits", self.visit("/pendingbuildrequests").words)
        self.assertIn(f"ada cancel request request {self.request} too old", self.visit("/actions").words)

    def test_what_waits_is_paged(self) -> None:
        last = [self.ask("other") for _ in range(100)][-1]
        page = self.visit("/pendingbuildrequests")
        self.assertNotIn(f'value="{last}"', page.text)
        self.assertIn(f'value="{last}"', self.visit(f"/pendingbuildrequests?after={last - 1}").text)
        self.assertIn(f"/pendingbuildrequests?after={last - 1}", page.text)

    def test_visitors_see_no_boxes_and_no_buttons(self) -> None:
        self.cookies.clear()
        for address in ("/pendingbuildrequests", B, "/buildslaves/s1"):
            text = self.visit(address).text
            self.assertNotIn("checkbox", text)
            self.assertNotIn('method="post"', text)

    def test_actions_are_paged(self) -> None:
        for number in range(60):
            self.store.transact(actions.add, who="ada", what="force", subject="x", why=f"<{number}>", now=NOW)
        page = self.visit("/actions")
        self.assertIn("&lt;59&gt;", page.text)
        self.assertNotIn("&lt;5&gt;", page.text)
        self.assertIn("&lt;5&gt;", self.visit("/actions?before=11").text)


class ShutdownTests(ActionCase):
    def test_the_banner_says_who_and_what_is_waited_for(self) -> None:
        builds = tuple(Waiting("a/b <x>", number, "s1", NOW - 60) for number in range(1, 31))
        self.control.clean_stop.under_way = Stopping("eve", "new <kernel>", NOW - 120, NOW + 3480, builds)
        page = self.visit("/builders")
        self.assertIn("This master is shutting down when these 30 builds have ended.", page.words)
        self.assertIn("eve asked for it 2 min ago", page.words)
        self.assertIn("new &lt;kernel&gt;", page.text)
        self.assertIn(f'<a href="{B}/builds/20">', page.text)
        self.assertNotIn(f"{B}/builds/21", page.text)
        self.assertIn("and 10 more", page.words)
        self.assertNotIn("Call it off", page.words)
        self.log_in()
        self.assertIn("Call it off", self.visit("/builders").words)
        self.assertNotIn("Shut down cleanly", self.visit("/about").words)

    def test_buttons(self) -> None:
        self.log_in()
        self.assertIn("Shut down cleanly", self.visit("/about").words)
        self.post("/shutdown", token=self.token(), comments="why")
        self.post("/cancel_shutdown", token=self.token())
        self.assertEqual(self.control.clean_stop.asked, [("begin", "ada", "why"), ("call off", "ada", "")])

    def test_the_right_is_0_8s(self) -> None:
        self.set_www(auth=USERS, authz=ActionAuthz(auth=USERS, stopBuild="auth"))
        self.log_in()
        for address in ("/shutdown", "/cancel_shutdown"):
            self.assertEqual(self.post(address, token=self.token()).status, 403)
