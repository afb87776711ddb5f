"""Verifying passwords: the formats of an htpasswd file, and one of our own (scrypt).

Nothing here logs or returns a password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from twisted.logger import Logger

_SCRYPT_COST = 1 << 14
_SCRYPT_BLOCK = 8
_MOST_SCRYPT_MEMORY = 64 << 20

_ITOA64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class UnusablePassword(Exception):
    """The password file holds something that cannot be checked; the text says what to do."""


def make(password: str) -> str:
    """A line's second half for an htpasswd file, in our own format."""
    salt = secrets.token_bytes(16)
    return f"$scrypt${_SCRYPT_COST}${_SCRYPT_BLOCK}$1${_b64(salt)}${_b64(_scrypt(password, salt, _SCRYPT_COST, 8, 1))}"


def verify(password: str, stored: str) -> bool:
    """Whether the password is the one that was stored. Raises UnusablePassword for a format nobody can check."""
    if stored.startswith("{SHA}"):
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
        return _same("{SHA}" + base64.b64encode(digest).decode(), stored)
    if stored.startswith("$apr1$"):
        return _same(apr1(password, stored.split("$")[2]), stored)
    if stored.startswith(("$2y$", "$2a$", "$2b$")):
        return _verify_bcrypt(password, stored)
    if stored.startswith("$scrypt$"):
        return _verify_scrypt(password, stored)
    raise UnusablePassword(
        "a password is stored in a format that is not supported: make it again with `htpasswd -B` (bcrypt), "
        "`htpasswd -m` (MD5) or `htpasswd -s` (SHA)"
    )


def parse_htpasswd(text: str) -> dict[str, str]:
    """Name -> stored password."""
    users = {}
    for line in text.splitlines():
        name, colon, stored = line.strip().partition(":")
        if colon and name and not name.startswith("#"):
            users[name] = stored.split(":")[0]
    return users


class PasswordFile:
    """An htpasswd file, read again whenever it changes."""

    _log = Logger()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, int] | None = None
        self._users: Mapping[str, str] = {}

    def stored(self, name: str) -> str | None:
        """The stored password of a user. Raises UnusablePassword when the file cannot be read."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size)
            if seen != self._read:
                self._users = parse_htpasswd(self._path.read_text())
                self._read = seen
        except (OSError, UnicodeDecodeError) as error:
            self._log.error("the password file {path} cannot be read: {error}", path=str(self._path), error=error)
            said = "the password file cannot be read; the master's log says why"  # strangers need not see its path
            raise UnusablePassword(said) from None
        return self._users.get(name)


# what an unknown name is checked against, so that its answer takes as long as a known one's
NOBODY = f"$scrypt${_SCRYPT_COST}${_SCRYPT_BLOCK}$1$AAAAAAAAAAAAAAAAAAAAAA==${base64.b64encode(bytes(32)).decode()}"


def _same(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode(), b.encode())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block, p=parallel, dklen=32, maxmem=_MOST_SCRYPT_MEMORY
    )


def _verify_scrypt(password: str, stored: str) -> bool:
    try:
        _, _, cost, block, parallel, salt, key = stored.split("$")
        made = _scrypt(password, base64.b64decode(salt), int(cost), int(block), int(parallel))
        return hmac.compare_digest(made, base64.b64decode(key))
    except (ValueError, binascii.Error):
        raise UnusablePassword("a stored scrypt password is damaged: make it again") from None


def _verify_bcrypt(password: str, stored: str) -> bool:
    try:
        bcrypt: Any = import_module("bcrypt")
    except ImportError:
        raise UnusablePassword(
            "this password is stored with bcrypt: install the Python package `bcrypt` beside Buildbot, or make the "
            "password again with `htpasswd -m`"
        ) from None
    try:
        return bool(bcrypt.checkpw(password.encode()[:72], stored.encode()))
    except ValueError:
        raise UnusablePassword("a stored bcrypt password is damaged: make it again") from None


def apr1(password: str, salt: str) -> str:
    """Apache's variant of the MD5-based crypt: a thousand rounds, the salt cut to eight characters."""
    secret, grain = password.encode(), salt[:8].encode()
    inner = hashlib.md5(secret + grain + secret, usedforsecurity=False).digest()
    outer = secret + b"$apr1$" + grain
    outer += (inner * (len(secret) // 16 + 1))[: len(secret)]
    length = len(secret)
    while length:
        outer += b"\0" if length & 1 else secret[:1]
        length >>= 1
    digest = hashlib.md5(outer, usedforsecurity=False).digest()
    for turn in range(1000):
        text = secret if turn & 1 else digest
        text += grain if turn % 3 else b""
        text += secret if turn % 7 else b""
        text += digest if turn & 1 else secret
        digest = hashlib.md5(text, usedforsecurity=False).digest()
    return f"$apr1${salt[:8]}${_crypt64(digest)}"


def _crypt64(digest: bytes) -> str:
    """Crypt's own base 64 of an MD5 digest, in its own order of bytes."""
    text = ""
    for a, b, c in ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)):
        group = digest[a] << 16 | digest[b] << 8 | digest[c]
        text += "".join(_ITOA64[group >> shift & 0x3F] for shift in (0, 6, 12, 18))
    return text + _ITOA64[digest[11] & 0x3F] + _ITOA64[digest[11] >> 6]
