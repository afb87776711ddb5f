"""The Repo step: the many repositories of a manifest, with Android's `repo`.

`repo` keeps everything below `.repo` of the working directory. Where that is missing or cannot be mended it is made
anew, from a tarball on the slave if there is one. Changes of Gerrit are then downloaded on top.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, ClassVar

from zope.interface import implementer

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStepFailed
from buildbot.process.remotecommand import RemoteShellCommand
from buildbot.process.renderables import build_of
from buildbot.process.rendering import IRenderable, PropertySource, is_renderable
from buildbot.process.steplog import slug_of
from buildbot.steps.source.base import Source

_CHANGE = re.compile(r"[0-9]+/[0-9]+")
_JOINED = re.compile(r"([^-].*)/([0-9]+/[0-9]+)")
_DOWNLOAD = re.compile(
    r"(?:(?:-[cxrf]|--cherry-pick|--record-origin|--revert|--ff-only|--branch=[\w./-]+) )*([^\s-]\S*) (\d+)/(\d+)"
)
_NO_SUCH_REF = re.compile(r"[Cc]ouldn't find remote ref")
_CONFLICT = re.compile(r"Automatic cherry-pick failed|possibly due to conflict resolution")
_FETCHED = re.compile(r"refs/changes/\d\d/(\d+)/(\d+) +-> FETCH_HEAD\s*$", re.MULTILINE)
_NOW_AT = re.compile(r"^HEAD is now at ([0-9a-f]+)", re.MULTILINE)
_TAR = {"pigz": ("-I", "pigz"), "gz": ("-z",), "bz2": ("-j",), "bz": ("-j",), "lzma": ("--lzma",), "lzop": ("--lzop",)}
OVERRIDE = "manifest_override.xml"
SEVEN_DAYS = 7 * 24 * 3600.0


@implementer(IRenderable)
class RepoDownloadsFromProperties:
    """For `repoDownloads`: the changes that properties name. names: of the properties. In each there may be several of
    `repo download PROJECT NUMBER/PATCHSET`, as Gerrit's page shows it, `PROJECT NUMBER/PATCHSET` or
    `PROJECT/NUMBER/PATCHSET`."""

    def __init__(self, names: Any) -> None:
        if not isinstance(names, (list, tuple)):
            error(f"RepoDownloadsFromProperties takes a list of names, not {names!r}")
        self.names = names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RepoDownloadsFromProperties) and self.names == other.names

    def __hash__(self) -> int:
        return hash(tuple(self.names))

    def getRenderingFor(self, properties: PropertySource) -> list[str]:
        found = []
        for name in self.names:
            text = properties.getProperty(name)
            if text is not None:
                found += self.parseDownloadProperty(str(text))
        return found

    def parseDownloadProperty(self, text: str | None) -> list[str]:
        """The downloads that a text names, as `PROJECT NUMBER/PATCHSET`."""
        found = []
        before = ""  # the word before, if it may be a project
        for word in (text or "").split():
            if _CHANGE.fullmatch(word) and before:
                found.append(f"{before} {word}")
                before = ""
                continue
            joined = _JOINED.fullmatch(word)
            if joined is not None:
                found.append(f"{joined[1]} {joined[2]}")
            before = "" if joined is not None or word.startswith("-") else word
        return found


@implementer(IRenderable)
class RepoDownloadsFromChangeSource:
    """For `repoDownloads`: the changes under review that the build was made for, as Gerrit's change source tells them.
    codebase: of this one alone (default: all)."""

    def __init__(self, codebase: str | None = None) -> None:
        self.codebase = codebase

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RepoDownloadsFromChangeSource) and self.codebase == other.codebase

    def __hash__(self) -> int:
        return hash(self.codebase)

    def getRenderingFor(self, properties: PropertySource) -> list[str]:
        build = build_of(properties)
        if self.codebase is None:
            changes = build.allChanges()
        else:
            stamp = build.getSourceStamp(self.codebase)
            changes = [] if stamp is None else stamp.changes
        return [
            f"{given('event.change.project')} {given('event.change.number')}/{given('event.patchSet.number')}"
            for given in (change.properties.getProperty for change in changes)
            if given("event.type") == "patchset-created"
        ]


class Repo(Source):
    """Check out the projects of a manifest with `repo`.

    manifestURL: of the repository of manifests. manifestBranch (default `master`), manifestFile (`default.xml`): which
    one. manifestOverrideUrl: another manifest to use in its place, a file in `workdir` or an address for wget. jobs:
    how many fetches at once. syncAllBranches (default False): fetch all branches of each project. depth: number of
    commits of each project (0: all). submodules: of the manifest's repository. syncQuietly: have `repo sync` say less.
    tarball: an absolute path on the slave; a new working directory begins with what is in it, and it is made anew when
    it is older than updateTarballAge seconds (default 7 days; None: never); its ending says how it is compressed.
    repoDownloads: list of `PROJECT NUMBER/PATCHSET`, changes under review to download; also
    RepoDownloadsFromProperties or RepoDownloadsFromChangeSource. manifest_url, manifest_branch, manifest_file: older
    names. Mode `full` begins with an empty directory. The other arguments are those of `Source`.

    Files that are not in the repositories do not stay. Sets the property `repo_downloaded`: `NUMBER/PATCHSET COMMIT `
    for each download.
    """

    name = "repo"
    methods: ClassVar[tuple[str, ...]] = ("clobber",)
    renderables: ClassVar[Any] = (
        "manifestURL",
        "manifestBranch",
        "manifestFile",
        "tarball",
        "jobs",
        "syncAllBranches",
        "updateTarballAge",
        "manifestOverrideUrl",
        "repoDownloads",
        "depth",
        "submodules",
    )
    mirror_sync_retry = 10  # how often a change that is not there yet is asked for again
    mirror_sync_sleep = 60.0  # seconds between

    def __init__(
        self,
        manifestURL: Any = None,
        manifestBranch: Any = "master",
        manifestFile: Any = "default.xml",
        tarball: Any = None,
        jobs: Any = None,
        syncAllBranches: Any = False,
        updateTarballAge: Any = SEVEN_DAYS,
        manifestOverrideUrl: Any = None,
        repoDownloads: Any = None,
        depth: Any = 0,
        submodules: Any = False,
        syncQuietly: bool = False,
        *,
        manifest_url: Any = None,
        manifest_branch: Any = None,
        manifest_file: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifestURL = manifestURL or manifest_url
        self.manifestBranch = manifest_branch or manifestBranch
        self.manifestFile = manifest_file or manifestFile
        self.tarball = tarball
        self.jobs = jobs
        self.syncAllBranches = syncAllBranches
        self.updateTarballAge = updateTarballAge
        self.manifestOverrideUrl = manifestOverrideUrl
        self.repoDownloads = repoDownloads
        self.depth = depth
        self.submodules = submodules
        self.syncQuietly = syncQuietly
        if not self.manifestURL:
            error("Repo needs a manifestURL")
        if isinstance(tarball, str) and not tarball.startswith("/"):
            error(f"Repo: tarball is an absolute path on the slave, not {tarball!r}")
        if not (repoDownloads is None or isinstance(repoDownloads, (list, tuple)) or is_renderable(repoDownloads)):
            error(f"Repo: repoDownloads is a list of 'PROJECT NUMBER/PATCHSET', not {repoDownloads!r}")
        for each in repoDownloads if isinstance(repoDownloads, (list, tuple)) else ():
            if isinstance(each, str) and _DOWNLOAD.fullmatch(each) is None:
                error(f"Repo: a download is 'PROJECT NUMBER/PATCHSET', not {each!r}")

    # -- Source

    async def check_out(self, branch: str | None, revision: str | None) -> None:
        downloads, of_manifest = self._downloads()
        anew = self.mode == "full" or not await self.exists(self._path(".repo"))
        try:
            await self._sync(of_manifest, anew)
        except BuildStepFailed:
            if anew or self.stopped:
                raise
            self.say("that failed; removing everything and beginning anew\n")
            await self._sync(of_manifest, anew=True)
        await self._keep_in_tarball()
        done = [await self._download(each) for each in downloads]
        self.build.setProperty("repo_downloaded", "".join(done), "Source")

    async def got_revision(self) -> str | None:
        return None  # there is no one revision; the log shows the manifest with those of all projects

    # -- parts of it

    def _path(self, *names: str) -> str:
        return posixpath.join(str(self.workdir), *names)

    def _downloads(self) -> tuple[list[str], list[str]]:
        """What `repo` is to download, and refs of changes of the manifest itself, which it cannot."""
        others, refs = [], []
        manifest = str(self.manifestURL).rstrip("/").removesuffix(".git")
        for each in self.repoDownloads or ():
            found = _DOWNLOAD.fullmatch(str(each))
            if found is None:
                self.fail(f"{each!r} cannot be downloaded: write PROJECT NUMBER/PATCHSET")
                break
            project, number, patch_set = found.groups()
            if manifest.endswith(f"/{project.removesuffix('.git')}"):
                refs.append(f"refs/changes/{int(number) % 100:02d}/{int(number)}/{int(patch_set)}")
            else:
                others.append(str(each))
        return others, refs

    async def _sync(self, of_manifest: list[str], anew: bool) -> None:
        if anew:
            await self.remove(str(self.workdir))
            await self._must_do("mkdir", {"dir": str(self.workdir)}, f"{self.workdir} cannot be made")
            await self._begin_with_tarball()
        if await self.exists(self._path(".repo", "manifests")):
            await self._clean()
        words = ["init", "-u", str(self.manifestURL), "-b", str(self.manifestBranch), "-m", str(self.manifestFile)]
        words += ["--depth", str(int(self.depth or 0)), *(["--submodules"] if self.submodules else [])]
        await self._repo(*words)
        if self.manifestOverrideUrl:
            await self._override(str(self.manifestOverrideUrl))
        for ref in of_manifest:
            manifests = self._path(".repo", "manifests")
            await self._must(["git", "fetch", "--", str(self.manifestURL), ref], workdir=manifests)
            await self._must(["git", "cherry-pick", "FETCH_HEAD"], workdir=manifests)
        words = ["sync", "--force-sync"]
        if self.jobs:
            words.append(f"-j{int(self.jobs)}")
        if not self.syncAllBranches:
            words.append("-c")
        if self.syncQuietly:
            words.append("-q")
        await self._repo(*words)
        await self._repo("manifest", "-r", "-o", "manifest-original.xml")
        await self.shell(["cat", "manifest-original.xml"])

    async def _clean(self) -> None:
        """Bring manifests and projects into the state of their last commits, whatever was done to them. What cannot be
        mended here fails in what follows."""
        for pattern in (".repo/**/*.lock", ".repo/manifests/.git/*.lock"):
            for lock in await self.find(self._path(pattern)):
                await self.remove(lock)
        manifests = self._path(".repo", "manifests")
        await self.shell(["git", "fetch", "origin"], workdir=manifests)
        await self.shell(["git", "reset", "--hard", f"remotes/origin/{self.manifestBranch}"], workdir=manifests)
        await self.shell(["git", "config", "branch.default.merge", str(self.manifestBranch)], workdir=manifests)
        await self.shell(["ln", "-sf", f"manifests/{self.manifestFile}", "manifest.xml"], workdir=self._path(".repo"))
        await self.shell(["repo", "forall", "-c", "git clean -f -f -d -x; git reset --hard HEAD"])
        await self.shell(["rm", "-f", ".repo/project.list"])

    async def _override(self, url: str) -> None:
        if "://" not in url and await self.exists(self._path(url)):
            await self._must(["cp", "-f", "--", url, OVERRIDE])
        else:
            await self._must(["wget", "-O", OVERRIDE, "--", url])
        await self._must(["ln", "-sf", f"../{OVERRIDE}", "manifest.xml"], workdir=self._path(".repo"))

    async def _download(self, what: str) -> str:
        """Download a change; how `repo_downloaded` tells of it."""
        left = self.mirror_sync_retry
        while True:
            done = await self.shell(["repo", "download", *what.split(" ")], collect=True, collect_errors=True)
            said = f"{done.stdout}\n{done.stderr}"
            if not _NO_SUCH_REF.search(said):
                break
            if left <= 0:
                self.fail(f"the change {what} does not exist")
            left -= 1
            self.say(f"{what} is not there (yet); asking again in {self.mirror_sync_sleep:g} s\n")
            await self._rest(self.mirror_sync_sleep)
        if done.rc != 0 or _CONFLICT.search(said):
            await self.shell(["repo", "forall", "-c", "git", "diff", "HEAD"])  # shows what is in conflict
            self.fail(f"download failed: {what}")
        fetched, now = _FETCHED.search(said), _NOW_AT.search(said)
        return f"{fetched[1]}/{fetched[2]} {now[1]} " if fetched and now else ""

    # -- the tarball

    def _tar(self) -> list[str]:
        ending = next((options for name, options in _TAR.items() if str(self.tarball).endswith(name)), ())
        return ["tar", *ending]

    async def _begin_with_tarball(self) -> None:
        if not self.tarball:
            return
        if (await self.shell([*self._tar(), "-xf", str(self.tarball)])).rc != 0:
            await self.shell(["rm", "-f", str(self.tarball)])  # none, or a damaged one
            await self.remove(self._path(".repo"))

    async def _keep_in_tarball(self) -> None:
        if not self.tarball or self.updateTarballAge is None:
            return
        age = await self._age_of_tarball()
        if age is not None and age <= float(self.updateTarballAge):
            return
        part = f"{self.tarball}.{slug_of(str(self.build.builddir))}.part"
        made = await self.shell([*self._tar(), "-cf", part, ".repo"])
        if made.rc == 0:
            made = await self.shell(["mv", "-f", part, str(self.tarball)])
        if made.rc != 0:
            await self.shell(["rm", "-f", part])

    async def _age_of_tarball(self) -> float | None:
        """In seconds, by the slave's clock; None when there is none."""
        made = await self.shell(["stat", "-c%Y", str(self.tarball)], collect=True)
        if made.rc != 0:
            return None
        now = await self.shell(["date", "+%s"], collect=True)
        try:
            return float(now.stdout) - float(made.stdout)
        except ValueError:
            return None

    # -- commands

    async def _repo(self, *words: str) -> None:
        await self._must(["repo", *words])

    async def _must(self, argv: list[str], workdir: str | None = None) -> RemoteShellCommand:
        done = await self.shell(argv, workdir=workdir)
        if done.rc != 0:
            self.fail(f"{' '.join(argv[:2])} failed")
        return done
