"""Secrets in the configuration itself: passwords of slaves and of people, which belong to no build."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TypeVar

from buildbot.config.authz import ActionAuthz, UserPasswordAuth
from buildbot.config.master import Config
from buildbot.config.web import Web
from buildbot.process.rendering import needs_rendering
from buildbot.secrets.lookup import Secrets

T = TypeVar("T")


async def with_passwords(config: Config, secrets: Secrets) -> Config:
    """The configuration with the passwords of slaves and people in place of the secrets. Raises SecretProblem."""
    slaves = []
    for slave in config.slaves:
        if needs_rendering(slave.password):
            slave = copy(slave)
            slave.password = await secrets.text(slave.password, f"the password of slave {slave.name!r}")
        slaves.append(slave)
    www = config.www if config.www is None else await _web_with_passwords(config.www, secrets)
    return replace(config, slaves=tuple(slaves), www=www)


async def _web_with_passwords(www: Web, secrets: Secrets) -> Web:
    auth, authz = await _with_users(www.auth, secrets), www.authz
    if isinstance(authz, ActionAuthz) and authz.auth is not None:
        authz = copy(authz)
        authz.auth = auth if authz.auth == www.auth else await _with_users(authz.auth, secrets)
    return replace(www, auth=auth, authz=authz)


async def _with_users(auth: T, secrets: Secrets) -> T:
    if not isinstance(auth, UserPasswordAuth) or not needs_rendering(auth.users):
        return auth
    known = copy(auth)
    known.users = {
        user: await secrets.text(password, f"the password of {user!r} in {type(auth).__name__}")
        for user, password in auth.users.items()
    }
    return known
