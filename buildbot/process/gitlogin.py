"""How git logs in: the keys and passwords that a configuration gives, as git and ssh want to be told of them.

Pure: the texts of files, options and command lines. Where the files are put is the business of who runs git.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Any, NamedTuple

from zope.interface import implementer

from buildbot.config.errors import error
from buildbot.process.rendering import IRenderable, PropertySource, is_renderable, render

_SCP = re.compile(r"(?:[^:/@\s]+@)?(?:\[[^\]]+\]|[^:/\\@\s]{2,}):(?!//|\\)")


@implementer(IRenderable)
class GitCredentialInputRenderer:
    """What `git credential` reads, made of its attributes: `GitCredentialInputRenderer(url=..., username=...,
    password=...)`. Each value may be renderable; what is None is left out. A value with a newline is refused."""

    def __init__(self, **credential_attributes: Any) -> None:
        self._attributes = credential_attributes

    async def getRenderingFor(self, properties: PropertySource) -> str:
        return credential_text(await render(self._attributes, properties))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GitCredentialInputRenderer) and self._attributes == other._attributes

    def __hash__(self) -> int:
        return hash(tuple(self._attributes))

    def __repr__(self) -> str:
        return f"GitCredentialInputRenderer({', '.join(self._attributes)})"  # never the values


class GitCredentialOptions(NamedTuple):
    """credentials: a list of texts as `git credential` reads them, or of GitCredentialInputRenderer. use_http_path:
    whether a password is for one path of a server alone (git's `credential.useHttpPath`; None: as git is set)."""

    credentials: list[Any]
    use_http_path: bool | None = None


class Login(NamedTuple):
    """The five arguments of everything that runs git for a configuration; rendered, or as they were given."""

    sshPrivateKey: Any = None
    sshHostKey: Any = None
    sshKnownHosts: Any = None
    auth_credentials: Any = None
    git_credentials: Any = None

    @property
    def is_needed(self) -> bool:
        return any(value is not None for value in self)

    @property
    def uses_ssh(self) -> bool:
        return not self.sshPrivateKey is self.sshHostKey is self.sshKnownHosts is None

    def check(self, owner: str) -> None:
        """Report what cannot be meant, as `owner`'s mistake."""
        if self.sshHostKey is not None and self.sshKnownHosts is not None:
            error(f"{owner}: sshHostKey and sshKnownHosts are two ways of saying the same; give one of them")
        for name in ("sshPrivateKey", "sshHostKey", "sshKnownHosts"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str) and not is_renderable(value):
                error(f"{owner}: {name} is a string, the text of the file, not {value!r}")
        pair: Any = self.auth_credentials
        if pair is not None and not is_renderable(pair) and not (isinstance(pair, (tuple, list)) and len(pair) == 2):
            error(f"{owner}: auth_credentials is (user name, password)")
        given: Any = self.git_credentials
        if given is not None and not (
            isinstance(given, GitCredentialOptions) and isinstance(given.credentials, (list, tuple))
        ):
            error(f"{owner}: git_credentials is util.GitCredentialOptions(credentials=[...])")

    def private_key(self) -> str:
        """The key's file. Secrets come without the newline at the end, which ssh wants."""
        return self.sshPrivateKey.replace("\r\n", "\n").rstrip("\n") + "\n"  # type: ignore[no-any-return]

    def known_hosts(self) -> str | None:
        """The file of hosts' keys, if any is given."""
        if self.sshKnownHosts is not None:
            return f"{self.sshKnownHosts.rstrip()}\n"
        return None if self.sshHostKey is None else f"* {self.sshHostKey.strip()}\n"

    def ssh_command(self, key: str | None, hosts: str | None) -> str:
        """For GIT_SSH_COMMAND: an ssh that asks nobody anything. key, hosts: paths."""
        words = ["ssh", "-o", "BatchMode=yes"]
        if key is not None:
            words += ["-o", "IdentitiesOnly=yes", "-i", key]
        if hosts is not None:
            for option in ("UserKnownHostsFile", "GlobalKnownHostsFile"):
                words += ["-o", f'{option}="{hosts}"' if " " in hosts else f"{option}={hosts}"]
            words += ["-o", "StrictHostKeyChecking=yes"]
        return shlex.join(words)

    def credentials(self, url: str) -> list[str]:
        """What `git credential approve` is to be told, one text each. Raises ValueError for a value that is no line."""
        texts = []
        if self.auth_credentials is not None:
            user, password = self.auth_credentials
            texts.append(credential_text({"url": url, "username": user, "password": password}))
        if self.git_credentials is not None:
            texts += [str(text) for text in self.git_credentials.credentials if text]
        return texts

    def credential_options(self, path: str) -> list[str]:
        """Options of git: passwords are in the file `path` and nowhere else."""
        options = ["-c", "credential.helper=", "-c", f"credential.helper=store --file={shlex.quote(path)}"]
        if self.git_credentials is not None and self.git_credentials.use_http_path is not None:
            options += ["-c", f"credential.useHttpPath={str(bool(self.git_credentials.use_http_path)).lower()}"]
        return options

    def secrets(self, url: str) -> Iterable[tuple[str, str]]:
        """(what it is, value) of all that nobody may read."""
        if self.sshPrivateKey is not None:
            yield "sshPrivateKey", self.private_key()
        for text in self.credentials(url):
            for line in text.splitlines():
                name, _, value = line.partition("=")
                if name in ("password", "credential", "oauth_refresh_token") and value:
                    yield f"git {name}", value


def credential_text(attributes: dict[str, Any]) -> str:
    """`name=value` lines; the URL first, because git forgets at it what came before. Raises ValueError."""
    lines = []
    for name in sorted(attributes, key=lambda name: name != "url"):
        value = attributes[name]
        if value is None:
            continue
        if re.search(r"[\n\0]", str(value)):
            raise ValueError(f"the {name} of a git credential has a newline in it")
        lines.append(f"{name}={value}\n")
    return "".join(lines)


def with_port(url: str, port: int) -> str:
    """The URL for another ssh port: `me@host:path` as `ssh://me@host:port/path`. An address that names its port, or
    is of another protocol or a path, stays."""
    if port == 22:
        return url
    found = re.fullmatch(r"(ssh://[^/]*?)(/.*)?", url)
    if found is not None:
        return url if re.search(r":\d+$", found[1]) else f"{found[1]}:{port}{found[2] or ''}"
    if "://" in url or _SCP.match(url) is None:
        return url
    host, _, path = url.partition("]:") if "[" in url else url.partition(":")
    host += "]" if "[" in url else ""
    return f"ssh://{host}:{port}/{path.removeprefix('/')}"
