"""Schedulers of try jobs: what somebody sends to have it built before it is committed.

`Try_Jobdir` finds the jobs as files, `Try_Userpass` gets them from people who log in (`trywire`). Here is what becomes
of a job: checked, and then exactly one buildset, stored durably before anybody hears of it.
"""

from __future__ import annotations

import errno
import heapq
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from buildbot.config.arguments import configurable
from buildbot.config.errors import did_you_mean, error
from buildbot.config.ports import BadPort, endpoint_string
from buildbot.model import BuildsetID, Property, SourceStampID
from buildbot.process.outside import BadInput
from buildbot.schedulers.base import Answers, BaseScheduler, Settled, Unsettled
from buildbot.schedulers.tryjob import LARGEST_FILE, TryJob, parse
from buildbot.store import Store, buildsets, sourcestamps

BadJobfile = BadInput

SOURCE = "try"
LOOK_SECONDS = 1.0
STUCK_SECONDS = 60.0
FILES_A_PASS = 20
BYTES_A_PASS = 1024 * 1024
_COMMENT_SHOWN = 100

_log = Logger()


class TryBase(BaseScheduler):
    """What both kinds do with a job."""

    listens = False
    acknowledges = True

    async def settled(self, job: TryJob) -> Settled:
        """The builders, properties and priority of this job. Raises BadInput: why the job is refused."""
        planned = [{"codebase": name, **self._source(name, self._codebase(job), job)} for name in self.codebases]
        known = await self.settle({}, planned)
        if isinstance(known, Unsettled):
            raise BadInput(f"the scheduler {self.name!r} cannot take jobs: {known.reason}")
        unknown = [name for name in job.builder_names if name not in known.builder_names]
        if unknown:
            hint = did_you_mean(unknown[0], known.builder_names)
            raise BadInput(
                f"the scheduler {self.name!r} does not build {', '.join(map(repr, unknown))}; "
                f"{hint or 'its builders are ' + ', '.join(known.builder_names)}"
            )
        given = {each.name: each for each in known.properties if each.name != "scheduler"}
        given |= {name: Property(name, value, SOURCE) for name, value in job.properties.items()}
        if job.who:
            given.setdefault("owner", Property("owner", job.who, SOURCE))
        given["scheduler"] = Property("scheduler", self.name, "Scheduler")
        return Settled(job.builder_names or known.builder_names, tuple(given.values()), known.priority)

    def accept(self, store: Store, job: TryJob, settled: Settled, now: float) -> BuildsetID:
        """Make the buildset of a job, inside a durable transaction."""
        stamps = [self._stamp(store, codebase, job, now) for codebase in self.codebases]
        return self.submit(
            store,
            settled,
            stamps,
            newest=None,
            reason=_reason(job),
            now=now,
            external_id=job.jobid or None,
        )

    def _stamp(self, store: Store, codebase: str, job: TryJob, now: float) -> SourceStampID:
        patched = self._codebase(job)
        patch = None
        if job.patch and codebase == patched:
            patch = sourcestamps.add_patch(store, job.patch, job.patch_level, job.subdir, job.who, job.comment)
        source = self._source(codebase, patched, job)
        return sourcestamps.add(store, codebase=codebase, patch_id=patch, now=now, **source)

    def _source(self, codebase: str, patched: str, job: TryJob) -> dict[str, Any]:
        """What is built of a codebase; `patched` is the one that the job is about."""
        given = {key: value for key, value in self.codebases[codebase].items() if value is not None}
        if codebase != patched:
            return given
        asked = {"repository": job.repository, "project": job.project, "branch": job.branch}
        return {**given, **{key: value for key, value in asked.items() if value}, "revision": job.revision}

    def _codebase(self, job: TryJob) -> str:
        """Which codebase the job is about."""
        if len(self.codebases) == 1:
            return next(iter(self.codebases))
        repositories = {source.get("repository"): name for name, source in self.codebases.items()}
        if job.repository in repositories:
            return repositories[job.repository]
        if "" in self.codebases:
            return ""
        raise BadInput(
            f"the scheduler {self.name!r} builds several codebases, and {job.repository!r} is the repository of none "
            f"of them: --repository must be one of {', '.join(str(each) for each in repositories if each)}"
        )


def _reason(job: TryJob) -> str:
    comment = job.comment.strip().partition("\n")[0][:_COMMENT_SHOWN]
    return "try job" + (f" by {job.who}" if job.who else "") + (f": {comment}" if comment else "")


# -- jobs that come as files


@dataclass(frozen=True, slots=True, eq=False)  # each is itself
class _Offered:
    """A job that lies in the directory, and the name of its file."""

    file: str
    job: TryJob


@configurable
class Try_Jobdir(TryBase):
    """Builds the jobs that `buildbot try --connect=ssh` puts into a directory.

    name, builderNames, properties, codebases, priority: as every scheduler. jobdir: the directory, relative to the
    master's; made when it is missing, with `new`, `cur` and `tmp` in it as a maildir has them. Whoever can write
    there can have jobs built. A job that is stored moves from `new` to `cur`. One that cannot be built moves to
    `rejected`, and beside it a file NAME.why says why.
    """

    def __init__(
        self,
        name: str,
        builderNames: Any,
        jobdir: str,
        properties: Mapping[str, Any] | None = None,
        codebases: Any = None,
        priority: Any = None,
    ) -> None:
        super().__init__(name, builderNames, properties, codebases, priority)
        self.jobdir = jobdir
        given: Any = jobdir
        if not isinstance(given, str) or not given:
            error(f"scheduler {name!r}: jobdir is the path of a directory, not {given!r}")

    def directory(self, store: Store) -> Path:
        return store.path.absolute().parent / self.jobdir

    async def ask(self, store: Store, now: float) -> Answers:
        """Read the oldest jobs. What is no job, or not one of ours, is moved aside."""
        directory = self.directory(store)
        answers: dict[_Offered, Settled | Unsettled] = {}
        if not _prepared(directory):
            return answers
        for name, size in _oldest(directory / "new"):
            try:
                job = parse(_read(directory / "new" / name, size))
                answers[_Offered(name, job)] = await self.settled(job)
            except FileNotFoundError:
                continue  # somebody took it back
            except (BadInput, OSError) as problem:
                _reject(directory, name, str(problem))
        return answers

    def run(self, store: Store, now: float, answers: Answers | None = None) -> float | None:
        directory, wake_at = self.directory(store), now + LOOK_SECONDS
        for offered, settled in (answers or {}).items():
            job = offered.job
            known = buildsets.by_external_id(store, self.name, job.jobid)
            if known is None:
                assert isinstance(settled, Settled)
                buildset = self.accept(store, job, settled, now)
                text = f"try job {job.jobid} of {job.who or 'somebody'} is buildset {buildset}"
                store.after_commit(lambda name=offered.file, text=text: _taken(directory, name, text))  # type: ignore[misc]
                continue
            text = f"try job {job.jobid} was taken before, as buildset {known.id}: not built again"
            if not _taken(directory, offered.file, text):
                wake_at = now + STUCK_SECONDS
        return wake_at


def _prepared(directory: Path) -> bool:
    try:
        for part in ("new", "cur", "tmp"):
            (directory / part).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        _log.error("the jobdir {directory} cannot be made: {problem}", directory=directory, problem=problem)
        return False
    return True


def _oldest(directory: Path) -> Iterator[tuple[str, int]]:
    """The oldest files, as (name, size): not more than one pass reads."""
    found: list[tuple[float, str, int]] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_mtime, entry.name, status.st_size))
    total = 0
    for _, name, size in heapq.nsmallest(FILES_A_PASS, found):
        if total and total + size > BYTES_A_PASS:
            return
        total += size
        yield name, size


def _read(path: Path, size: int) -> bytes:
    if size > LARGEST_FILE:
        raise BadInput(f"the job is {size} bytes long, and at most {LARGEST_FILE} are taken")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise BadInput("it is a symbolic link, not a file") from None
        raise
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadInput("it is not a plain file")
        return file.read(LARGEST_FILE + 1)


def _taken(directory: Path, name: str, text: str) -> bool:
    """Move the file of a job that is stored out of the way. Whether that could be done."""
    _log.info("{text}", text=text)
    try:
        _move(directory, name, "cur")
    except OSError as problem:
        _log.error(
            "{name} in {directory} cannot be moved to cur, and is looked at again: {problem}",
            name=name,
            directory=directory / "new",
            problem=problem,
        )
        return False
    return True


def _reject(directory: Path, name: str, why: str) -> None:
    try:
        target = _move(directory, name, "rejected")
        target.with_name(f"{target.name}.why").write_text(f"{why}\n")
        _log.error("the try job {file} is refused: {why}", file=target, why=why)
    except OSError as problem:
        _log.error(
            "the try job {file} is refused ({why}), and cannot be moved aside: {problem}",
            file=directory / "new" / name,
            why=why,
            problem=problem,
        )


def _move(directory: Path, name: str, to: str) -> Path:
    """Move a file from `new`, without overwriting another."""
    (directory / to).mkdir(exist_ok=True)
    target, number = directory / to / name, 0
    while os.path.lexists(target):
        number += 1
        target = directory / to / f"{name}.{number}"
    (directory / "new" / name).rename(target)
    return target


# -- jobs that come from people who log in


@configurable
class Try_Userpass(TryBase):
    """Builds the jobs that `buildbot try --connect=pb` sends.

    name, builderNames, properties, codebases, priority: as every scheduler. port: a number or an endpoint string; it
    may be the slaves' (None: it is). userpass: list of (user, password), those who may send jobs.
    """

    def __init__(
        self,
        name: str,
        builderNames: Any,
        port: Any,
        userpass: Sequence[tuple[str, str]],
        properties: Mapping[str, Any] | None = None,
        codebases: Any = None,
        priority: Any = None,
    ) -> None:
        super().__init__(name, builderNames, properties, codebases, priority)
        self.port = _endpoint(name, port)
        self.userpass = _users(name, userpass)


def _endpoint(scheduler: str, port: Any) -> str | None:
    try:
        return None if port is None else endpoint_string(port)
    except BadPort as problem:
        error(f"scheduler {scheduler!r}: {problem}")
        return None


def _users(scheduler: str, userpass: Any) -> tuple[tuple[str, str], ...]:
    found = []
    for entry in userpass if isinstance(userpass, (list, tuple)) else [userpass]:
        texts = list(entry) if isinstance(entry, (list, tuple)) else []
        if len(texts) != 2 or not all(isinstance(text, str) and text for text in texts):
            error(f"scheduler {scheduler!r}: userpass is a list of (user, password)")  # and shows none of them
            continue
        found.append((texts[0], texts[1]))
    for user in dict.fromkeys(user for user, _ in found if [name for name, _ in found].count(user) > 1):
        error(f"scheduler {scheduler!r}: userpass has the user {user!r} twice")
    if not found:
        error(f"scheduler {scheduler!r}: userpass names nobody, so nobody could send it a job")
    return tuple(found)
