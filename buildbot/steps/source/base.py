"""What every source step shares: which source is built, the patch of a try build, and what is told of the result.

A subclass says how its version control system brings a revision into the working directory (`check_out`), and what
revision that was (`got_revision`). All else is here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from inspect import isawaitable
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall

from buildbot.config.errors import error, warning
from buildbot.process.buildstep import BuildStepFailed
from buildbot.process.loggingstep import LoggingBuildStep
from buildbot.process.oldstyle import drop_old_arguments
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import FAILURE, SUCCESS, worst_status
from buildbot.process.sourcestamp import PatchView
from buildbot.process.steplog import slug_of
from buildbot.steps.source.commands import DrivesProgram
from buildbot.steps.source.gitnames import two_names, unquoted

# the modes of 0.7 and of the slave-side steps of 0.8; `export` becomes `clobber` where there is no such method
OLD_MODES = {
    "update": ("incremental", None),
    "copy": ("full", "copy"),
    "clobber": ("full", "clobber"),
    "export": ("full", "export"),
}
#: What people's classes say of a command when it has ended.
_JUDGING = ("commandComplete", "createSummary", "evaluateCommand", "getText", "getText2", "maybeGetText2", "setStatus")
DIFF = ".buildbot-diff"
PATCHED = ".buildbot-patched"
_BINARY = re.compile(rb"^GIT binary patch\r?$", re.MULTILINE)


class Source(DrivesProgram, LoggingBuildStep):
    """Base of the steps that check out source. All arguments but `workdir` are keywords.

    workdir: where to, relative to the builder's directory (default: the factory's, `build`). mode: `incremental` or
    `full`; method: how to be full, see the subclass. alwaysUseLatest: ignore the revision that is asked for. timeout:
    seconds that a command may be silent (default 1200). retry: (seconds to wait, how often) to try again after a
    failure. env, logEnviron: as for ShellCommand. codebase: which source stamp of the build is meant (default '').
    log_eval_func: function (command, step_status) -> result, which judges by what was written. The other arguments are
    those of `BuildStep`; a failure stops the build and makes it FAILURE.

    Sets the property `got_revision`: the revision, or {codebase: revision} when the step names a codebase.
    """

    name = "source"
    haltOnFailure = True
    flunkOnFailure = True
    description: Any = ("updating",)
    descriptionDone: Any = ("update",)
    renderables: ClassVar[Any] = ("mode", "method")
    progressMetrics: Any = ()
    repourl: Any = None
    methods: ClassVar[tuple[str, ...]] = ()  # of mode `full`; the first is the default

    def __init__(
        self,
        workdir: Any = None,
        mode: Any = "incremental",
        alwaysUseLatest: bool = False,
        timeout: Any = 20 * 60,
        retry: Any = None,
        env: Any = None,
        logEnviron: bool = True,
        description: Any = None,
        descriptionDone: Any = None,
        descriptionSuffix: Any = None,
        codebase: Any = "",
        method: Any = None,
        **kwargs: Any,
    ) -> None:
        judge = kwargs.pop("log_eval_func", None)
        drop_old_arguments(self, kwargs)
        words = {"description": description, "descriptionDone": descriptionDone, "descriptionSuffix": descriptionSuffix}
        kwargs |= {name: value for name, value in {"workdir": workdir, **words}.items() if value is not None}
        if codebase:
            kwargs.setdefault("name", f"{type(self).name}-{codebase}")
            kwargs.setdefault("descriptionSuffix", codebase)
        super().__init__(timeout=timeout, env=env, logEnviron=logEnviron, **kwargs)
        if isinstance(mode, str) and mode in OLD_MODES and method is None:
            mode, method = OLD_MODES[mode]
            if method == "export" and method not in self.methods:
                method = "clobber"
        self.mode = mode
        self.method = method
        if judge is not None:
            self.log_eval_func = judge
        self.alwaysUseLatest = alwaysUseLatest
        self.retry: Any = retry
        self.codebase = codebase
        self._resting: tuple[IDelayedCall, Deferred[None]] | None = None
        self._under_way: Deferred[Any] | None = None  # what startVC has begun
        self._judged = False  # it was one command, which has been judged
        self.sourcestamp: Any = None  # of its codebase, while it runs
        problem = self._wrong_mode()
        if problem is not None:
            error(f"{type(self).__name__}: {problem}")
        if retry is not None and not _is_retry(retry):
            error(f"{type(self).__name__}: retry is (seconds to wait, number of times), not {retry!r}")
        if not isinstance(codebase, str):
            error(f"{type(self).__name__}: codebase is a string, not {codebase!r}")

    # -- for subclasses

    async def check_out(self, branch: str | None, revision: str | None) -> None:
        """Bring the source into `workdir`: this revision, or the branch's newest. Raises BuildStepFailed."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it checks out")

    async def got_revision(self) -> str | None:
        """The revision that is in `workdir` now."""
        raise NotImplementedError(f"{type(self).__name__} does not say which revision it has")

    def computeSourceRevision(self, changes: Any) -> str | None:
        """The revision that contains all these changes, for a source stamp that names none; None: the newest."""
        return last_revision(changes)

    async def note_patched(self, paths: list[str]) -> None:
        """The patch has been applied; these paths, relative to `workdir`, may be new. The next checkout undoes it."""

    async def clobber(self) -> None:
        """Remove what is checked out."""
        await self.remove(str(self.workdir))

    # -- running

    async def run(self) -> int:
        problem = self._wrong_mode()
        if problem is not None:
            return self.fail(problem)
        stamp = self.build.getSourceStamp(self.codebase)
        if stamp is None:
            return self.fail(f"the build has no source stamp of the codebase {self.codebase!r}")
        revision = None if self.alwaysUseLatest else stamp.revision or self.computeSourceRevision(stamp.changes)
        if revision:
            self.set_source_property("revision", revision)
        self.sourcestamp = stamp
        self._judged = False
        self.args["workdir"] = str(self.workdir)
        try:
            answer = self.startVC(stamp.branch or getattr(self, "branch", None), revision or None, stamp.patch)
            if self._under_way is not None:
                answer = self._under_way  # subclasses of 0.8 do not pass it on
            if isawaitable(answer):
                answer = await answer
        except BuildStepFailed:
            if not self._judges_itself():
                raise
            return await self._judge_all(FAILURE)
        result = answer if isinstance(answer, int) else SUCCESS
        return await self._judge_all(result) if self._judges_itself() else result

    def _judges_itself(self) -> bool:
        own = self.log_eval_func is not None or any(
            getattr(type(self), name) is not getattr(Source, name) for name in _JUDGING
        )
        return own and not self._judged and not self.stopped

    async def _judge_all(self, result: int) -> int:
        """What people's code says of all that was written, as if one command had done it."""
        whole = RemoteCommand(str(self.name), {})
        whole.rc = 0 if result == SUCCESS else 1
        whole.logs.update(self.logs)
        got = self.getProperty("got_revision")
        if result == SUCCESS and got is not None:
            whole.updates["got_revision"] = [got[self.codebase] if isinstance(got, dict) else got]
        return worst_status(result, await self.judge(whole))

    # -- subclasses of 0.7 and 0.8 that have a command of their own on the slave

    @cached_property
    def args(self) -> dict[str, Any]:
        """What their constructors put the command's arguments into."""
        return {"mode": self.mode, "patch": None, "retry": self.retry, "timeout": self.timeout}

    def startCommand(self, cmd: RemoteCommand, errorMessages: Iterable[str] = ()) -> None:
        """What their `startVC` calls at its end."""
        if self.sourcestamp is None:  # it has a start() of its own
            super().startCommand(cmd, errorMessages)
            return
        self.take_output(cmd, errorMessages)
        self._judged = True
        self._under_way = ensureDeferred(self.run_and_judge(cmd))

    def commandComplete(self, cmd: RemoteCommand) -> Any:
        got = cmd.updates.get("got_revision")
        if got:
            self.set_source_property("got_revision", str(got[-1]))

    def startVC(self, branch: str | None, revision: str | None, patch: Any) -> Any:
        """What subclasses of 0.8 override to say what is built, and call."""
        self._under_way = ensureDeferred(self._run_vc(branch, revision, patch))
        return self._under_way

    async def _run_vc(self, branch: str | None, revision: str | None, patch: Any) -> Any:
        return await self.run_vc(branch, revision, patch)

    async def run_vc(self, branch: str | None, revision: str | None, patch: Any) -> int:
        """What subclasses of 0.9 and later override to say what is built, and call. The newer way is `check_out`."""
        await self._check_out_patiently(branch, revision)
        got = await self.got_revision()
        if got:
            self.set_source_property("got_revision", got)
        if patch is not None:
            await self._apply(patch)
        return SUCCESS

    async def _check_out_patiently(self, branch: str | None, revision: str | None) -> None:
        delay, left = self.retry or (0, 0)
        while True:
            try:
                await self.check_out(branch, revision)
                return
            except BuildStepFailed:
                if left <= 0 or self.stopped:
                    raise
            left -= 1
            self.say(f"trying again in {delay} s, {left} more after that\n")
            await self._rest(delay)

    async def _rest(self, seconds: float) -> None:
        """Wait; when the step's code runs again after a restart, for what is left of it."""
        until = self.remember("until", lambda _: self.build.now() + seconds)
        assert isinstance(until, (int, float))
        left = max(0.0, min(float(until) - self.build.now(), float(seconds)))
        over: Deferred[None] = Deferred()
        self._resting = (self.build.clock.callLater(left, over.callback, None), over)
        await over
        self._resting = None
        self.check_not_stopped()

    async def interrupt(self, reason: Any) -> None:
        if self._resting is not None and self._resting[0].active():
            self._resting[0].cancel()
            self._resting[1].callback(None)
        await super().interrupt(reason)

    def set_source_property(self, name: str, value: str, source: str = "") -> None:
        """Set a property of this source: for a named codebase, in a dictionary with those of the others. source: what
        is said of where it comes from (default: the step's class)."""
        given: Any = value
        if self.codebase:
            before = self.getProperty(name)
            given = {**(before if isinstance(before, dict) else {}), self.codebase: value}
        self.build.setProperty(name, given, source or type(self).__name__)

    def url_of(self, repository: str) -> str:
        """Where to fetch from, for a source stamp's repository: what `repourl` says, which may be a dictionary or
        function of the repository, or have a `%s` for it. Raises BuildStepFailed."""
        url = self.repourl
        if isinstance(url, dict):
            url = url.get(repository)
        elif callable(url):
            url = url(repository)
        elif isinstance(url, str) and "%s" in url:
            url = url.replace("%s", repository)
        if not isinstance(url, str) or not url or url.startswith("-") or "\0" in url or "\n" in url:
            self.fail(f"there is no URL for the repository {repository!r}")
        assert isinstance(url, str)
        return url

    updateSourceProperty = set_source_property

    def _wrong_mode(self) -> str | None:
        if not isinstance(self.mode, (str, type(None))) or not isinstance(self.method, (str, type(None))):
            return None  # known when it is rendered
        if self.mode not in ("incremental", "full"):
            return f"mode is 'incremental' or 'full', not {self.mode!r}"
        if self.mode == "incremental" and self.method is not None:
            warning(f"{type(self).__name__}: method={self.method!r} has no effect without mode='full'")
        elif self.method is not None and self.method not in self.methods:
            return f"method is one of {', '.join(self.methods)}, not {self.method!r}"
        return None

    # -- the patch of a try build

    async def _apply(self, patch: PatchView) -> None:
        subdir = posixpath.normpath(patch.subdir or ".")
        if subdir.startswith(("/", "..")) or "\0" in subdir or not 0 <= patch.level < 100:
            self.fail(f"the patch is for the directory {patch.subdir!r}, which is not in the source")
        where = posixpath.join(str(self.workdir), subdir)
        await self.write(where, DIFF, patch.body)
        made = [path for path in new_paths(patch.body, patch.level) if not path.startswith(("/", "../"))]
        paths = [PATCHED, *(posixpath.normpath(posixpath.join(subdir, path)) for path in made)]
        await self.write(str(self.workdir), PATCHED, "\n".join(paths).encode("utf-8", "surrogateescape"))
        words = ["patch", f"-p{patch.level}", "--remove-empty-files", "--force", "--forward", "--input", DIFF]
        if _BINARY.search(patch.body):  # which patch does not know
            words = ["git", "apply", f"-p{patch.level}", "--whitespace=nowarn", DIFF]
        done = await self.shell(words, workdir=where)
        await self._run(RemoteCommand("rmfile", {"path": posixpath.join(where, DIFF)}, ignore_updates=True))
        await self.note_patched(paths)
        if done.rc != 0:
            self.fail("the patch does not apply")


def copied_from(workdir: str) -> str:
    """The directory that method `copy` keeps up to date for a working directory."""
    return "source" if workdir == "build" else f"source-{slug_of(workdir)}"


def last_revision(changes: Any) -> str | None:
    """The revision of the last change, the one that contains the others."""
    return changes[-1].revision if changes else None


def new_paths(diff: bytes, level: int) -> Iterator[str]:
    """The files that applying a diff may make: those it adds, and the targets of renames and copies."""
    header, from_nothing = b"", False
    for line in diff.splitlines():
        if line.startswith(b"diff --git "):
            header = two_names(line.removeprefix(b"diff --git "))[1]
        elif line.startswith(b"new file mode") and header:
            yield _stripped(header, level)
        elif line.startswith((b"rename to ", b"copy to ")):
            yield unquoted(line.partition(b" to ")[2]).decode("utf-8", "surrogateescape")
        elif line.startswith(b"--- "):
            from_nothing = _is_nothing(line)
        elif line.startswith(b"+++ ") and from_nothing:
            yield _stripped(unquoted(line[4:].partition(b"\t")[0]), level)


def _is_nothing(line: bytes) -> bool:
    name, _, date = line[4:].partition(b"\t")
    return name == b"/dev/null" or date.startswith((b"1970-01-01", b"Thu Jan  1", b"1969-12-31", b"Wed Dec 31"))


def _stripped(path: bytes, level: int) -> str:
    parts = path.split(b"/")
    return b"/".join(parts[level:] if len(parts) > level else parts[-1:]).decode("utf-8", "surrogateescape")


def _is_retry(retry: Any) -> bool:
    if not isinstance(retry, (list, tuple)) or len(retry) != 2:
        return False
    delay, count = retry
    return isinstance(delay, (int, float)) and isinstance(count, int) and delay >= 0 and count >= 0
