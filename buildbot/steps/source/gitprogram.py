"""What every step that runs git on the slave shares: its settings, and the keys and passwords it logs in with.

These are files below `.secrets/` in the slave's own directory, out of every working directory, that nobody but the
slave's user may read. They are removed when the step ends, however it ends. Of a slave that is killed meanwhile, its
next process removes them; one that ends, or that no master cares for in its grace time, does it itself; after a lost
connection, the next step that logs in from the same builder's directory.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError

from buildbot.config.errors import error
from buildbot.process.gitlogin import Login, with_port
from buildbot.process.remotecommand import RemoteCommand, RemoteShellCommand
from buildbot.process.slaveport import CommandRefused, SlaveLost
from buildbot.process.steplog import slug_of
from buildbot.steps.source.commands import DrivesProgram

SECRETS = ".secrets"
KEY, HOSTS, CREDENTIALS = "key", "known_hosts", "credentials"


class GitStep(DrivesProgram):
    """Base of the steps that run git.

    config: dict of settings, each given to git with `-c`. The other arguments are timeout, env, logEnviron and those
    of `BuildStep`.
    """

    own_env: ClassVar[dict[str, str]] = {"GIT_TERMINAL_PROMPT": "0"}  # nobody is there to answer
    renderables: ClassVar[Any] = ("config",)
    git_directory = ""  # where git works; nothing: the working directory

    def __init__(self, config: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        if config is not None and not isinstance(config, dict) and not hasattr(type(config), "getRenderingFor"):
            error(f"{type(self).__name__}: config is a dictionary, not {config!r}")

    def options(self) -> list[Any]:
        """Options of git before its subcommand."""
        return [word for name, value in (self.config or {}).items() for word in ("-c", f"{name}={value}")]

    def login_env(self) -> dict[str, str]:
        return {}

    async def git(self, *words: Any, workdir: str | None = None, **options: Any) -> RemoteShellCommand:
        """Run git; its exit code is for the caller to judge. options: collect, stdin and log of `shell`."""
        directory = self.git_directory or None if workdir is None else workdir
        return await self.shell(["git", *self.options(), *words], workdir=directory, env=self.login_env(), **options)

    async def must(self, *words: Any, complaint: str, **options: Any) -> RemoteShellCommand:
        """Run git. Raises BuildStepFailed with the complaint when it fails."""
        done = await self.git(*words, **options)
        if done.rc != 0:
            self.fail(complaint)
        return done


    async def _dovccmd(
        self, command: Any, abandonOnFailure: bool = True, collectStdout: bool = False, initialStdin: Any = None
    ) -> Any:
        """How people's subclasses of 0.8 and later run git: the output if it is collected, else the exit code."""
        stdin = initialStdin.encode() if isinstance(initialStdin, str) else initialStdin
        done = await self.git(*command, collect=collectStdout, stdin=stdin)
        if abandonOnFailure and done.rc != 0:
            self.fail(f"git {command[0]} failed")
        return done.stdout if collectStdout else done.rc


class LogsIn(GitStep):
    """Base of the steps whose git talks to a server.

    port: of ssh, when the URL does not say (default 22). sshPrivateKey: the text of a key. sshHostKey: the one key that
    the server may show, as `ssh-ed25519 AAAA...`; or sshKnownHosts: the text of a known_hosts file. auth_credentials:
    (user, password) for HTTP. git_credentials: `util.GitCredentialOptions`. The other arguments are those of `GitStep`.
    """

    renderables: ClassVar[Any] = Login._fields

    def __init__(
        self,
        port: Any = 22,
        sshPrivateKey: Any = None,
        sshHostKey: Any = None,
        sshKnownHosts: Any = None,
        auth_credentials: Any = None,
        git_credentials: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.port = port
        self.sshPrivateKey = sshPrivateKey
        self.sshHostKey = sshHostKey
        self.sshKnownHosts = sshKnownHosts
        self.auth_credentials = auth_credentials
        self.git_credentials = git_credentials
        self._secrets_at: str | None = None  # where the files are now, as the slave's own path
        self._login.check(type(self).__name__)
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            error(f"{type(self).__name__}: port is a number from 1 to 65535, not {port!r}")

    @property
    def _login(self) -> Login:
        return Login(*(getattr(self, name) for name in Login._fields))

    def address(self, url: str) -> str:
        """What git is given for a URL of the configuration."""
        return with_port(url, self.port)

    async def logged_in(self, url: str, work: Callable[[], Awaitable[int]]) -> int:
        """Do `work` while the slave has the keys and passwords, which are for `url`."""
        if not self._login.is_needed:
            return await work()
        directory = self._secrets_directory()
        try:
            await self._bring_secrets(directory, url)
            result = await work()
            await self.remove(directory)
        except (CancelledError, SlaveLost):
            raise
        except Exception:
            await self._take_secrets_away(directory)
            raise
        return result

    def _secrets_directory(self) -> str:
        """Relative to the builder's directory. Builds that run at once have directories of their own."""
        builddir = posixpath.normpath(str(self.build.builddir).replace("\\", "/"))
        kept = f"{slug_of(builddir)}-{hashlib.sha256(builddir.encode()).hexdigest()[:8]}"
        return posixpath.join(*[".."] * len(builddir.split("/")), SECRETS, kept)

    async def _bring_secrets(self, directory: str, url: str) -> None:
        login = self._login
        try:
            for name, value in login.secrets(url):
                self.build.secrets.note(name, value)
            texts = login.credentials(url)
        except ValueError as wrong:
            self.fail(str(wrong))
        basedir = str(self.build.getSlaveInfo().get("basedir") or "").replace("\\", "/").rstrip("/")
        if not basedir:
            self.fail("the slave does not say in which directory it is, and so git cannot be told where its key is")
        await self.remove(directory)
        self._secrets_at = f"{basedir}/{SECRETS}/{posixpath.basename(directory)}"
        hosts = login.known_hosts()
        if hosts is not None:
            await self.write(directory, HOSTS, hosts.encode(), 0o600)
        if login.sshPrivateKey is not None:
            await self.write(directory, KEY, login.private_key().encode(), 0o600)
        elif hosts is None:
            await self._must_do("mkdir", {"dir": directory}, f"{directory} cannot be made")
        for text in texts:
            await self.must("credential", "approve", complaint="git takes no password", stdin=text.encode(), workdir="")

    async def _take_secrets_away(self, directory: str) -> None:
        try:
            done = await self.tidy_up(RemoteCommand("rmdir", {"dir": directory, "timeout": self.timeout}))
        except (SlaveLost, CommandRefused):
            return  # what is on its way tells more
        if done.rc != 0:
            self.say(f"the files with the key or password in {directory} could not be removed\n")

    def options(self) -> list[Any]:
        login = self._login
        if self._secrets_at is None or (login.auth_credentials is None and login.git_credentials is None):
            return super().options()
        return [*super().options(), *login.credential_options(f"{self._secrets_at}/{CREDENTIALS}")]

    def login_env(self) -> dict[str, str]:
        login = self._login
        if self._secrets_at is None or not login.uses_ssh:
            return {}
        key = None if login.sshPrivateKey is None else f"{self._secrets_at}/{KEY}"
        hosts = None if login.known_hosts() is None else f"{self._secrets_at}/{HOSTS}"
        return {"GIT_SSH_COMMAND": login.ssh_command(key, hosts)}
