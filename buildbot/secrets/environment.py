"""Secrets in the environment of the master's process, as systemd and container platforms give them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from buildbot.config.arguments import configurable
from buildbot.config.errors import error, is_text
from buildbot.secrets.base import SecretProviderBase

DEFAULT_PREFIX = "BUILDBOT_SECRET_"


@configurable
class SecretInEnvironment(SecretProviderBase):
    """A secret is an environment variable: `Secret('github-token')` is `BUILDBOT_SECRET_GITHUB_TOKEN`.

    prefix: of the variables' names. The rest is the secret's name in capitals, with `_` for all but letters and
    digits. Programs that the master itself starts, such as git, inherit these variables; slaves do not.
    """

    name = "SecretInEnvironment"

    def __init__(self, prefix: str = DEFAULT_PREFIX, environ: Mapping[str, str] | None = None) -> None:
        self._prefix = prefix
        self._environ = os.environ if environ is None else environ
        if not is_text(prefix) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", prefix):
            error(f"SecretInEnvironment(): prefix is the beginning of a variable's name, not {prefix!r}")

    def get(self, entry: str) -> str | None:
        return self._environ.get(self._prefix + re.sub(r"[^A-Z0-9]", "_", entry.upper()))
