"""`buildbot sendchange`: tell a master of a change, over Perspective Broker.

`send_change` does it for programs, `run` for the command line: options in, exit code out. Works with the
PBChangeSource of every Buildbot, so only keys that all of them know are sent unless asked for.
"""

from __future__ import annotations

import codecs
import getpass
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.spread import pb

DEADLINE_SECONDS = 60.0
DEFAULT_AUTH = "change:changepw"
LONGEST_STRING = 640 * 1024  # Perspective Broker cannot send more in one
VERSION_CONTROLS = ("cvs", "svn", "darcs", "hg", "bzr", "git", "mtn", "p4")
_UNAUTHORIZED = "twisted.cred.error.UnauthorizedLogin"

SENT, FAILED, WRONG_USE = 0, 1, 2


class WrongOptions(Exception):
    """The options make no sense; the text says which and why."""


class NotSent(Exception):
    """The master did not take the change; the text says why and what to do."""


class Master(NamedTuple):
    """Where a PBChangeSource listens, and as whom to log in."""

    host: str
    port: int
    user: str
    password: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def master_at(where: str, auth: str) -> Master:
    """From `HOST:PORT` and `USER:PASSWORD`. Raises WrongOptions."""
    host, colon, port = where.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise WrongOptions(f"--master must be HOST:PORT, not {where!r}")
    user, colon, password = auth.partition(":")
    if not colon or not user:
        raise WrongOptions("--auth must be USER:PASSWORD")
    return Master(host.removeprefix("[").removesuffix("]"), int(port), user, password)


async def send_change(
    reactor: Any, master: Master, change: Mapping[str, Any], *, deadline: float = DEADLINE_SECONDS
) -> None:
    """Log in, send the change and wait until the master has stored it. Raises NotSent.

    The keys of `change` are those of `buildbot.changes.dialect`. Sending a change with a revision twice does no harm.
    """
    too_long = [key for key, value in change.items() if _bytes_of(value) > LONGEST_STRING]
    if too_long:
        raise NotSent(f"too long to be sent, {LONGEST_STRING} bytes are the most: {', '.join(too_long)}")
    factory = pb.PBClientFactory()
    sending: Deferred[None] = ensureDeferred(_send(reactor, factory, master, dict(change)))
    try:
        await sending.addTimeout(deadline, reactor)
    except TimeoutError:
        raise NotSent(
            f"{master} did not answer within {deadline:g} s; it may have the change or not: look, or send it again"
        ) from None
    finally:
        factory.disconnect()


async def _send(reactor: Any, factory: pb.PBClientFactory, master: Master, change: dict[str, Any]) -> None:
    try:
        broker: Any = await HostnameEndpoint(reactor, master.host, master.port).connect(factory)
    except Exception as problem:
        raise NotSent(f"cannot connect to {master}: {problem}") from None
    try:
        login = factory.login(UsernamePassword(master.user.encode(), master.password.encode()))
        broker.notifyOnDisconnect(login.cancel)  # Twisted's own client would wait for ever
        avatar = await login
        await avatar.callRemote("addChange", change)
    except UnauthorizedLogin:
        raise NotSent(_refused_login(master)) from None
    except pb.RemoteError as problem:
        if _type_of(problem) == _UNAUTHORIZED:
            raise NotSent(_refused_login(master)) from None
        raise NotSent(f"{master} did not take the change: {problem}") from None
    except CancelledError:
        if not broker.disconnected:
            raise
        raise NotSent(
            f"{master} closed the connection before the login: is its Perspective Broker port there?"
        ) from None
    except (pb.PBConnectionLost, pb.DeadReferenceError, ConnectionError) as problem:
        raise NotSent(f"the connection to {master} was lost; its log may say why: {problem}") from None


def _refused_login(master: Master) -> str:
    return (
        f"{master} refused the login of {master.user!r}: compare --auth with user= and passwd= of the PBChangeSource "
        "in its master.cfg"
    )


def _type_of(problem: pb.RemoteError) -> str:
    kind: object = problem.remoteType
    return kind.decode("utf-8", "replace") if isinstance(kind, bytes) else str(kind)


def _bytes_of(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace"))
    return len(value) if isinstance(value, bytes) else 0


def change_of(options: Mapping[str, Any], *, stdin: IO[str]) -> dict[str, Any]:
    """The change that the options of the command line describe. Raises WrongOptions.

    Options: who, repository, vc, project, branch, category, codebase, revision, revision_file, property or properties
    (a list of NAME:VALUE, or a dictionary), comments, logfile, when, revlink, encoding, files.
    """
    encoding = _encoding(options.get("encoding") or "utf-8")
    who = options.get("who") or options.get("username")
    if not who:
        raise WrongOptions("--who is missing: who made the change?")
    vc = options.get("vc")
    if vc and vc not in VERSION_CONTROLS:
        raise WrongOptions(f"--vc must be one of {', '.join(VERSION_CONTROLS)}, not {vc!r}")
    change = {
        "project": options.get("project") or "",
        "repository": options.get("repository") or "",
        "who": who,
        "files": list(options.get("files") or ()),
        "comments": _comments(options, stdin, encoding),
        "branch": options.get("branch") or None,
        "revision": _revision(options, encoding),
        "category": options.get("category") or None,
        "when": _when(options.get("when")),
        "properties": _properties(options),
        "revlink": options.get("revlink") or "",
        "src": vc or None,
    }
    if options.get("codebase") is not None:
        change["codebase"] = options["codebase"]
    return {key: _decoded(value, encoding) for key, value in change.items()}


def _decoded(value: Any, encoding: str) -> Any:
    """Text. Words that were not valid in the locale come as surrogates, and --encoding says what they are."""
    if isinstance(value, list):
        return [_decoded(item, encoding) for item in value]
    if isinstance(value, dict):
        return {_decoded(name, encoding): _decoded(item, encoding) for name, item in value.items()}
    if isinstance(value, bytes):
        return value.decode(encoding, "replace")
    if isinstance(value, str) and any("\udc80" <= character <= "\udcff" for character in value):
        return value.encode("utf-8", "surrogateescape").decode(encoding, "replace")
    return value


def _encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise WrongOptions(f"--encoding: there is no encoding {name!r}") from None


def _comments(options: Mapping[str, Any], stdin: IO[str], encoding: str) -> str:
    comments = options.get("comments")
    if comments:
        return str(comments)
    logfile = options.get("logfile")
    if not logfile:
        return ""
    return stdin.read() if logfile == "-" else _read("--logfile", logfile, encoding)


def _revision(options: Mapping[str, Any], encoding: str) -> str | None:
    path = options.get("revision_file")
    if path:
        return _read("--revision_file", path, encoding)
    revision = options.get("revision")
    return None if revision in (None, "") else str(revision)


def _read(option: str, path: str, encoding: str) -> str:
    try:
        return Path(path).read_bytes().decode(encoding, "replace")
    except OSError as problem:
        raise WrongOptions(f"{option}: {problem}") from None


def _when(value: Any) -> float | None:
    if value in (None, ""):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise WrongOptions(f"--when must be a time in seconds since 1970, not {value!r}")
    return seconds


def _properties(options: Mapping[str, Any]) -> dict[str, str]:
    given = options.get("properties") or options.get("property") or {}
    if isinstance(given, Mapping):
        return {str(name): str(value) for name, value in given.items()}
    properties = {}
    for pair in [given] if isinstance(given, str) else given:
        name, colon, value = str(pair).partition(":")
        if not colon or not name:
            raise WrongOptions(f"--property must be NAME:VALUE, not {pair!r}")
        properties[name] = value
    return properties


async def main(
    reactor: Any,
    options: Mapping[str, Any],
    *,
    stdin: IO[str],
    out: IO[str],
    err: IO[str],
    ask_password: Callable[[str], str] = getpass.getpass,
) -> int:
    """Do what the options say and tell the user. The exit code: 0 stored, 1 not sent or refused, 2 wrong options."""
    try:
        where = options.get("master")
        if not where:
            raise WrongOptions("--master is missing: HOST:PORT of the master's PBChangeSource")
        auth = options.get("auth") or DEFAULT_AUTH
        if ":" not in auth:
            auth = f"{auth}:{ask_password(f'Password of {auth!r}: ')}"
        master = master_at(where, auth)
        change = change_of(options, stdin=stdin)
        await send_change(reactor, master, change, deadline=float(options.get("timeout") or DEADLINE_SECONDS))
    except WrongOptions as problem:
        print(f"buildbot sendchange: {problem}", file=err)
        return WRONG_USE
    except NotSent as problem:
        print(f"buildbot sendchange: change NOT sent: {problem}", file=err)
        return FAILED
    print("change sent successfully", file=out)
    return SENT


def run(options: Mapping[str, Any], reactor: Any) -> int:
    """The command line's entry: run the reactor until the change is sent or not; the exit code."""
    codes: list[int] = []

    async def do() -> None:
        try:
            codes.append(await main(reactor, options, stdin=sys.stdin, out=sys.stdout, err=sys.stderr))
        except Exception as problem:
            print(f"buildbot sendchange: {type(problem).__name__}: {problem}", file=sys.stderr)
        finally:
            reactor.stop()

    reactor.callWhenRunning(lambda: ensureDeferred(do()))
    reactor.run()
    return codes[0] if codes else FAILED
