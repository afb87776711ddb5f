"""`/json`: Buildbot 0.8's words for machines."""

from __future__ import annotations

import json
from typing import Any

from buildbot.config.authz import ActionAuthz, UserPasswordAuth
from buildbot.model import NewChange
from buildbot.store import changes, requests
from tests.unit.web.test_pages import NOW, PageCase

USERS = UserPasswordAuth([("ada", "secret")])


class JsonTests(PageCase):
    def get(self, path: str) -> Any:
        before = self.store.statements
        answer = self.visit(path)
        self.assertEqual((answer.status, answer.header("content-type")), (200, "application/json"), path)
        self.assertLessEqual(self.store.statements - before, 10, path)
        return json.loads(answer.text)

    def test_builders(self) -> None:
        self.connect("s1")
        self.build(at=1000, took=100)
        self.build(at=20, took=None)
        self.ask()
        found = self.get("/json/builders")
        self.assertEqual(list(found), ["linux", "a/b <x>"])
        linux = found["linux"]
        self.assertEqual(
            {name: linux[name] for name in ("slaves", "cachedBuilds", "currentBuilds", "pendingBuilds", "state")},
            {
                "slaves": ["s1", "s2"],
                "cachedBuilds": [1, 2],
                "currentBuilds": [2],
                "pendingBuilds": 1,
                "state": "building",
            },
        )
        self.assertEqual(found["a/b <x>"]["state"], "offline")
        self.assertEqual(self.get("/json/builders/a%2Fb%20%3Cx%3E"), found["a/b <x>"])
        self.assertEqual(list(self.get("/json/builders?select=linux")), ["linux"])
        self.assertEqual(list(self.get("/json/builders?from=1")), ["a/b <x>"])
        self.assertEqual(self.visit("/json/builders/none").status, 404)

    def test_what_waits_and_why(self) -> None:
        first, second = self.ask(reason="first"), self.ask(at=50)
        self.store.transact(requests.cancel, self.ask(), NOW, "ada", "")
        found = self.get("/json/builders/linux/pendingBuilds")
        self.assertEqual([each["brid"] for each in found], [first, second])
        self.assertEqual((found[0]["builderName"], found[0]["submittedAt"]), ("linux", NOW - 100))
        self.assertEqual((found[0]["reason"], found[0]["builds"]), ("first", []))
        self.assertIn("none of its slaves is connected", found[0]["why"][0])
        self.assertEqual(found[0]["url"], f"/buildrequests/{first}")

    def test_slaves_and_the_project(self) -> None:
        self.connect("s1")
        self.build(at=20, took=None)
        found = self.get("/json/slaves")
        self.assertEqual((found["s1"]["connected"], found["s2"]["connected"]), (True, False))
        self.assertEqual(found["s1"]["runningBuilds"], [{"builderName": "linux", "number": 1}])
        self.assertIn("linux", found["s1"]["builders"])
        self.assertEqual(self.get("/json/slaves/s1"), found["s1"])
        self.assertEqual(self.get("/json/project")["title"], self.config.title)
        whole = self.get("/json")
        self.assertEqual((whole["slaves"], list(whole["builders"])), (found, ["linux", "a/b <x>"]))

    def test_changes(self) -> None:
        new = NewChange("ann", comments="a <b>", files=("x", "y"), revision="12", branch="main", properties=(("n", 1),))
        id, _ = self.store.transact(changes.add, new, NOW)
        listed = self.get("/json/changes")[str(id)]
        self.assertEqual((listed["who"], listed["revision"], listed["when"]), ("ann", "12", NOW))
        one = self.get(f"/json/changes/{id}")
        self.assertEqual(one["files"], [{"name": "x", "url": None}, {"name": "y", "url": None}])
        self.assertEqual(one["properties"], [["n", 1, "Change"]])
        self.assertEqual(self.get(f"/json/changes?before={id}"), {})
        self.assertEqual(self.visit("/json/changes/77").status, 404)

    def test_it_is_shown_only_to_those_who_may_look(self) -> None:
        self.set_www(auth=USERS, authz=ActionAuthz(auth=USERS, view="auth"))
        self.assertEqual(self.visit("/json/builders").status, 403)
        self.log_in()
        self.assertEqual(list(self.get("/json/builders")), ["linux", "a/b <x>"])
