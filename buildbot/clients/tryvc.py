"""What a working copy differs by from a revision that the master can check out, for every version control system.

Each function gets the directory where the user stands, what the user said, and `run`, which runs a program. Nothing is
changed in the working copy. Files that are not under version control are in no patch.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

HIGHEST_TOP = 20  # levels that --topfile is looked for

_ENV = {"LC_MESSAGES": "C", "LANGUAGE": "C", "HGPLAIN": "1", "GIT_OPTIONAL_LOCKS": "0", "BRZ_PDB": ""}
_UNSET = ("LC_ALL", "P4DIFF", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "BZR_PDB", "BRZ_PDB")


class CannotTell(Exception):
    """The difference cannot be told; the text says why and what to do."""


class Asked(NamedTuple):
    """What the user said on the command line. None: find it out."""

    branch: str | None = None
    baserev: str | None = None
    topdir: str | None = None
    topfile: str | None = None


class Taken(NamedTuple):
    """A source: this revision of this branch, and the patch over it."""

    branch: str | None
    revision: str | None
    level: int
    patch: bytes
    note: str = ""  # what the user should know


class Run(Protocol):
    def __call__(self, cwd: Path, *argv: str, codes: Sequence[int] = (0,)) -> bytes:
        """Run a program to its end; its output. Raises CannotTell when it ends with another code than these."""


def run(cwd: Path, *argv: str, codes: Sequence[int] = (0,)) -> bytes:
    """See `Run`."""
    env = {name: value for name, value in os.environ.items() if name not in _UNSET} | {"LC_CTYPE": "C.UTF-8"}
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=env | {name: value for name, value in _ENV.items() if value},
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
    except OSError as problem:
        raise CannotTell(f"{argv[0]} cannot be run: {problem}") from None
    if done.returncode not in codes:
        said = done.stderr.decode("utf-8", "replace").strip() or f"it ended with {done.returncode}"
        raise CannotTell(f"{shlex.join(argv[:4])} failed: {said}")
    return done.stdout


def _line(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape").strip()


def top_of(here: Path, asked: Asked) -> Path | None:
    """The top of the working copy as the user said it; None when nothing was said."""
    if asked.topdir:
        return here / asked.topdir
    if not asked.topfile:
        return None
    for directory in [here, *here.parents][: HIGHEST_TOP + 1]:
        if (directory / asked.topfile).exists():
            return directory
    raise CannotTell(f"there is no {asked.topfile!r} in {here} or the {HIGHEST_TOP} directories above it")


# -- git


def git(here: Path, asked: Asked, run: Run = run) -> Taken:
    top = Path(_line(run(here, "git", "rev-parse", "--show-toplevel")))
    branch, base, note = _git_base(top, asked, run)
    patch = run(
        top, "git", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--binary", "--full-index",
        "--src-prefix=a/", "--dst-prefix=b/", base, "--",
    )  # fmt: skip
    return Taken(branch, base, 1, patch, note)


def _git_base(top: Path, asked: Asked, run: Run) -> tuple[str | None, str, str]:
    """(branch, the commit that the server has, what to tell the user)."""

    def ask(*words: str) -> str:
        """The answer; empty when there is none."""
        return _line(run(top, "git", *words, codes=range(256)))

    def commit(name: str) -> str:
        return ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")

    here = ask("symbolic-ref", "--quiet", "--short", "HEAD")
    remote, merge = ask("config", f"branch.{here}.remote"), ask("config", f"branch.{here}.merge")
    upstream = merge.removeprefix("refs/heads/") if here and remote not in ("", ".") else ""
    branch = asked.branch or upstream or here or None
    if asked.baserev:
        base = commit(asked.baserev)
        if not base:
            raise CannotTell(f"git knows no commit {asked.baserev!r}")
        return branch, base, ""
    if not commit("HEAD"):
        raise CannotTell("nothing is committed here, so there is no revision to begin with")
    tracking = ask("rev-parse", "--symbolic-full-name", "--verify", "--quiet", "@{upstream}") if upstream else ""
    if asked.branch and asked.branch != upstream:
        pattern = f"refs/remotes/*/{asked.branch}"
        found = ask("for-each-ref", "--format=%(refname)", pattern).split()
    else:
        found = [tracking] if tracking else ask("for-each-ref", "--format=%(refname)", "refs/remotes").split()
    base = ask("merge-base", "HEAD", *found) if found else ""
    if base:
        return branch, base, ""
    return branch, commit("HEAD"), (
        "no remote branch has anything of this one: the last commit is the base, and the server must have it"
    )


# -- the others


def hg(here: Path, asked: Asked, run: Run = run) -> Taken:
    top = Path(_line(run(here, "hg", "root")))
    branch = asked.branch or _line(run(top, "hg", "branch"))
    wanted = asked.baserev or "last(ancestors(.) and public())"
    base = _line(run(top, "hg", "log", "--rev", wanted, "--template", "{node}"))
    note = ""
    if not base:
        base = _line(run(top, "hg", "log", "--rev", ".", "--template", "{node}"))
        note = "nothing here was ever pushed or pulled: the last commit is the base, and the server must have it"
    return Taken(branch, base, 1, run(top, "hg", "diff", "--git", "--rev", base), note)


def svn(here: Path, asked: Asked, run: Run = run) -> Taken:
    top = top_of(here, asked) or Path(_line(run(here, "svn", "info", "--show-item", "wc-root", ".")))
    base = asked.baserev
    if base is None:
        version = _line(run(top, "svnversion", "-n", "."))
        numbers = re.findall(r"\d+", version)
        if not numbers:
            raise CannotTell(f"{top} is no working copy of Subversion: svnversion says {version!r}")
        base = numbers[-1]
    diff = run(top, "svn", "diff", "--internal-diff", "--patch-compatible", "-r", base, ".")
    return Taken(asked.branch, base, 0, diff)


def cvs(here: Path, asked: Asked, run: Run = run) -> Taken:
    top = top_of(here, asked)
    if top is None:
        top = here
        while (top.parent / "CVS").is_dir():
            top = top.parent
    if not (top / "CVS").is_dir():
        raise CannotTell(f"{top} is no working copy of CVS")
    branch, tag = asked.branch, top / "CVS" / "Tag"
    if branch is None and tag.is_file() and tag.read_text()[:1] == "T":
        branch = tag.read_text()[1:].strip()
    base = asked.baserev or time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime())
    return Taken(branch, base, 0, run(top, "cvs", "-q", "-f", "diff", "-u", "-N", codes=(0, 1)))


def bzr(here: Path, asked: Asked, run: Run = run) -> Taken:
    top = Path(_line(run(here, "bzr", "root")))
    base = asked.baserev
    if base is None:
        try:
            told = run(top, "bzr", "revision-info", "-r", "ancestor::parent")
        except CannotTell:  # it has no parent, or none that answers
            told = run(top, "bzr", "revision-info", "--tree")
        base = _line(told).split()[0]
    diff = run(top, "bzr", "diff", "--prefix=old/:new/", "-r", base, codes=(0, 1, 2))
    return Taken(asked.branch, base, 1, diff)


def darcs(here: Path, asked: Asked, run: Run = run) -> Taken:
    top = next((each for each in (here, *here.parents) if (each / "_darcs").is_dir()), None)
    if top is None:
        raise CannotTell(f"{here} is no working copy of Darcs")
    base = asked.baserev or run(top, "darcs", "log", "--context").decode("utf-8", "surrogateescape")
    return Taken(asked.branch, base, 1, run(top, "darcs", "diff", "-u", "--no-pause-for-gui"))


def mtn(here: Path, asked: Asked, run: Run = run) -> Taken:
    top = next((each for each in (here, *here.parents) if (each / "_MTN").is_dir()), None)
    if top is None:
        raise CannotTell(f"{here} is no working copy of Monotone")
    base = asked.baserev or _line(run(top, "mtn", "automate", "get_base_revision_id"))
    return Taken(asked.branch, base, 0, run(top, "mtn", "diff", "-r", base))


def repo(here: Path, asked: Asked, run: Run = run) -> Taken:
    top = next((each for each in (here, *here.parents) if (each / ".repo").is_dir()), None)
    if top is None:
        raise CannotTell(f"{here} is no working copy of repo: no directory above it has .repo")
    return Taken(asked.branch, asked.baserev, 1, run(top, "repo", "--color=never", "diff", "-u"))


# -- Perforce, which has no diff that `patch` understands


def p4(here: Path, asked: Asked, run: Run = run) -> Taken:
    top = top_of(here, asked) or here
    depot = asked.branch
    if depot is None:
        where = _line(run(top, "p4", "where", "./..."))
        depot = where.partition("/...")[0]
    depot = depot.rstrip("/")
    if not depot.startswith("//"):
        raise CannotTell(f"--branch is needed: where the top of the tree is in the depot, not {depot!r}")
    base = asked.baserev
    if base is None:
        told = _line(run(top, "p4", "changes", "-m1", "./...#have"))
        number = re.match(r"Change (\d+) ", told)
        if number is None:
            raise CannotTell(f"p4 does not tell which change {top} is at: {told!r}")
        base = number[1]
    patch = _relative(run(top, "p4", "diff", "-du", f"./...@{base}"), depot)
    for line in run(top, "p4", "opened", "./...").splitlines():
        patch += _whole_file(top, line, depot, run)
    return Taken(depot, base, 0, patch)


_P4_FILE = re.compile(rb"==== (//[^#]+)#\d+ - (.*?)(?: ====)?$")
_P4_OPENED = re.compile(rb"(//[^#]+)#\d+ - ([\w/]+) ")


def _below(path: bytes, depot: str) -> bytes:
    start = depot.encode() + b"/"
    if not path.startswith(start):
        raise CannotTell(f"{path.decode('utf-8', 'replace')} is not below {depot}: compare --branch")
    return path[len(start) :]


def _relative(diff: bytes, depot: str) -> bytes:
    """The diff with paths of its files as they are below `depot`."""
    lines: list[bytes] = []
    for line in diff.splitlines(keepends=True):
        header = _P4_FILE.match(line.rstrip(b"\r\n"))
        if header is not None:
            name = _below(header[1], depot)
            lines += [b"Index: %s\n" % name, b"--- %s\t(depot)\n" % name, b"+++ %s\t(working copy)\n" % name]
            hunks = False
        elif lines and (hunks or not line.startswith((b"--- ", b"+++ "))):
            hunks = True
            lines.append(line)
    return b"".join(lines)


def _whole_file(top: Path, opened: bytes, depot: str, run: Run) -> bytes:
    """The diff of a file that is added or deleted, which `p4 diff` leaves out."""
    found = _P4_OPENED.match(opened)
    if found is None or not found[2].endswith((b"add", b"branch", b"delete")):
        return b""
    name, path = _below(found[1], depot), found[1].decode("utf-8", "surrogateescape")
    if found[2].endswith(b"delete"):
        content = run(top, "p4", "print", "-q", f"{path}#have")
        return _diff(content.splitlines(keepends=True), [], name, b"/dev/null", name)
    content = (top / os.fsdecode(name)).read_bytes()
    return _diff([], content.splitlines(keepends=True), b"/dev/null", name, name)


def _diff(old: list[bytes], new: list[bytes], old_name: bytes, new_name: bytes, name: bytes) -> bytes:
    lines = [b"Index: %s\n" % name]
    for line in difflib.diff_bytes(difflib.unified_diff, old, new, old_name, new_name, b"(depot)", b"(working copy)"):
        lines.append(line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n")
    return b"".join(lines)


TAKERS: Mapping[str, Callable[[Path, Asked], Taken]] = {
    "bzr": bzr,
    "cvs": cvs,
    "darcs": darcs,
    "git": git,
    "hg": hg,
    "mtn": mtn,
    "monotone": mtn,
    "p4": p4,
    "repo": repo,
    "svn": svn,
}
