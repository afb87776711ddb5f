"""GitPoller: looks into a git repository every few minutes and brings the commits that are new.

What it has seen is in `store.sources` under its name, one entry a ref (`head REF` -> commit), and changes in the same
transaction as the changes it led to. So a crash at any instant loses nothing; what a crash makes it look at twice is
recognised by repository, branch and revision.

A poll asks the remote for its refs; only when one of them moved are commits fetched, and then

- of a ref that is known, the commits that its old head does not reach are new, whether it was pushed forward or forced;
- of a ref that is new, those which no known head reaches;
- a ref that is gone is forgotten, but what it reached stays known.

The first poll of all, and the first one after `branches` was changed, only remember where the refs are.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twisted.logger import Logger

from buildbot.changes.base import PollingChangeSource, SourceContext
from buildbot.changes.git import Git
from buildbot.changes.gitkeys import logged_in
from buildbot.changes.gitrepository import Commit, GitRepository, RemoteRefs, remote_refs
from buildbot.config.arguments import configurable
from buildbot.config.errors import error, warning
from buildbot.model import NewChange
from buildbot.process.credentials import without_password
from buildbot.process.gitlogin import Login
from buildbot.process.outside import clean, decoded_keeping_all
from buildbot.store import changes, sources
from buildbot.store.store import Store

HEAD_PREFIX = "head "  # + ref: the commit that was seen there
WATCHED_STATE = "watched"  # which refs were watched at the last poll; missing: there was none
PAST_STATE = "past heads"  # where refs were that are gone: what they reached is not new when it comes again
PAST_HEADS = 100
DEFAULT_DIRECTORY = "gitpoller-work"
CHANGES_A_TRANSACTION = 50

Branches = Sequence[str] | bool | Callable[[str], bool] | None
Category = str | Callable[[dict[str, Any]], str | None] | None


class _Moved(NamedTuple):
    """A ref that is not where it was seen last; `old` is None for a new one."""

    ref: bytes
    old: str | None
    new: str


@configurable
class GitPoller(PollingChangeSource):
    """Looks into a git repository for new commits.

    repourl: what `git fetch` takes. A password in it is used and shown nowhere.
    branches: a list of branch names, or True for all, or a function that is given each ref ('refs/heads/main') and says
        whether to watch it. branch: the one branch. Neither: 'master', or the repository's own default branch.
    workdir: directory below the master's where copies are kept; 'gitpoller-work' by default. Each poller makes its own.
    pollInterval (pollinterval): seconds between two polls, 600 by default.
    pollAtLaunch: poll as soon as the master runs. pollRandomDelayMin, pollRandomDelayMax: seconds of random delay.
    gitbin: the git program. timeout: seconds after which a git is killed, 3600 by default; questions get at most 120.
    usetimestamps: take the time of a change from its commit; False: the change has no time but that of its arrival.
    category: a string, or a function that is given the change as a dictionary. codebase, project: strings.
    encoding: of names, paths and comments, 'utf-8' by default; bytes that are wrong in it are read as Latin-1.
    name: unique among the change sources; repourl by default. Two pollers of one repository need names.
    buildPushesWithNoCommits: a new branch or a push without commits of its own is a change, too: that of its head.
    only_tags: watch tags instead of branches. A new tag always is a change.
    fetch_refspec: not needed any more.
    sshPrivateKey, sshHostKey, sshKnownHosts, auth_credentials, git_credentials: as of the Git step; may be secrets.
    """

    _log = Logger()

    def __init__(
        self,
        repourl: str,
        branches: Branches = None,
        branch: str | None = None,
        workdir: str | None = None,
        pollInterval: float = 10 * 60,
        gitbin: str = "git",
        usetimestamps: bool = True,
        category: Category = None,
        codebase: str | None = None,
        project: str | None = None,
        pollinterval: float | None = None,
        fetch_refspec: Any = None,
        encoding: str = "utf-8",
        name: str | None = None,
        pollAtLaunch: bool = False,
        buildPushesWithNoCommits: bool = False,
        only_tags: bool = False,
        sshPrivateKey: Any = None,
        sshHostKey: Any = None,
        sshKnownHosts: Any = None,
        pollRandomDelayMin: float = 0,
        pollRandomDelayMax: float = 0,
        auth_credentials: Any = None,
        git_credentials: Any = None,
        timeout: float = 3600,
    ) -> None:
        if pollinterval is not None and pollinterval != -2:  # -2 was its default when it meant "not given"
            pollInterval = pollinterval
        settings = {key: value for key, value in locals().items() if key not in ("self", "__class__", "pollinterval")}
        given: object = repourl
        if not given or not isinstance(given, str):
            error(f"GitPoller(): repourl must be a non-empty string, not {given!r}")
            repourl = "?"
        super().__init__(
            name=name if name is not None else without_password(repourl),
            settings=settings,
            pollInterval=pollInterval,
            pollAtLaunch=pollAtLaunch,
            pollRandomDelayMin=pollRandomDelayMin,
            pollRandomDelayMax=pollRandomDelayMax,
        )
        self.login = Login(sshPrivateKey, sshHostKey, sshKnownHosts, auth_credentials, git_credentials)
        self.login.check("GitPoller()")
        if fetch_refspec is not None:
            warning("GitPoller(): fetch_refspec is not needed any more", "say with branches= what to watch")
        _check_encoding(encoding)
        self.repourl = repourl
        self.repository = without_password(repourl)
        self.branches = _watched(branches, branch, only_tags)
        self.only_tags = only_tags
        self.workdir = workdir or DEFAULT_DIRECTORY
        self.gitbin = gitbin
        self.usetimestamps = usetimestamps
        self.category = category
        self.codebase = codebase or ""
        self.project = project or ""
        self.encoding = encoding
        self.buildPushesWithNoCommits = buildPushesWithNoCommits
        self.timeout = timeout
        self._git: Git | None = None
        self._missing: frozenset[str] = frozenset()

    def describe(self) -> str:
        what = "tags" if self.only_tags else _what(self.branches)
        return f"{what} of the git repository {self.repository}, every {self.pollInterval:g} s"

    async def start(self, context: SourceContext) -> None:
        self._git = Git(reactor=context.reactor, binary=self.gitbin, slots=context.git_slots, hide=self._hide)
        await super().start(context)

    def _hide(self, text: str) -> str:
        return text.replace(self.repourl, self.repository)

    # -- polling

    async def poll(self) -> None:
        assert self._git is not None, "it is started"
        directory = self._copies / f".{_directory(self.name, self.repourl)}.keys"
        secrets = self.context.secrets
        async with logged_in(
            self._git, self.login, url=self.repourl, directory=directory, secrets=secrets, owner=self.name
        ) as git:
            await self._poll(git)

    @property
    def _copies(self) -> Path:
        return self.context.basedir / self.workdir

    async def _poll(self, git: Git) -> None:
        offered = await remote_refs(git, self.repourl, self._patterns(), seconds=self.timeout)
        wanted = self._wanted(offered)
        store = self.context.store
        known: dict[str, str] = sources.states(store, self.name, HEAD_PREFIX)
        watched_before = sources.state(store, self.name, WATCHED_STATE)
        if watched_before != self._fingerprint():
            new = {ref: sha for ref, sha in wanted.items() if _key(ref) not in known}
            store.transact(self._remember, new)
            known |= {_key(ref): sha for ref, sha in new.items()}
        await self._follow(git, wanted, known, fetch_all=watched_before is None)

    async def _follow(self, git: Git, wanted: dict[bytes, str], known: dict[str, str], fetch_all: bool) -> None:
        """Bring what moved; `known` is where the refs were before."""
        moved = [_Moved(ref, known.get(_key(ref)), sha) for ref, sha in wanted.items() if known.get(_key(ref)) != sha]
        present = {_key(ref) for ref in wanted}
        gone = [key for key in known if key not in present]
        path = self._copies / _directory(self.name, self.repourl)
        repository = GitRepository(git, path, self.repourl, encoding=self.encoding, seconds=self.timeout)
        if moved or fetch_all:
            everything = fetch_all or any(item.old is None for item in moved)
            await repository.fetch(wanted if everything else [item.ref for item in moved])
        for item in sorted(moved, key=lambda item: item.old is None):
            if await self._bring(repository, item, known):
                known[_key(item.ref)] = item.new
        if gone:
            self._log.info("{source}: gone: {refs}", source=self.name, refs=", ".join(gone))
            self.context.store.transact(self._forget, {key: known[key] for key in gone})
            await repository.forget(key.encode("utf-8") for key in gone)

    def _patterns(self) -> list[str]:
        """What to ask `git ls-remote` for, so that it need not list what nobody watches."""
        if callable(self.branches):
            return []
        if self.only_tags:
            return ["refs/tags/*"]
        if self.branches is True or not self.branches:
            return ["HEAD", "refs/heads/*"]
        return ["HEAD", *map(_full_ref, self.branches)]

    def _wanted(self, offered: RemoteRefs) -> dict[bytes, str]:
        """The refs that are watched, with their commits."""
        commits = offered.commits
        watch = self.branches
        if self.only_tags:
            return {ref: sha for ref, sha in commits.items() if ref.startswith(b"refs/tags/")}
        if callable(watch):
            return {ref: sha for ref, sha in commits.items() if watch(decoded_keeping_all(ref, self.encoding))}
        if watch is True:
            return {ref: sha for ref, sha in commits.items() if ref.startswith(b"refs/heads/")}
        if not watch:
            default = b"refs/heads/master"
            refs = [default if default in commits or offered.head is None else offered.head]
        else:
            refs = [_full_ref(branch).encode("utf-8") for branch in watch]
        self._tell_missing(frozenset(_key(ref) for ref in refs if ref not in commits))
        return {ref: commits[ref] for ref in refs if ref in commits}

    def _tell_missing(self, missing: frozenset[str]) -> None:
        if missing - self._missing:
            self._log.warn(
                "{source}: {refs} is not in the repository; it is watched in case it comes",
                source=self.name,
                refs=", ".join(sorted(missing - self._missing)),
            )
        self._missing = missing

    def _fingerprint(self) -> Any:
        """What is watched, as far as it can be compared with the last time."""
        if self.only_tags:
            return "tags"
        if callable(self.branches):
            return "function"
        return self.branches if isinstance(self.branches, bool) else sorted(self.branches or [])

    # -- the commits of one ref

    async def _bring(self, repository: GitRepository, item: _Moved, known: dict[str, str]) -> bool:
        """Store the new commits of a ref as changes, and in the last transaction where the ref is now."""
        shas = await self._new_commits(repository, item, known)
        if shas is None:
            return False
        branch = clean(decoded_keeping_all(item.ref, self.encoding).removeprefix("refs/heads/"))
        if len(shas) > 1000:
            self._log.warn(
                "{source}: {count} new commits on {branch}", source=self.name, count=len(shas), branch=branch
            )
        for start in range(0, max(len(shas), 1), CHANGES_A_TRANSACTION):
            batch = shas[start : start + CHANGES_A_TRANSACTION]
            commits = await repository.commits(batch) if batch else []
            new = [self._change(commit, branch) for commit in commits]
            seen = {item.ref: item.new} if start + CHANGES_A_TRANSACTION >= len(shas) else {}
            self.context.store.transact_durable(self._store, new, seen)
        return True

    async def _new_commits(self, repository: GitRepository, item: _Moved, known: dict[str, str]) -> list[str] | None:
        """Parents first. None: look again at the next poll."""
        past: list[str] = sources.state(self.context.store, self.name, PAST_STATE, [])
        there = await repository.existing([item.new, *([item.old] if item.old else [*known.values(), *past])])
        if item.new not in there:
            return await self._without_commit(repository, item)
        if item.old in there:
            shas, _ = await repository.ancestry(item.new, [item.old] if item.old else [])
        elif item.old is not None:  # forced, and nobody has the old commits any more
            self._log.warn("{source}: the commit {old} is gone", source=self.name, old=item.old)
            return [item.new]
        else:
            shas = await self._commits_of_new_ref(repository, item, there - {item.new}, known)
        if not shas and (self.buildPushesWithNoCommits or self.only_tags):
            return [item.new]
        return shas

    async def _commits_of_new_ref(
        self, repository: GitRepository, item: _Moved, heads: set[str], known: dict[str, str]
    ) -> list[str]:
        if item.new in known.values():
            return []
        shas, has_root = await repository.ancestry(item.new, heads)
        if not has_root or self.only_tags:
            return shas
        # It shares no history with what is watched, and its whole past would be new: look at the other branches, too.
        others = await repository.fetch_all_branches()
        beside = {sha for ref, sha in others.items() if ref != item.ref and sha != item.new}
        if not beside - heads:
            return shas
        shas, _ = await repository.ancestry(item.new, heads | beside)
        return shas or [item.new]

    async def _without_commit(self, repository: GitRepository, item: _Moved) -> list[str] | None:
        """The ref is a tag of a tree or a file; or it was forced elsewhere after we had asked where it is."""
        return [] if await repository.has_object(item.new) else None

    def _change(self, commit: Commit, branch: str) -> NewChange:
        change = NewChange(
            author=commit.author,
            committer=commit.committer,
            comments=commit.comments,
            files=commit.files,
            committed_at=commit.committed_at if self.usetimestamps else None,
            repository=self.repository,
            project=self.project,
            codebase=self.codebase,
            branch=branch,
            revision=commit.sha,
            source=self.name,
        )
        return change._replace(category=self._category_of(change))

    def _category_of(self, change: NewChange) -> str | None:
        if not callable(self.category):
            return self.category
        described = change._asdict() | {"files": list(change.files), "when_timestamp": change.committed_at}
        try:
            category = self.category(described)
            return None if category is None else clean(str(category))
        except Exception:
            self._log.failure(
                "{source}: category= failed for {revision}, which has none now",
                source=self.name,
                revision=change.revision,
            )
            return None

    # -- transactions

    def _store(self, store: Store, new: list[NewChange], seen: dict[bytes, str]) -> None:
        for change in new:
            changes.add(store, change, self.context.now())
        self._remember_heads(store, seen)

    def _remember(self, store: Store, heads: dict[bytes, str]) -> None:
        self._remember_heads(store, heads)
        sources.set_state(store, self.name, WATCHED_STATE, self._fingerprint())

    def _remember_heads(self, store: Store, heads: dict[bytes, str]) -> None:
        for ref, sha in heads.items():
            sources.set_state(store, self.name, HEAD_PREFIX + _key(ref), sha)

    def _forget(self, store: Store, gone: dict[str, str]) -> None:
        for key in gone:
            sources.forget(store, self.name, HEAD_PREFIX + key)
        past = [*gone.values(), *sources.state(store, self.name, PAST_STATE, [])]
        sources.set_state(store, self.name, PAST_STATE, list(dict.fromkeys(past))[:PAST_HEADS])


def _key(ref: bytes) -> str:
    """A ref as the store can hold it."""
    return decoded_keeping_all(ref)


def _full_ref(branch: str) -> str:
    return branch if branch.startswith("refs/") else f"refs/heads/{branch}"


def _directory(name: str, url: str) -> str:
    """A name for the copy that a person can recognise and no other poller has."""
    readable = re.sub(r"[^\w.-]+", "-", without_password(url)).strip("-.")[-60:]
    distinct = hashlib.sha256("\n".join((name, url)).encode("utf-8", "replace")).hexdigest()[:12]
    return f"{readable}-{distinct}.git"


def _what(branches: list[str] | bool | Callable[[str], bool]) -> str:
    if callable(branches):
        return "some branches"
    if isinstance(branches, bool):
        return "all branches"
    return f"branch {', '.join(branches)}" if branches else "the default branch"


def _check_encoding(encoding: str) -> None:
    try:
        codecs.lookup(encoding)
    except (LookupError, TypeError):
        error(f"GitPoller(): there is no encoding {encoding!r}")


def _watched(branches: Branches, branch: str | None, only_tags: bool) -> list[str] | bool | Callable[[str], bool]:
    """What to watch: a list (empty: the default branch), True or a function."""
    if branch is not None and branches is not None:
        error("GitPoller(): give branch= or branches=, not both")
    if only_tags and (branch is not None or branches is not None):
        error("GitPoller(): only_tags= cannot be had together with branch= or branches=")
    if branch is not None:
        branches = [branch]
    if branches is None or branches is False:
        return []
    if branches is True or callable(branches):
        return branches
    if isinstance(branches, (list, tuple, set, frozenset)) and all(isinstance(one, str) and one for one in branches):
        return list(branches)
    error(f"GitPoller(): branches must be a list of names, True or a function, not {branches!r}")
    return []
