"""`buildbot try`: have something built that is not committed yet.

`main` does it for a reactor, `run` for the command line: options in, exit code out. The difference from a revision
that the master can check out is told by `tryvc`; the job goes out by `trypb`, or by ssh to `buildbot tryserver`.
"""

from __future__ import annotations

import getpass
import re
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from twisted.internet.defer import ensureDeferred

from buildbot.clients.trypb import Master, NotDone, builder_names, send
from buildbot.clients.tryvc import TAKERS, Asked, CannotTell, Taken
from buildbot.process.outside import BadInput
from buildbot.schedulers.tryjob import MOST_LEVELS, TryJob, encoded, job_from

WELL, FAILED, WRONG_USE = 0, 1, 2
SSH_SECONDS = 120
_NOT_SHOWN = re.compile(rb"^(?:Binary files .* differ|Cannot display: file marked as a binary type)", re.MULTILINE)


class WrongOptions(Exception):
    """The options make no sense; the text says which and why."""


def master_of(options: Mapping[str, Any], ask_password: Callable[[str], str]) -> Master:
    """Where to log in. Raises WrongOptions."""
    where, user = str(options.get("master") or ""), options.get("username")
    host, _, port = where.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise WrongOptions(f"--master must be HOST:PORT of the master's Try_Userpass, not {where!r}")
    if not user:
        raise WrongOptions("--username is missing: one of the userpass= of the master's Try_Userpass")
    password = options.get("passwd")
    if password is None:
        password = ask_password(f"Password of {user!r}: ")
    return Master(host.removeprefix("[").removesuffix("]"), int(port), str(user), str(password))


def job_of(options: Mapping[str, Any], here: Path, stdin: IO[bytes]) -> tuple[TryJob, str]:
    """The job that the options describe, and what the user should know. Raises WrongOptions and CannotTell."""
    taken = _given(options, stdin) if options.get("diff") else _found(options, here)
    described = {
        "jobid": f"{time.strftime('%Y%m%d-%H%M%S')}-{getpass.getuser()}-{secrets.token_hex(4)}",
        "branch": taken.branch,
        "baserev": taken.revision,
        "patch_level": taken.level,
        "patch_body": taken.patch,
        "repository": options.get("repository"),
        "project": options.get("project"),
        "who": options.get("who"),
        "comment": options.get("comment"),
        "builderNames": options.get("builders") or (),
        "properties": _properties(options),
    }
    try:
        job = job_from(described)
    except BadInput as problem:
        raise CannotTell(str(problem)) from None
    same = "" if taken.patch else "nothing differs: the revision is built as it is"
    notes = [taken.note, _left_out(taken.patch), same]
    return job, "; ".join(note for note in notes if note)


def _left_out(patch: bytes) -> str:
    """What the user should know of files that the version control system names in its diff without their content."""
    count = len(_NOT_SHOWN.findall(patch))
    files = "1 binary file is" if count == 1 else f"{count} binary files are"
    return f"{files} not in the patch: the builds take what the server has" if count else ""


def _given(options: Mapping[str, Any], stdin: IO[bytes]) -> Taken:
    path = str(options["diff"])
    try:
        patch = stdin.read() if path == "-" else Path(path).read_bytes()
    except OSError as problem:
        raise WrongOptions(f"--diff: {problem}") from None
    level = options.get("patchlevel")
    if level is None:
        level = 0
    if not 0 <= int(level) <= MOST_LEVELS:
        raise WrongOptions(f"--patchlevel is a number from 0 to {MOST_LEVELS}, not {level}")
    return Taken(options.get("branch"), options.get("baserev"), int(level), patch)


def _found(options: Mapping[str, Any], here: Path) -> Taken:
    vc = options.get("vc")
    if not vc:
        raise WrongOptions(f"--vc is missing: one of {', '.join(sorted(TAKERS))}; or give the patch with --diff")
    if vc not in TAKERS:
        raise WrongOptions(f"--vc is one of {', '.join(sorted(TAKERS))}, not {vc!r}")
    asked = Asked(*(options.get(name) for name in Asked._fields))
    return TAKERS[vc](here, asked)


def _properties(options: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    pairs = [pair for text in options.get("properties") or () for pair in str(text).split(",") if pair]
    for pair in [*pairs, *map(str, options.get("property") or ())]:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise WrongOptions(f"a property is NAME=VALUE, not {pair!r}")
        found[name] = value
    return found


def describe(job: TryJob) -> str:
    """What --dryrun shows."""
    facts = {
        "job": job.jobid,
        "branch": job.branch or "the default one",
        "revision": (job.revision or "the newest").strip().partition("\n")[0],
        "repository": job.repository,
        "project": job.project,
        "who": job.who,
        "comment": job.comment,
        "builders": ", ".join(job.builder_names) or "all of the scheduler's",
        "properties": ", ".join(f"{name}={value}" for name, value in job.properties.items()),
        "patch": f"level {job.patch_level}, {len(job.patch)} bytes",
    }
    lines = [f"{name}: {value}\n" for name, value in facts.items() if value]
    return "".join(lines) + "\n" + job.patch.decode("utf-8", "replace")


# -- by ssh


def ssh_words(options: Mapping[str, Any]) -> list[str]:
    """The command that takes the job on its standard input. Raises WrongOptions."""
    host, jobdir = options.get("host"), options.get("jobdir")
    if not host or str(host).startswith("-"):
        raise WrongOptions("--host is missing: the master's machine, for ssh")
    if not jobdir:
        raise WrongOptions("--jobdir is missing: the directory of the master's Try_Jobdir, on its own machine")
    words = shlex.split(str(options.get("ssh") or "ssh"))
    if options.get("port"):
        words += ["-p", str(options["port"])]
    if options.get("username"):
        words += ["-l", str(options["username"])]
    remote = [str(options.get("buildbotbin") or "buildbot"), "tryserver", "--jobdir", str(jobdir)]
    return [*words, str(host), shlex.join(remote)]


def send_by_ssh(words: list[str], job: TryJob) -> None:
    """Raises NotDone."""
    try:
        done = subprocess.run(words, input=encoded(job), capture_output=True, check=False, timeout=SSH_SECONDS)
    except subprocess.TimeoutExpired:
        raise NotDone(f"{words[0]} did not end within {SSH_SECONDS} s; the job may be there or not") from None
    except OSError as problem:
        raise NotDone(f"{words[0]} cannot be run: {problem}") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise NotDone(f"{words[0]} ended with {done.returncode}: {said}")


# -- the command


async def main(
    reactor: Any,
    options: Mapping[str, Any],
    *,
    here: Path,
    stdin: IO[bytes],
    out: IO[str],
    err: IO[str],
    ask_password: Callable[[str], str] = getpass.getpass,
) -> int:
    """Do what the options say. The exit code: 0 delivered (with `wait`: all succeeded), 1 not so, 2 wrong options."""

    def write(text: str) -> None:
        print(text, file=out, flush=True)

    try:
        return await _do(reactor, options, here, stdin, write, lambda text: print(text, file=err), ask_password)
    except WrongOptions as problem:
        print(f"buildbot try: {problem}", file=err)
        return WRONG_USE
    except (CannotTell, NotDone) as problem:
        print(f"buildbot try: {problem}", file=err)
        return FAILED


async def _do(
    reactor: Any,
    options: Mapping[str, Any],
    here: Path,
    stdin: IO[bytes],
    write: Callable[[str], object],
    warn: Callable[[str], object],
    ask_password: Callable[[str], str],
) -> int:
    way, wait = options.get("connect"), bool(options.get("wait"))
    if way not in ("ssh", "pb"):
        raise WrongOptions(f"--connect must be ssh or pb, not {way!r}" if way else "--connect is missing: ssh or pb")
    if options.get("get_builder_names"):
        if way != "pb":
            raise WrongOptions("--get-builder-names needs --connect=pb")
        write("The following builders can be tried:")
        for name in await builder_names(reactor, master_of(options, ask_password)):
            write(name)
        return WELL
    job, note = job_of(options, here, stdin)
    if note:
        warn(f"note: {note}")
    if options.get("dryrun"):
        write(describe(job))
        return WELL
    if way == "pb":
        master = master_of(options, ask_password)
        well = await send(reactor, master, job, write, wait=wait, quiet=bool(options.get("quiet")))
        return WELL if well else FAILED
    send_by_ssh(ssh_words(options), job)
    write("job has been delivered")
    if wait:
        warn("note: waiting for the result needs --connect=pb")
    return WELL


def run(options: Mapping[str, Any], reactor: Any) -> int:
    """The command line's entry: run the reactor until it is done; the exit code."""
    codes: list[int] = []

    async def do() -> None:
        try:
            code = main(
                reactor, options, here=Path.cwd(), stdin=sys.stdin.buffer, out=sys.stdout, err=sys.stderr
            )
            codes.append(await code)
        except Exception as problem:
            print(f"buildbot try: {type(problem).__name__}: {problem}", file=sys.stderr)
        finally:
            if reactor.running:
                reactor.stop()

    reactor.callWhenRunning(lambda: ensureDeferred(do()))
    reactor.run()
    return codes[0] if codes else FAILED
