"""Questions to a remote git repository, and to the bare copy of it that a poller keeps.

Refs are bytes, because nothing says that they are text; commits are their hexadecimal names. Paths are read with `-z`,
so no name needs quoting.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from buildbot.changes.git import Git, GitFailed
from buildbot.process.outside import decoded_keeping_all

ASK_SECONDS = 120.0
MAX_FILES = 10_000
_REFS_A_FETCH = 100
_KEPT = "refs/kept/"  # one for each ref that is watched, named by a hash, so that `a` and `a/b` can follow each other
_OTHERS = "refs/others/"
_SETTINGS = ("-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false", "-c", "log.showSignature=false")
_FIELDS = "%H%x00%aN <%aE>%x00%cN <%cE>%x00%ct%x00%B"


class RemoteRefs(NamedTuple):
    """What a remote repository offers: commits by ref, and which ref its HEAD is (None: it does not say)."""

    commits: dict[bytes, str]
    head: bytes | None


class Commit(NamedTuple):
    """One commit. `files` holds at most MAX_FILES paths."""

    sha: str
    author: str
    committer: str
    committed_at: float
    comments: str
    files: tuple[str, ...]


async def remote_refs(git: Git, url: str, patterns: Iterable[str], *, seconds: float = ASK_SECONDS) -> RemoteRefs:
    """The refs of the repository at `url` that match (none given: all). An annotated tag stands for its commit."""
    printed = await git.run("ls-remote", "--symref", "--", url, *patterns, seconds=min(seconds, ASK_SECONDS))
    commits: dict[bytes, str] = {}
    head = None
    for line in printed.splitlines():
        value, _, ref = line.partition(b"\t")
        if value.startswith(b"ref: "):
            if ref == b"HEAD":
                head = value.removeprefix(b"ref: ")
        elif ref.endswith(b"^{}"):
            commits[ref.removesuffix(b"^{}")] = value.decode("ascii")
        elif ref.startswith(b"refs/"):
            commits[ref] = value.decode("ascii")
    return RemoteRefs(commits, head)


class GitRepository:
    """A bare copy in the directory `path` of the repository at `url`.

    encoding: of names, paths and comments. seconds: how long a fetch may take.
    """

    def __init__(self, git: Git, path: Path, url: str, *, encoding: str, seconds: float) -> None:
        self._git = git
        self._path = path
        self._url = url
        self._encoding = codecs.lookup(encoding).name
        self._seconds = seconds

    async def _run(self, command: str, *words: str | bytes, stdin: bytes = b"", seconds: float = ASK_SECONDS) -> bytes:
        options = ("-C", str(self._path), *_SETTINGS)
        seconds = min(seconds, self._seconds)
        return await self._git.run(command, *words, options=options, stdin=stdin, seconds=seconds)

    async def make(self) -> None:
        """Make the copy when it is not there; remove the locks that a git of ours left when it was killed."""
        if not (self._path / "HEAD").exists():
            self._path.mkdir(parents=True, exist_ok=True)
            await self._run("init", "--quiet", "--bare")
        for lock in (*self._path.glob("*.lock"), *(self._path / "refs").rglob("*.lock")):
            lock.unlink(missing_ok=True)  # only this poller uses the copy, and it runs one git at a time

    async def fetch(self, refs: Iterable[bytes]) -> None:
        """Bring the commits of these refs."""
        await self.make()
        wanted = [b"+" + ref + b":" + _kept(ref) for ref in refs]
        for start in range(0, len(wanted), _REFS_A_FETCH):
            await self._fetch(*wanted[start : start + _REFS_A_FETCH])

    async def fetch_all_branches(self) -> dict[bytes, str]:
        """Bring the commits of every branch, watched or not; the commits by ref."""
        await self.make()
        await self._fetch("--prune", refspecs=[f"+refs/heads/*:{_OTHERS}*".encode()])
        printed = await self._run("for-each-ref", "--format=%(objectname) %(refname)", _OTHERS)
        pairs = (line.partition(b" ") for line in printed.splitlines())
        return {ref.replace(_OTHERS.encode(), b"refs/heads/", 1): sha.decode("ascii") for sha, _, ref in pairs}

    async def _fetch(self, *words: str | bytes, refspecs: Iterable[bytes] = ()) -> None:
        options = [word for word in words if isinstance(word, str)]
        specs = [word for word in words if isinstance(word, bytes)] + list(refspecs)
        await self._run(
            "fetch", "--quiet", "--no-tags", "--force", "--no-recurse-submodules", *options, "--", self._url, *specs,
            seconds=self._seconds,
        )  # fmt: skip

    async def forget(self, refs: Iterable[bytes]) -> None:
        """These refs are not there any more."""
        if (self._path / "HEAD").exists():
            commands = b"".join(b"delete " + _kept(ref) + b"\n" for ref in refs)
            await self._run("update-ref", "--stdin", stdin=commands)

    async def existing(self, commits: Iterable[str]) -> set[str]:
        """Those of the commits that the copy has."""
        asked = "".join(f"{sha}^{{commit}}\n" for sha in commits).encode()
        if not asked:
            return set()
        printed = await self._run("cat-file", "--batch-check", stdin=asked)
        return {words[0].decode() for words in map(bytes.split, printed.splitlines()) if words[1:2] == [b"commit"]}

    async def has_object(self, sha: str) -> bool:
        """Whether the copy has this object, commit or not."""
        printed = await self._run("cat-file", "--batch-check", stdin=f"{sha}\n".encode())
        return not printed.rstrip().endswith(b" missing")

    async def ancestry(self, tip: str, without: Iterable[str]) -> tuple[list[str], bool]:
        """Commits reachable from `tip` and not from `without`, parents first; and whether one of them has no parent."""
        asked = "".join([f"{tip}\n", *(f"^{sha}\n" for sha in without)]).encode()
        printed = await self._run("rev-list", "--topo-order", "--reverse", "--parents", "--stdin", stdin=asked)
        lines = [line.split() for line in printed.splitlines()]
        return [words[0].decode() for words in lines], any(len(words) == 1 for words in lines)

    async def commits(self, shas: list[str]) -> list[Commit]:
        """What is known of these commits, in this order."""
        asked = "".join(f"{sha}\n" for sha in shas).encode()
        printed = await self._run(
            "log", "--no-walk=unsorted", "--stdin", "-z", f"--encoding={self._encoding}", f"--format=tformat:{_FIELDS}",
            stdin=asked,
        )  # fmt: skip
        changed = await self._run(
            "diff-tree", "--stdin", "-r", "--root", "-m", "-z", "--name-status", "--no-renames", stdin=asked
        )
        files = _files(changed)
        found = {}
        fields = printed.split(b"\0")
        for at in range(0, len(fields) - 4, 5):
            sha, author, committer, stamp, comments = fields[at : at + 5]
            found[sha.decode()] = Commit(
                sha=sha.decode(),
                author=self._text(author),
                committer=self._text(committer),
                committed_at=float(stamp or 0),
                comments=self._text(comments).rstrip("\n"),
                files=tuple(map(self._text, files.get(sha, ()))),
            )
        try:
            return [found[sha] for sha in shas]
        except KeyError as missing:
            raise GitFailed(f"git log said nothing of the commit {missing}") from None

    def _text(self, data: bytes) -> str:
        return decoded_keeping_all(data, self._encoding)


def _kept(ref: bytes) -> bytes:
    return f"{_KEPT}{hashlib.sha1(ref, usedforsecurity=False).hexdigest()}".encode()


def _files(printed: bytes) -> Mapping[bytes, list[bytes]]:
    """The paths of each commit, from `diff-tree -z --name-status`: SHA, then STATUS, PATH, STATUS, PATH ..., and so on.

    A merge comes once for each parent; the first counts.
    """
    files: dict[bytes, list[bytes]] = {}
    paths: list[bytes] = []
    fields = iter(printed.split(b"\0"))
    for field in fields:
        if len(field) >= 40:
            paths = []
            files.setdefault(field, paths)
        elif field:
            path = next(fields, b"")
            if len(paths) < MAX_FILES:
                paths.append(path)
    return files
