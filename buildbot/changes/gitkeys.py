"""Keys and passwords for a poller's git: files in a directory that only the master's user may enter, while it polls."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from buildbot.changes.base import PollFailed
from buildbot.changes.git import Git
from buildbot.process.gitlogin import Login
from buildbot.secrets.lookup import Secrets

ASK_SECONDS = 60.0


@asynccontextmanager
async def logged_in(
    git: Git, login: Login, *, url: str, directory: Path, secrets: Secrets, owner: str
) -> AsyncIterator[Git]:
    """A git that has the keys and passwords of `login`, which are for `url`; they are in `directory` meanwhile.

    What a master that was killed had left there is removed first. Raises PollFailed, SecretProblem.
    """
    if not login.is_needed:
        yield git
        return
    known = Login(*[await secrets.render(value, f"{name} of {owner}") for name, value in login._asdict().items()])
    try:
        texts = known.credentials(url)
        hidden = list(known.secrets(url))
    except ValueError as wrong:
        raise PollFailed(str(wrong)) from None
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    try:
        yield await _ready(git, known, texts, directory, _hiding([value for _, value in hidden]))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _ready(git: Git, login: Login, texts: list[str], directory: Path, hide: Callable[[str], str]) -> Git:
    key = None if login.sshPrivateKey is None else _written(directory / "key", login.private_key())
    hosts = login.known_hosts()
    hosts_path = None if hosts is None else _written(directory / "known_hosts", hosts)
    environ = {"GIT_SSH_COMMAND": login.ssh_command(key, hosts_path)} if login.uses_ssh else {}
    options = login.credential_options(str(directory / "credentials")) if texts else []
    ready = git.with_login(options, environ, hide)
    for text in texts:
        await ready.run("credential", "approve", stdin=text.encode(), seconds=ASK_SECONDS)
    return ready


def _written(path: Path, text: str) -> str:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return str(path)


def _hiding(values: list[str]) -> Callable[[str], str]:
    def hide(text: str) -> str:
        for value in values:
            text = text.replace(value, "XXXX")
        return text

    return hide
