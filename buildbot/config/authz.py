"""Who may log in and who may do what, as configurations say it; the web decides with these values.

Both eras' forms are here: 0.8's `Authz(auth=..., forceBuild="auth")`, and the later allow rules with role matchers.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from hmac import compare_digest
from pathlib import Path
from typing import Any

from buildbot.config.arguments import configurable
from buildbot.config.errors import did_you_mean, error

ACTIONS = frozenset(
    [
        "view",
        "gracefulShutdown",
        "forceBuild",
        "forceAllBuilds",
        "pingBuilder",
        "stopBuild",
        "stopAllBuilds",
        "cancelPendingBuild",
        "cancelAllPendingBuilds",
        "stopChange",
        "cleanShutdown",
        "showUsersPage",
        "pauseSlave",
        "giveUpSlave",
        "pauseBuilder",
        "pauseScheduler",
        "runScheduler",
    ]
)


class Auth:
    """Base of what knows users: their passwords (`UserPasswordAuth.check`) or where they are (`HTPasswdAuth.path`)."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # never the passwords


@configurable
class NoAuth(Auth):
    """Nobody can log in."""

    def __init__(self) -> None:
        pass


@configurable
class UserPasswordAuth(Auth):
    """Users written in the configuration: a list of (user, password), or a dict. A password may be a Secret."""

    def __init__(self, users: Any, userInfoProvider: Any = None) -> None:
        self.users: dict[str, Any] = {}
        self.userInfoProvider = userInfoProvider
        pairs = list(users.items()) if isinstance(users, Mapping) else users
        try:
            for user, password in pairs:
                self.users[_text(user)] = password if hasattr(type(password), "getRenderingFor") else _text(password)
        except (TypeError, ValueError):
            error(f"{type(self).__name__}() takes a list of (user, password) pairs")

    def check(self, user: str, password: str) -> bool:
        known = self.users.get(user)
        # compared even for an unknown user, so that the time taken does not tell who exists
        right = compare_digest((known or "").encode(), password.encode())
        return right and known is not None


@configurable
class BasicAuth(UserPasswordAuth):
    """0.8's name of UserPasswordAuth."""

    def __init__(self, userpass: Any) -> None:
        UserPasswordAuth.__init__(self, userpass)


@configurable(renamed={"file": "passwdFile"})
class HTPasswdAuth(Auth):
    """Users of a file made by `htpasswd`. passwdFile: its path, relative to the base directory."""

    def __init__(self, passwdFile: Any, userInfoProvider: Any = None) -> None:
        self.path = Path()
        self.userInfoProvider = userInfoProvider
        if not isinstance(passwdFile, (str, Path)):
            error(f"HTPasswdAuth() takes the path of an htpasswd file, not {passwdFile!r}")
        else:
            self.path = Path(passwdFile)


class ActionAuthz:
    """0.8's rules: for each action False, True, `"auth"` (whoever is logged in), or a function of user and objects.

    default_action: for actions that are not named. auth: who can log in. useHttpHeader, httpLoginUrl: the name comes
    from a proxy. view: whether everybody may look.
    """

    def __init__(
        self,
        default_action: Any = False,
        auth: Auth | None = None,
        useHttpHeader: bool = False,
        httpLoginUrl: str | bool = False,
        view: Any = True,
        **actions: Any,
    ) -> None:
        self.default_action = default_action
        self.auth = auth
        self.useHttpHeader = useHttpHeader
        self.httpLoginUrl = httpLoginUrl
        self.actions: dict[str, Any] = {"view": view}
        for name, value in actions.items():
            if name not in ACTIONS:
                error(f"Authz() has no action {name!r}", did_you_mean(name, ACTIONS))
            else:
                self.actions[name] = value
        for name, value in self.actions.items():
            if value == "auth" and auth is None and not useHttpHeader:
                error(f"Authz(): {name}='auth' needs users: give auth=...")

    def rule_for(self, action: str) -> Any:
        """The rule of one action."""
        return self.actions.get(action, self.default_action)


@configurable
class Authz:
    """The later rules. allowRules: endpoint matchers, tried in order. roleMatchers: who has which role.

    stringsMatcher: how arguments of matchers are compared (fnmatchStrMatcher or reStrMatcher).
    """

    def __init__(
        self,
        allowRules: Sequence[Any] | None = None,
        roleMatchers: Sequence[Any] | None = None,
        stringsMatcher: Callable[[str, str], Any] | None = None,
    ) -> None:
        self.allowRules: tuple[Any, ...] = tuple(allowRules or ())
        self.roleMatchers: tuple[Any, ...] = tuple(roleMatchers or ())
        self.stringsMatcher = stringsMatcher or fnmatchStrMatcher
        for rule in self.allowRules:
            if not isinstance(rule, EndpointMatcher):
                error(f"Authz(): allowRules holds endpoint matchers, not {rule!r}")
        for matcher in self.roleMatchers:
            if not callable(getattr(matcher, "getRolesFromUser", None)):
                error(f"Authz(): roleMatchers holds role matchers such as RolesFromUsername, not {matcher!r}")


def fnmatchStrMatcher(value: str, pattern: str) -> bool:
    """Shell patterns: `release-*`."""
    return fnmatch.fnmatchcase(value, pattern)


def reStrMatcher(value: str, pattern: str) -> bool:
    """Regular expressions, from the beginning."""
    return re.match(pattern, value) is not None


class EndpointMatcher:
    """Base of allow rules. role: who is let through. defaultDeny: False lets the next rule decide about others."""

    def __init__(self, role: str, defaultDeny: bool = True) -> None:
        self.role = role
        self.defaultDeny = defaultDeny

    def matches(self, action: str | None, *, builder: str | None, match: Callable[[str, str], Any]) -> bool:
        """Whether this rule is about the request: an action (None: only looking) on a builder (None: no builder)."""
        return False


@configurable
class AnyEndpointMatcher(EndpointMatcher):
    """Every request."""

    def matches(self, action: str | None, *, builder: str | None, match: Callable[[str, str], Any]) -> bool:
        return True


@configurable
class AnyControlEndpointMatcher(EndpointMatcher):
    """Every request that changes something."""

    def matches(self, action: str | None, *, builder: str | None, match: Callable[[str, str], Any]) -> bool:
        return action is not None


class _OnBuilder(EndpointMatcher):
    action: str | None = None

    def __init__(self, builder: str | None = None, *, role: str, defaultDeny: bool = True) -> None:
        EndpointMatcher.__init__(self, role, defaultDeny)
        self.builder = builder

    def matches(self, action: str | None, *, builder: str | None, match: Callable[[str, str], Any]) -> bool:
        if action != self.action:
            return False
        return self.builder is None or (builder is not None and bool(match(builder, self.builder)))


@configurable
class ForceBuildEndpointMatcher(_OnBuilder):
    """Forcing a build. builder: a pattern of builder names, or None for all."""

    action = "force"


@configurable
class StopBuildEndpointMatcher(_OnBuilder):
    """Stopping a build."""

    action = "stop"


@configurable
class RebuildBuildEndpointMatcher(_OnBuilder):
    """Rebuilding."""

    action = "rebuild"


@configurable
class EnableSchedulerEndpointMatcher(EndpointMatcher):
    """Switching a scheduler on and off."""

    def matches(self, action: str | None, *, builder: str | None, match: Callable[[str, str], Any]) -> bool:
        return action == "enable-scheduler"


@configurable
class RolesFromUsername:
    """roles: given to each of usernames."""

    def __init__(self, roles: Iterable[str], usernames: Iterable[str]) -> None:
        self.roles = list(roles)
        self.usernames = list(usernames)

    def getRolesFromUser(self, userDetails: Mapping[str, Any]) -> list[str]:
        return self.roles if userDetails.get("username") in self.usernames else []


class RolesFromEmails:
    """role=[addresses]: the role of whoever has one of these mail addresses."""

    def __init__(self, **roles: Iterable[str]) -> None:
        self.roles = {role: list(addresses) for role, addresses in roles.items()}

    def getRolesFromUser(self, userDetails: Mapping[str, Any]) -> list[str]:
        return [role for role, addresses in self.roles.items() if userDetails.get("email") in addresses]


class RolesFromDomain:
    """role=[domains]: the role of whoever has a mail address in one of these domains."""

    def __init__(self, **roles: Iterable[str]) -> None:
        self.roles = {role: list(domains) for role, domains in roles.items()}

    def getRolesFromUser(self, userDetails: Mapping[str, Any]) -> list[str]:
        domain = str(userDetails.get("email") or "").rpartition("@")[2]
        return [role for role, domains in self.roles.items() if domain and domain in domains]


@configurable
class RolesFromGroups:
    """The user's groups that begin with groupPrefix, without it."""

    def __init__(self, groupPrefix: str = "") -> None:
        self.groupPrefix = groupPrefix

    def getRolesFromUser(self, userDetails: Mapping[str, Any]) -> list[str]:
        groups = userDetails.get("groups") or ()
        return [group[len(self.groupPrefix) :] for group in groups if group.startswith(self.groupPrefix)]


@configurable
class RolesFromOwner:
    """role: given to the owner of the build that is acted upon."""

    def __init__(self, role: str) -> None:
        self.role = role

    def getRolesFromUser(self, userDetails: Mapping[str, Any], owner: str | None = None) -> list[str]:
        return [self.role] if owner is not None and owner == userDetails.get("email") else []


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise TypeError(value)
    return value
