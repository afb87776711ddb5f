"""The web status, logins, rules and ports as configurations of all eras write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildbot.config.authz import (
    ActionAuthz,
    AnyControlEndpointMatcher,
    AnyEndpointMatcher,
    Authz,
    BasicAuth,
    ForceBuildEndpointMatcher,
    HTPasswdAuth,
    NoAuth,
    RolesFromDomain,
    RolesFromEmails,
    RolesFromGroups,
    RolesFromOwner,
    RolesFromUsername,
    StopBuildEndpointMatcher,
    UserPasswordAuth,
    fnmatchStrMatcher,
    reStrMatcher,
)
from buildbot.config.errors import ConfigErrors
from buildbot.config.ports import BadPort, endpoint_string
from buildbot.config.web import Waterfall, Web, WebStatus, take_web, web_from_www


@pytest.mark.parametrize(
    ("port", "endpoint"),
    [
        (9989, "tcp:9989"),
        (0, "tcp:0"),
        ("9989", "tcp:9989"),
        ("tcp:9989:interface=127.0.0.1", "tcp:9989:interface=127.0.0.1"),
        ("tcp:port=9989", "tcp:port=9989"),
        ("ssl:9989:privateKey=k:certKey=c", "ssl:9989:privateKey=k:certKey=c"),
        ("unix:/run/bb.sock", "unix:/run/bb.sock"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ],
)
def test_ports_become_endpoint_strings(port: Any, endpoint: str) -> None:
    assert endpoint_string(port) == endpoint


@pytest.mark.parametrize(
    "port", [None, True, -1, 65536, "70000", "", "http", "x:1", "tcp:", "tcp:a", "unix:", 1.5, [1]]
)
def test_what_is_no_port_is_told(port: Any) -> None:
    with pytest.raises(BadPort, match="port"):
        endpoint_string(port)


USERS = UserPasswordAuth([("me", "pw")])
RULES = ActionAuthz(auth=USERS, forceBuild="auth")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (WebStatus(http_port=8010), Web(port="tcp:8010")),
        (WebStatus("tcp:8010:interface=::1"), Web(port="tcp:8010:interface=::1")),
        (WebStatus(8010, authz=RULES), Web(port="tcp:8010", auth=USERS, authz=RULES)),
        (WebStatus(8010, public_html="html"), Web(port="tcp:8010", public_html="html")),
        (
            WebStatus(8010, change_hook_dialects={"github": True}, change_hook_auth=["file:x"]),
            Web(port="tcp:8010", change_hook_dialects={"github": True}, change_hook_auth=["file:x"]),
        ),
    ],
)
def test_web_status_objects_become_settings(status: WebStatus, expected: Web) -> None:
    assert status.web is not None
    facts = ("port", "auth", "authz", "public_html", "change_hook_dialects", "change_hook_auth")
    assert [getattr(status.web, fact) for fact in facts] == [getattr(expected, fact) for fact in facts]


def test_other_options_are_kept_by_name() -> None:
    status = WebStatus(8010, numbuilds=5, revlink="http://x/%s")
    assert status.web is not None
    assert (status.web.options["numbuilds"], status.web.options["revlink"]) == (5, "http://x/%s")
    www = web_from_www({"port": 8010, "plugins": {"grid_view": {}}, "theme": {}})
    assert www is not None
    assert set(www.options) == {"plugins", "theme"}


@pytest.mark.parametrize(
    ("status", "rule"),
    [
        (WebStatus(8010, allowForce=True), True),
        (WebStatus(8010, allowForce=False), False),
        (WebStatus(8010, allowForce=True, auth=USERS), "auth"),
        (Waterfall(8010), True),
        (Waterfall(8010, allowForce=False), False),
    ],
)
def test_allow_force_becomes_rules(status: WebStatus, rule: Any) -> None:
    assert status.web is not None
    assert isinstance(status.web.authz, ActionAuthz)
    assert status.web.authz.rule_for("forceBuild") == rule
    assert status.web.authz.rule_for("view") is True


def test_a_web_status_without_port_starts_none() -> None:
    assert WebStatus().web is None
    assert web_from_www({"plugins": {}}) is None


def test_users_may_be_a_file() -> None:
    for given in ({"auth": HTPasswdAuth("users.htpasswd")}, {"users": "users.htpasswd"}, {"auth": "users.htpasswd"}):
        web = web_from_www({"port": 8010, **given})
        assert web is not None
        assert isinstance(web.auth, HTPasswdAuth)
        assert web.auth.path == Path("users.htpasswd")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: WebStatus(http_prt=1), "did you mean 'http_port'"),  # type: ignore[call-arg]
        (lambda: WebStatus("x"), r"WebStatus\(\): http_port: 'x' is no port"),
        (lambda: WebStatus(8010, authz=RULES, allowForce=True), "older form of authz"),
        (lambda: WebStatus(8010, authz="x"), "authz must be an Authz"),
        (lambda: WebStatus(8010, distrib_port=3), "distrib_port is not in this version"),
        (lambda: WebStatus(8010, auth=object()), "auth must be an object such as"),
        (lambda: web_from_www({"prt": 1}), "did you mean 'port'"),
        (lambda: web_from_www({"port": "x"}), r"c\['www'\]\['port'\]: 'x' is no port"),
        (lambda: web_from_www({"port": 1, "authz": 3}), r"c\['www'\]\['authz'\] must be an Authz"),
        (lambda: web_from_www([]), "must be a dict"),
        (lambda: UserPasswordAuth("me:pw"), "list of .user, password. pairs"),
        (lambda: UserPasswordAuth([("me", 3)]), "list of .user, password. pairs"),
        (lambda: HTPasswdAuth(3), "path of an htpasswd file"),
        (lambda: ActionAuthz(forceBild=True), "did you mean 'forceBuild'"),
        (lambda: ActionAuthz(forceBuild="auth"), "needs users"),
        (lambda: Authz(allowRules=["x"]), "holds endpoint matchers"),
        (lambda: Authz(roleMatchers=["x"]), "holds role matchers"),
    ],
)
def test_mistakes_are_told(make: Any, said: str) -> None:
    with pytest.raises(ConfigErrors, match=said):
        make()


def test_one_web_server_is_taken_out_of_the_receivers() -> None:
    mail = object()
    web, others = take_web({"port": 1}, [WebStatus(2), mail])
    assert web is not None
    assert (web.port, others) == ("tcp:1", [mail])
    assert take_web(None, [mail]) == (None, [mail])


def test_passwords_are_compared_and_never_shown() -> None:
    for auth in (UserPasswordAuth({"me": "pw"}), BasicAuth([("me", "pw")]), UserPasswordAuth([(b"me", b"pw")])):
        tried = [auth.check(*pair) for pair in (("me", "pw"), ("me", ""), ("you", ""), ("you", "pw"))]
        assert tried == [True, False, False, False]
        assert "pw" not in repr(auth)
    assert repr(NoAuth()) == "<NoAuth>"


def test_old_names_of_arguments_are_taken() -> None:
    assert HTPasswdAuth(file="a").path == HTPasswdAuth(passwdFile="a").path == Path("a")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("matcher", "action", "builder", "matches"),
    [
        (AnyEndpointMatcher(role="r"), None, None, True),
        (AnyControlEndpointMatcher(role="r"), None, "b", False),
        (AnyControlEndpointMatcher(role="r"), "force", "b", True),
        (ForceBuildEndpointMatcher(role="r"), "force", "b", True),
        (ForceBuildEndpointMatcher(role="r"), "stop", "b", False),
        (ForceBuildEndpointMatcher(builder="try-*", role="r"), "force", "try-1", True),
        (ForceBuildEndpointMatcher(builder="try-*", role="r"), "force", "rel-1", False),
        (StopBuildEndpointMatcher(builder="b", role="r", defaultDeny=False), "stop", None, False),
    ],
)
def test_endpoint_matchers(matcher: Any, action: str | None, builder: str | None, matches: bool) -> None:
    assert matcher.matches(action, builder=builder, match=fnmatchStrMatcher) is matches


@pytest.mark.parametrize(
    ("matcher", "user", "roles"),
    [
        (RolesFromUsername(["admins"], ["me"]), {"username": "me"}, ["admins"]),
        (RolesFromUsername(["admins"], ["me"]), {"username": "you"}, []),
        (RolesFromEmails(admins=["me@x.org"]), {"email": "me@x.org"}, ["admins"]),
        (RolesFromEmails(admins=["me@x.org"]), {}, []),
        (RolesFromDomain(admins=["x.org"]), {"email": "any@x.org"}, ["admins"]),
        (RolesFromDomain(admins=["x.org"]), {"email": None}, []),
        (RolesFromGroups("bb-"), {"groups": ["bb-admins", "staff"]}, ["admins"]),
        (RolesFromGroups(), {}, []),
    ],
)
def test_role_matchers(matcher: Any, user: dict[str, Any], roles: list[str]) -> None:
    assert matcher.getRolesFromUser(user) == roles


def test_the_owner_of_a_build_has_its_role() -> None:
    matcher = RolesFromOwner("owner")
    assert matcher.getRolesFromUser({"email": "me@x.org"}, "me@x.org") == ["owner"]
    assert matcher.getRolesFromUser({"email": None}) == []


def test_patterns() -> None:
    assert (fnmatchStrMatcher("rel-1", "rel-*"), fnmatchStrMatcher("rel-1", "REL-*")) == (True, False)
    assert (reStrMatcher("rel-1", "rel-[0-9]"), reStrMatcher("xrel-1", "rel")) == (True, False)
