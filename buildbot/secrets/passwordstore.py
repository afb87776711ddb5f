"""Secrets in a password store: the tool `pass`, which keeps one file a secret, encrypted with GnuPG."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from buildbot.config.arguments import configurable
from buildbot.config.errors import error, is_text
from buildbot.secrets.base import ProviderFailed, SecretProviderBase

_PASSPHRASE_FD = 3
_MOST_OUTPUT = 1 << 17
_LAST_WORDS = 300


@configurable
class SecretInPass(SecretProviderBase):
    """Each secret is an entry of a password store, as `pass` shows it; its value is the first line.

    gpgPassphrase: of the key, when gpg-agent does not have it; it goes to gpg through a pipe, not by its arguments or
    environment. dirname: the store (default: $PASSWORD_STORE_DIR, else `~/.password-store`).
    """

    name = "SecretInPass"

    def __init__(self, gpgPassphrase: str | None = None, dirname: str | None = None) -> None:
        self._passphrase = gpgPassphrase
        default = os.environ.get("PASSWORD_STORE_DIR") or Path.home() / ".password-store"
        self._store = Path(dirname or default).absolute()
        if gpgPassphrase is not None and (not is_text(gpgPassphrase) or "\n" in gpgPassphrase):
            error("SecretInPass(): gpgPassphrase must be a string of one line")
        if shutil.which("pass") is None:
            error("SecretInPass() needs the program pass", "install it, and see that the master's PATH has it")
        if not self._store.is_dir():
            error(f"SecretInPass(): there is no password store {self._store}", "make it with `pass init KEY`")

    async def get(self, entry: str) -> str | None:
        path = self._store / f"{entry}.gpg"
        if not entry or entry.startswith(("-", "/")) or "\0" in entry or ".." in entry.split("/"):
            return None
        if not path.is_file():
            return None
        program = shutil.which("pass")
        if program is None:
            raise ProviderFailed("does not find the program pass in the master's PATH")
        process = _Pass(self._passphrase)
        children: dict[int, Any] = {0: "w", 1: "r", 2: "r"}
        if self._passphrase is not None:
            children[_PASSPHRASE_FD] = "w"
        words = [program, "show", entry]
        self.reactor.spawnProcess(process, program, words, env=self._environment(), childFDs=children)
        code = await process.ended
        if code != 0:
            raise ProviderFailed(f"could not decrypt it: pass ended with {code}{process.last_words()}")
        lines = bytes(process.out).decode("utf-8", "replace").splitlines()
        return lines[0] if lines else ""

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ) | {"PASSWORD_STORE_DIR": str(self._store)}
        if self._passphrase is not None:
            options = f"--batch --pinentry-mode loopback --passphrase-fd {_PASSPHRASE_FD}"
            environment["PASSWORD_STORE_GPG_OPTS"] = options
        return environment


class _Pass(ProcessProtocol):
    """One process; `ended` fires with its exit code, and cancelling it kills the process."""

    def __init__(self, passphrase: str | None) -> None:
        self.out = bytearray()
        self.ended: Deferred[int | None] = Deferred(lambda _: self._kill())
        self._errors = bytearray()
        self._passphrase = passphrase

    def last_words(self) -> str:
        """The end of what gpg says of its failure. The value is never among it: it goes to standard output."""
        text = " ".join(bytes(self._errors).decode("utf-8", "replace").split())
        return f": {text[-_LAST_WORDS:]}" if text else ""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.closeStdin()
        if self._passphrase is not None:
            transport.writeToChild(_PASSPHRASE_FD, self._passphrase.encode() + b"\n")
            transport.closeChildFD(_PASSPHRASE_FD)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        kept, most = (self.out, _MOST_OUTPUT) if childFD == 1 else (self._errors, 10 * _LAST_WORDS)
        kept += data[: most - len(kept)]

    def childConnectionLost(self, childFD: int) -> None:
        """gpg need not have read its passphrase."""

    def processEnded(self, reason: Failure) -> None:
        if not self.ended.called:
            self.ended.callback(getattr(reason.value, "exitCode", None))

    def _kill(self) -> None:
        transport: Any = self.transport
        with suppress(ProcessExitedAlready):
            transport.signalProcess("KILL")
        transport.loseConnection()
