"""Force, stop, rebuild and cancel: never without login, token and right; what they ask of the master."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet import task

from buildbot.config.authz import ActionAuthz, UserPasswordAuth
from buildbot.process.control import Control
from buildbot.process.progress import Progress
from buildbot.store import actions, builds, buildsets, requests, sourcestamps
from tests.unit.web.served import NoStop
from tests.unit.web.visitor import NOW, SiteCase, links_in

USERS = UserPasswordAuth([("ada", "secret")])
B = "/builders/a%2Fb%20%3Cx%3E"
ADDRESSES = (
    f"{B}/force",
    f"{B}/cancelbuild",
    f"{B}/retrybuild",
    f"{B}/builds/1/stop",
    f"{B}/builds/1/rebuild",
    f"{B}/pause",
    f"{B}/unpause",
    f"{B}/stopchange",
    "/builders/_all/cancelpendingall",
    "/builders/_all/stopchangeall",
    "/pendingbuildrequests/cancel",
    "/shutdown",
    "/cancel_shutdown",
    "/buildslaves/s1/pause",
    "/buildslaves/s1/unpause",
    "/buildslaves/s1/shutdown",
    "/buildslaves/s1/giveup",
    "/buildslaves/s1/free",
    "/schedulers/s/run",
    "/schedulers/s/pause",
    "/schedulers/s/unpause",
)


class ActionCase(SiteCase):
    def setUp(self) -> None:
        super().setUp()
        self.configure({"a/b <x>": ["s1"], "other": ["s1"]})
        self.request = self.ask("a/b <x>")

        def work(store: Any) -> Any:
            asked = self.ask("a/b <x>")
            return builds.start(
                store, builder=self.builders["a/b <x>"], slave=self.slaves["s1"], claimed=[asked], reason="r", now=NOW
            )

        self.build = self.store.transact(work)

    def ask(self, name: str) -> Any:
        def work(store: Any) -> Any:
            stamp = sourcestamps.add(store, branch="main", now=NOW)
            _, asked = buildsets.submit(
                store, builders=[self.builders[name]], source_stamps=[stamp], reason="r", now=NOW
            )
            return asked[0]

        return self.store.transact(work)


class RefusalTests(ActionCase):
    def test_without_login_nothing_happens_and_the_page_says_how(self) -> None:
        for address in ADDRESSES:
            answer = self.post(address, token="x", id=str(self.request))
            self.assertEqual(answer.status, 403, address)
            self.assertIn("Only people who are logged in", answer.words)
            self.assertTrue([link for link in links_in(answer.text) if link.startswith("/login")])
        self.assertEqual(self.control.asked, [])

    def test_without_the_sessions_token_nothing_happens(self) -> None:
        self.log_in()
        for address in ADDRESSES:
            for form in ({}, {"token": ""}, {"token": "x" * 43}):
                self.assertEqual(self.post(address, id=str(self.request), **form).status, 403, address)
        self.assertEqual(self.control.asked, [])

    def test_a_token_in_the_address_of_another_session_is_no_good(self) -> None:
        self.log_in()
        first = self.token()
        self.cookies.clear()
        self.log_in("bob", "other")
        self.assertEqual(self.post(f"{B}/builds/1/stop", token=first).status, 403)

    def test_forms_of_other_sites_are_refused_even_with_the_token(self) -> None:
        self.log_in()
        form = {"token": self.token()}
        answer = self.visit(f"{B}/builds/1/stop", "POST", form, Origin="https://evil.example")
        self.assertEqual(answer.status, 403)
        self.assertEqual(self.control.asked, [])
        self.assertEqual(self.visit(f"{B}/builds/1/stop", "POST", form, Origin="http://localhost").status, 303)

    def test_rules_refuse_who_may_not(self) -> None:
        self.set_www(auth=USERS, authz=ActionAuthz(auth=USERS, stopBuild="auth", cancelPendingBuild=lambda *_: False))
        self.log_in()
        token = self.token()
        self.assertEqual(self.post(f"{B}/builds/1/stop", token=token).status, 303)
        for address in (f"{B}/force", f"{B}/cancelbuild", f"{B}/builds/1/rebuild"):
            answer = self.post(address, token=token, id=str(self.request))
            self.assertEqual(answer.status, 403, address)
            self.assertIn("authz says so", answer.words)

    def test_rules_learn_the_builder(self) -> None:
        self.set_www(auth=USERS, authz=ActionAuthz(auth=USERS, stopBuild=lambda user, builder: builder == "a/b <x>"))
        self.log_in()
        self.assertEqual(self.post(f"{B}/builds/1/stop", token=self.token()).status, 303)
        self.assertEqual(self.post("/builders/other/builds/1/stop", token=self.token()).status, 403)

    def test_looking_at_an_action_does_nothing(self) -> None:
        self.log_in()
        for address in ADDRESSES:
            self.assertEqual(self.visit(address).status, 200 if address.endswith("/force") else 404, address)
        self.assertEqual(self.control.asked, [])


class DoingTests(ActionCase):
    def setUp(self) -> None:
        super().setUp()
        self.log_in()

    def test_stop_says_who_and_why_and_leads_to_the_build(self) -> None:
        answer = self.post(f"{B}/builds/-1/stop", token=self.token(), comments=" it hangs ")
        self.assertEqual((answer.status, answer.header("location")), (303, f"{B}/builds/1"))
        self.assertEqual(self.control.asked, [("stop", self.build.id, "ada", "it hangs")])
        self.assertIn("is being stopped", self.visit("/about").words)

    def test_stopping_what_has_ended_says_so(self) -> None:
        self.control.answer = False
        self.post(f"{B}/builds/1/stop", token=self.token())
        self.assertIn("had ended already", self.visit("/about").words)

    def test_rebuild_leads_to_the_builder(self) -> None:
        answer = self.post(f"{B}/builds/1/rebuild", token=self.token(), comments="flaky")
        self.assertEqual((answer.status, answer.header("location")), (303, B))
        self.assertEqual(self.control.asked, [("rebuild", self.build.id, "ada", "flaky")])

    def test_cancel_takes_a_request_of_this_builder_only(self) -> None:
        other = self.ask("other")
        self.assertEqual(self.post(f"{B}/cancelbuild", token=self.token(), id=str(other)).status, 400)
        self.assertEqual(self.post(f"{B}/cancelbuild", token=self.token(), id="all of them").status, 400)
        self.assertEqual(self.post(f"{B}/cancelbuild", token=self.token(), id=str(self.request)).status, 303)
        self.assertEqual(self.control.asked, [("cancel", self.request, "ada", "")])

    def test_what_is_not_there_is_404(self) -> None:
        for address in ("/builders/none/cancelbuild", f"{B}/builds/9/stop", f"{B}/builds/x/rebuild"):
            self.assertEqual(self.post(address, token=self.token(), id="1").status, 404, address)

    def test_force_by_an_unknown_scheduler_is_refused(self) -> None:
        answer = self.post(f"{B}/force", token=self.token(), forcescheduler="<none>")
        self.assertEqual(answer.status, 400)
        self.assertIn("No ForceScheduler called &#39;&lt;none&gt;&#39;", answer.text)

    def test_the_real_control_writes_down_who_did_it(self) -> None:
        class Running:
            by_id: dict = {}

        self.control = Control(self.store, Running(), Progress(), lambda: NOW, task.Clock(), NoStop(), lambda *_: 0)  # type: ignore[arg-type]
        self.site = self.make_site()
        self.cookies.clear()
        self.log_in()
        self.post(f"{B}/cancelbuild", token=self.token(), id=str(self.request))
        cancelled = requests.get(self.store, self.request)
        assert cancelled is not None
        self.assertIsNotNone(cancelled.complete_at)
        self.post(f"{B}/builds/1/rebuild", token=self.token(), comments="again")
        done = [(action.who, action.what, action.why) for action in actions.newest(self.store)]
        self.assertEqual(done, [("ada", "rebuild", "again"), ("ada", "cancel request", "")])

    def test_a_parked_request_is_tried_again_by_a_button(self) -> None:
        for _ in range(requests.MOST_RETRIES + 1):
            self.store.transact(requests.claim, self.request, NOW)
            self.store.transact(requests.put_back, self.request, NOW, "the slave went away")
        running: Any = SimpleNamespace(by_id={})
        self.control = Control(
            self.store, running, Progress(), lambda: NOW, task.Clock(), NoStop(), lambda *_: 0  # type: ignore[arg-type]
        )
        self.site = self.make_site()
        self.assertNotIn("Try again", self.visit(B).text)
        self.log_in()
        page = self.visit(B)
        self.assertIn("Try again", page.text)
        self.assertIn("the slave went away", page.text)
        self.assertEqual(self.post(f"{B}/retrybuild", token=self.token(), id=str(self.request)).status, 303)
        request = requests.get(self.store, self.request)
        assert request is not None
        self.assertIsNone(request.parked_reason)
        self.assertEqual([action.what for action in actions.newest(self.store)], ["retry request"])
        self.assertNotIn("Try again", self.visit(B).text)
