"""Who may do what, by both eras' rules."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot.config.authz import (
    ActionAuthz,
    AnyControlEndpointMatcher,
    AnyEndpointMatcher,
    Authz,
    ForceBuildEndpointMatcher,
    RolesFromUsername,
    StopBuildEndpointMatcher,
    UserPasswordAuth,
)
from buildbot.config.web import Web
from buildbot.status.web import auth
from buildbot.status.web.asked import User

ADA = User("ada")
BOB = User("bob")
USERS = UserPasswordAuth([("ada", "x")])


class MayTests(SynchronousTestCase):
    def may(self, authz, user: User | None, action: str, builder: str | None = "b") -> bool:
        www = Web(port="", auth=USERS, authz=authz)
        return self.successResultOf(Deferred.fromCoroutine(auth.may(www, user, action, builder)))

    def test_without_rules_everybody_looks_and_who_is_logged_in_acts(self) -> None:
        self.assertTrue(self.may(None, None, auth.VIEW))
        for action in (auth.FORCE, auth.STOP, auth.REBUILD, auth.CANCEL, "something new"):
            self.assertFalse(self.may(None, None, action), action)
            self.assertTrue(self.may(None, ADA, action), action)

    def test_old_rules_by_action(self) -> None:
        rules = ActionAuthz(
            auth=USERS, forceBuild="auth", stopBuild=True, cancelPendingBuild=lambda name, builder: name == "bob"
        )
        self.assertEqual([self.may(rules, user, auth.FORCE) for user in (None, ADA)], [False, True])
        self.assertEqual([self.may(rules, user, auth.REBUILD) for user in (None, ADA)], [False, True])
        self.assertTrue(self.may(rules, None, auth.STOP))
        self.assertEqual([self.may(rules, user, auth.CANCEL) for user in (None, ADA, BOB)], [False, False, True])
        self.assertFalse(self.may(rules, ADA, "pauseSlave"))

    def test_a_function_of_the_user_may_answer_later(self) -> None:
        rules = ActionAuthz(auth=USERS, forceBuild=lambda name, *objects: succeed(name == "ada"))
        self.assertEqual([self.may(rules, user, auth.FORCE) for user in (ADA, BOB)], [True, False])

    def test_view_may_be_closed(self) -> None:
        rules = ActionAuthz(auth=USERS, view="auth")
        self.assertEqual([self.may(rules, user, auth.VIEW, None) for user in (None, ADA)], [False, True])

    def test_later_rules_by_endpoint_and_role(self) -> None:
        rules = Authz(
            allowRules=[
                ForceBuildEndpointMatcher(builder="release-*", role="admins"),
                StopBuildEndpointMatcher(role="admins", defaultDeny=False),
                StopBuildEndpointMatcher(role="stoppers"),
            ],
            roleMatchers=[RolesFromUsername(["admins"], ["ada"]), RolesFromUsername(["stoppers"], ["bob"])],
        )
        self.assertEqual([self.may(rules, u, auth.FORCE, "release-1") for u in (None, ADA, BOB)], [False, True, False])
        self.assertEqual([self.may(rules, u, auth.FORCE, "other") for u in (None, ADA, BOB)], [False, True, True])
        self.assertEqual(
            [self.may(rules, u, auth.STOP) for u in (ADA, BOB, User("c"), None)], [True, True, False, False]
        )
        self.assertTrue(self.may(rules, None, auth.VIEW))

    def test_later_rules_may_close_everything(self) -> None:
        rules = Authz(
            allowRules=[AnyEndpointMatcher(role="admins")], roleMatchers=[RolesFromUsername(["admins"], ["ada"])]
        )
        self.assertEqual([self.may(rules, user, auth.VIEW) for user in (None, ADA, BOB)], [False, True, False])

    def test_control_rules_leave_looking_open(self) -> None:
        rules = Authz(allowRules=[AnyControlEndpointMatcher(role="admins")])
        self.assertTrue(self.may(rules, None, auth.VIEW))
        self.assertFalse(self.may(rules, ADA, auth.CANCEL))

    def test_buttons_are_shown_to_who_might(self) -> None:
        www = Web(port="", auth=USERS, authz=ActionAuthz(auth=USERS, forceBuild=lambda *_: False))
        self.assertFalse(auth.might(www, None, auth.FORCE))
        self.assertTrue(auth.might(www, ADA, auth.FORCE))
        self.assertFalse(auth.might(www, ADA, auth.STOP))
