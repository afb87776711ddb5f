"""The P4 step: has a Perforce client made, and its files brought into the working directory."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.remotecommand import RemoteShellCommand
from buildbot.steps.source.base import copied_from
from buildbot.steps.source.workingcopy import OUTPUT_LIMIT, WorkingCopy, greatest_revision

CLIENT_TYPES = ("readonly", "partitioned")
LINE_ENDS = ("local", "unix", "mac", "win", "share")
_REVISION = re.compile(r"\w[\w.-]{0,254}")
_CHANGE = re.compile(r"^\.\.\. change (\d{1,18})\s*$", re.MULTILINE)
_NOT_IN_A_PATH = re.compile(r'["@#%*\x00-\x1f\x7f]|\.\.\.')  # would mean something in a view, or end its line
_NOT_IN_A_NAME = re.compile(r'[\s/@#%*"\x00-\x1f]|\.\.\.')


class P4(WorkingCopy):
    """Check out source with Perforce.

    p4base, p4branch: the part of the depot, such as `//depot/project` and `trunk`. defaultBranch: instead of p4branch:
    the source stamp's branch is built, and this when there is none. p4extra_views: list of (depot path, client path)
    besides it. p4viewspec: instead of all these, list of (depot path, client path), to each of which
    p4viewspec_suffix (`...`) is appended. stream: p4base/p4branch is a stream. p4port, p4user, p4passwd: the server,
    and who asks. use_tickets: log in with the password first, instead of giving it to each command. p4client: the
    client's name (default `buildbot_` with the names of slave and builder; of old, with `%(slave)s` and `%(builder)s`).
    p4client_spec_options: its options (`allwrite rmdir`). p4client_type: `readonly` or `partitioned`. p4line_end: its
    line ends (`local`). p4extra_args: list of options for `p4 sync`. p4bin: the program. mode `incremental` (default)
    keeps every file that is not Perforce's; `full` removes everything first, or with method `copy` updates `source` and
    copies it. debug: taken, and changes nothing. The other arguments are those of `Source`.
    """

    name = "p4"
    methods: ClassVar[tuple[str, ...]] = ("clobber", "fresh", "clean", "copy")
    renderables: ClassVar[Any] = (
        *("p4base", "p4branch", "p4port", "p4user", "p4passwd", "p4client", "p4viewspec", "p4extra_views"),
        *("p4client_type", "p4extra_args", "p4bin", "p4client_spec_options", "p4line_end"),
    )

    def __init__(
        self,
        mode: Any = "incremental",
        method: Any = None,
        p4base: Any = None,
        p4branch: Any = None,
        p4port: Any = None,
        p4user: Any = None,
        p4passwd: Any = None,
        p4extra_views: Any = (),
        p4line_end: Any = "local",
        p4viewspec: Any = None,
        p4viewspec_suffix: str | None = "...",
        p4client: Any = None,
        p4client_spec_options: Any = "allwrite rmdir",
        p4client_type: Any = None,
        p4extra_args: Any = None,
        p4bin: Any = "p4",
        use_tickets: bool = False,
        stream: bool = False,
        debug: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(mode, str) and mode.startswith("//"):  # the first argument of old was p4base
            mode, p4base = "incremental", mode
        self.p4base = p4base
        self.p4branch = p4branch
        self.p4port = p4port
        self.p4user = p4user
        self.p4passwd = p4passwd
        self.p4extra_views = p4extra_views
        self.p4line_end = p4line_end
        self.p4viewspec = p4viewspec
        self.p4viewspec_suffix = p4viewspec_suffix
        self.p4client = p4client
        self.p4client_spec_options = p4client_spec_options
        self.p4client_type = p4client_type
        self.p4extra_args = p4extra_args
        self.p4bin = p4bin
        self.use_tickets = use_tickets
        self.stream = stream
        super().__init__(mode=mode, method=method, **kwargs)
        self._client = ""
        self._branch = ""
        self._change = ""
        for problem in self._problems():
            error(f"P4: {problem}")

    def _problems(self) -> Iterator[str]:
        base, view = self.p4base, self.p4viewspec
        if self.repourl or self.baseURL:
            yield "there is no repourl and no baseURL: write p4base, or p4viewspec"
        if not base and not view:
            yield "give p4base or p4viewspec"
        if view and (base or self.p4branch or self.p4extra_views or self.defaultBranch):
            yield "p4viewspec says all; leave p4base, p4branch, defaultBranch and p4extra_views out"
        if isinstance(view, str):
            yield f"p4viewspec is a list of (depot path, client path), not {view!r}"
        if isinstance(base, str) and base and (not base.startswith("//") or _NOT_IN_A_PATH.search(base)):
            yield f"p4base is a path in the depot, such as //depot/project, not {base!r}"
        if self.p4branch and self.defaultBranch:
            yield "give p4branch or defaultBranch, not both"
        if self.stream and (self.p4extra_views or view or not base or not (self.p4branch or self.defaultBranch)):
            yield "a stream is named by p4base and p4branch, and has no other views"
        if isinstance(self.p4client_type, str) and self.p4client_type not in CLIENT_TYPES:
            yield f"p4client_type is one of {', '.join(CLIENT_TYPES)}, not {self.p4client_type!r}"
        if isinstance(self.p4line_end, str) and self.p4line_end not in LINE_ENDS:
            yield f"p4line_end is one of {', '.join(LINE_ENDS)}, not {self.p4line_end!r}"
        if isinstance(self.p4extra_args, str):
            yield f"p4extra_args is a list of strings, not {self.p4extra_args!r}"

    # -- Source

    def computeSourceRevision(self, changes: Any) -> str | None:
        if any(change.revision is None for change in changes):
            return None
        return greatest_revision(changes)

    def is_revision(self, revision: str) -> bool:
        return _REVISION.fullmatch(revision) is not None

    async def got_revision(self) -> str | None:
        return self._change

    async def check_out(self, branch: str | None, revision: str | None) -> None:
        self.check_names(branch, revision)
        self._branch = str((branch or self.defaultBranch) if self.defaultBranch else self.p4branch or "").strip("/")
        if _NOT_IN_A_PATH.search(self._branch) or ".." in self._branch.split("/"):
            self.fail(f"{self._branch!r} is not a branch's name")
        self._client = self._client_name()
        workdir = str(self.workdir)
        copies = self.mode == "full" and self.method == "copy"
        self._directory = copied_from(workdir) if copies else workdir
        anew = (self.mode == "full" and not copies) or not await self.exists(self._directory)
        patched = not anew and await self.take_patch_away()
        if self.use_tickets and self.p4passwd:
            await self._log_in(str(self.p4passwd))
        await self._make_client()
        self._change = await self._newest(revision)
        if anew:
            await self._must("sync", "#none", complaint="p4 does not forget the files that were here")
            await self.remove(self._directory)
        files = f"//{self._client}/...@{self._change}"
        if patched or (await self._p4("sync", files)).rc != 0:  # files are not as the server thinks they are
            await self._must("sync", "-f", files, complaint="p4 sync failed")
        if copies:
            await self.remove(workdir)
            await self.copy_directory(self._directory, workdir)

    # -- p4

    async def _log_in(self, password: str) -> None:
        self.build.secrets.note("p4passwd", password)
        await self._must("login", complaint="p4 cannot log in", stdin=f"{password}\n".encode())

    async def _make_client(self) -> None:
        spec = "".join(f"{line}\n" for line in self._spec())
        await self._must("client", "-i", complaint=f"p4 cannot make the client {self._client}", stdin=spec.encode())

    async def _newest(self, revision: str | None) -> str:
        """The number of the newest change in the view, up to a revision."""
        upto = f"@{revision}" if revision else "#head"
        words = ("-ztag", "changes", "-m1", f"//{self._client}/...{upto}")
        told = await self._p4(*words, collect=True)
        found = _CHANGE.search(told.stdout[:OUTPUT_LIMIT])
        if told.rc != 0:
            self.fail("p4 cannot be asked for the newest change")
        if found is None:
            self.fail(f"there is no change in the view{f' at {revision}' if revision else ''}")
        assert found is not None
        return found[1]

    def _spec(self) -> Iterator[str]:
        owner = str(self.p4user or "")
        fields = {
            "Client": self._client,
            "Owner": owner,
            "Description": f"Created by {owner}".rstrip(),
            "Root": self._root(),
            "Options": self.p4client_spec_options or "",
            "LineEnd": self.p4line_end or "local",
            "Type": self.p4client_type,
            "Stream": f"{self._base}/{self._branch}" if self.stream else None,
        }
        for name, value in fields.items():
            if value:
                yield f"{name}:\t{' '.join(str(value).split()) if name == 'Options' else _line(str(value))}"
                yield ""
        if not self.stream:
            yield "View:"
            for depot, client in self._views():
                yield f"\t{_quoted(_line(depot))} {_quoted(_line(client))}"

    def _views(self) -> Iterator[tuple[str, str]]:
        here = f"//{self._client}"
        if self.p4viewspec:
            suffix = self.p4viewspec_suffix or ""
            for depot, client in self.p4viewspec:
                yield f"{depot}{suffix}", f"{here}/{client}{suffix}"
            return
        yield f"{self._base}/{self._branch}/..." if self._branch else f"{self._base}/...", f"{here}/..."
        for depot, client in self.p4extra_views or ():
            yield f"{depot}/...", f"{here}/{client}/..."

    def _root(self) -> str:
        basedir = str(self.build.getSlaveInfo().get("basedir") or "")
        if not basedir:
            self.fail("the slave does not say in which directory it is, and so p4 cannot be told where its files go")
        return posixpath.normpath(posixpath.join(basedir, str(self.build.builddir), self._directory))

    @property
    def _base(self) -> str:
        return str(self.p4base).rstrip("/")

    def _client_name(self) -> str:
        names = {"slave": self.build.getSlaveName(), "builder": self.getProperty("buildername")}
        name = str(self.p4client or "buildbot_%(slave)s_%(builder)s")
        for key, value in names.items():
            name = name.replace(f"%({key})s", str(value))
        return _NOT_IN_A_NAME.sub("_", name).lstrip("-")

    async def _p4(self, *words: str, collect: bool = False, stdin: bytes | None = None) -> RemoteShellCommand:
        line: list[Any] = [self.p4bin or "p4"]
        for option, value in (("-p", self.p4port), ("-u", self.p4user)):
            if value:
                line += [option, value]
        if self.p4passwd and not self.use_tickets:
            line += ["-P", ("obfuscated", self.p4passwd, "XXXXXX")]
        line += ["-c", self._client]
        if words[0] == "sync":
            line += list(self.p4extra_args or ())
        return await self.shell([*line, *words], workdir=self._directory, collect=collect, stdin=stdin)

    async def _must(self, *words: str, complaint: str, stdin: bytes | None = None) -> None:
        if (await self._p4(*words, stdin=stdin)).rc != 0:
            self.fail(complaint)


def _line(text: str) -> str:
    """A value of a client's form: it cannot begin a line of its own."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
