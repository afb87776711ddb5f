"""Who may do what. One function, `may`, is asked for every page, action, stream and machine answer.

The configuration says it with `auth` (who people are) and `authz` (what they may do). Without `auth` nobody can log
in; without `authz` whoever is logged in may act, and everybody may look. Both eras' rules are obeyed: 0.8's, by
action, and the later ones, by endpoint and role; an action about which the later rules say nothing needs a login.
"""

from __future__ import annotations

import inspect
from hmac import compare_digest
from pathlib import Path
from typing import Any

from buildbot.config.authz import ActionAuthz, Auth, Authz, HTPasswdAuth, UserPasswordAuth
from buildbot.config.web import Web
from buildbot.status.web import passwords
from buildbot.status.web.asked import User

VIEW = "view"
FORCE = "forceBuild"
STOP = "stopBuild"
REBUILD = "rebuild"
CANCEL = "cancelPendingBuild"
CANCEL_ALL = "cancelAllPendingBuilds"
STOP_CHANGE = "stopChange"
PAUSE_BUILDER = "pauseBuilder"
PAUSE_SLAVE = "pauseSlave"
PAUSE_SCHEDULER = "pauseScheduler"
RUN_SCHEDULER = "runScheduler"
GIVE_UP_SLAVE = "giveUpSlave"
GRACEFUL = "gracefulShutdown"
CLEAN_SHUTDOWN = "cleanShutdown"

# how each era calls it
_OLD_NAMES = {REBUILD: FORCE}
_LATER_NAMES = {
    VIEW: None,
    FORCE: "force",
    STOP: "stop",
    REBUILD: "rebuild",
    CANCEL: "stop",
    CANCEL_ALL: "stop",
    STOP_CHANGE: "stop",
    PAUSE_SCHEDULER: "enable-scheduler",
}


async def may(www: Web | None, user: User | None, action: str, builder: str | None = None) -> bool:
    """Whether this person (None: not logged in) may do this, to this builder if it is about one."""
    rule = _rule(www, user, action, builder)
    if rule is True or rule is False:
        return rule
    if user is None:
        return False
    if rule == "auth":
        return True
    allowed = rule(user.name, *(() if builder is None else (builder,)))
    if inspect.isawaitable(allowed):
        allowed = await allowed
    return bool(allowed)


def might(www: Web | None, user: User | None, action: str, builder: str | None = None) -> bool:
    """Whether to show a button for it. A guess where the user's own function decides; `may` asks that."""
    rule = _rule(www, user, action, builder)
    return rule is True or (rule is not False and user is not None)


def _rule(www: Web | None, user: User | None, action: str, builder: str | None) -> Any:
    """False (no), True (yes), "auth" (who is logged in), or a function(name, *objects) of the user's."""
    authz = None if www is None else www.authz
    if isinstance(authz, ActionAuthz):
        return authz.rule_for(_OLD_NAMES.get(action, action))
    if isinstance(authz, Authz):
        return _later_rule(authz, user, action, builder)
    return True if action == VIEW else "auth"


def _later_rule(authz: Authz, user: User | None, action: str, builder: str | None) -> bool | str:
    roles = _roles(authz, user)
    later = _LATER_NAMES.get(action, action)
    for rule in authz.allowRules:
        if rule.matches(later, builder=builder, match=authz.stringsMatcher):
            if rule.role in roles:
                return True
            if rule.defaultDeny:
                return False
    return True if later is None else "auth"


def _roles(authz: Authz, user: User | None) -> set[str]:
    if user is None:
        return set()
    details = {"username": user.name, "full_name": user.full_name, "email": user.email, "groups": user.groups}
    return {role for matcher in authz.roleMatchers for role in matcher.getRolesFromUser(details)}


class Accounts:
    """Verifies names and passwords against the configuration's `auth`. Slow on purpose: call it in a thread."""

    def __init__(self, basedir: Path) -> None:
        self._basedir = basedir
        self._files: dict[Path, passwords.PasswordFile] = {}

    def verify(self, auth: Auth | None, name: str, password: str) -> User | None:
        """The user, or None. Raises passwords.UnusablePassword when the stored one cannot be checked."""
        if isinstance(auth, HTPasswdAuth):
            path = self._basedir / auth.path
            stored = self._files.setdefault(path, passwords.PasswordFile(path)).stored(name)
            good = passwords.verify(password, passwords.NOBODY if stored is None else stored)
            return User(name) if good and stored is not None else None
        if isinstance(auth, UserPasswordAuth):
            known = auth.users.get(name)
            good = compare_digest((known or "").encode(), password.encode())
            return User(name) if good and known is not None else None
        return None
