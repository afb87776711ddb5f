"""Steps that write with git: into the repository of the working directory, and from there to a server."""

from __future__ import annotations

from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.credentials import with_password_masked
from buildbot.process.rendering import is_renderable
from buildbot.process.results import SUCCESS
from buildbot.steps.source.commands import url_word
from buildbot.steps.source.gitprogram import GitStep, LogsIn

EMPTY_COMMITS = ("disallow", "create-empty-commit", "ignore")


class GitCommit(GitStep):
    """Add files to the index and commit it, on the branch that is checked out.

    paths: list of what is added, relative to `workdir`; directories with all that is in them. messages: list of the
    paragraphs of the commit's message. emptyCommits: when nothing has changed, `disallow` (default) fails,
    `create-empty-commit` commits, `ignore` does nothing. no_verify: leave out the hooks pre-commit and commit-msg.
    config: with "user.name" and "user.email", unless the slave's git knows them. The other arguments are those of
    `GitStep`.
    """

    name = "gitcommit"
    description: Any = ("committing",)
    descriptionDone: Any = ("commit",)
    renderables: ClassVar[Any] = ("paths", "messages")

    def __init__(
        self,
        workdir: Any = None,
        paths: Any = None,
        messages: Any = None,
        env: Any = None,
        timeout: Any = 20 * 60,
        logEnviron: bool = True,
        emptyCommits: str = "disallow",
        config: Any = None,
        no_verify: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(env=env, timeout=timeout, logEnviron=logEnviron, config=config, **_placed(workdir, kwargs))
        self.paths = paths
        self.messages = messages
        self.emptyCommits = emptyCommits
        self.no_verify = no_verify
        _check_list("GitCommit", "paths", paths)
        _check_list("GitCommit", "messages", messages)
        if emptyCommits not in EMPTY_COMMITS:
            error(f"GitCommit: emptyCommits is one of {', '.join(EMPTY_COMMITS)}, not {emptyCommits!r}")

    async def run(self) -> int:
        if (await self.git("symbolic-ref", "HEAD")).rc != 0:
            self.fail("no branch is checked out; name one in the step that checks out")
        await self.must("add", "--", *self.paths, complaint="git add failed")
        if self.emptyCommits == "ignore" and (await self.git("diff", "--cached", "--quiet")).rc == 0:
            self.descriptionDone = "nothing to commit"
            return SUCCESS
        words = ["commit"]
        for message in self.messages:
            words += ["-m", message]
        if self.emptyCommits == "create-empty-commit":
            words.append("--allow-empty")
        if self.no_verify:
            words.append("--no-verify")
        await self.must(*words, complaint="git commit failed")
        return SUCCESS


class GitTag(GitStep):
    """Give the commit that is checked out a tag.

    tagName: its name. annotated: whether it is an object with a message; messages: list of that message's paragraphs,
    to be given with annotated=True alone. force: move a tag that is there already. The other arguments are those of
    `GitStep`.
    """

    name = "gittag"
    description: Any = ("tagging",)
    descriptionDone: Any = ("tag",)
    renderables: ClassVar[Any] = ("tagName", "messages")

    def __init__(
        self,
        workdir: Any = None,
        tagName: Any = None,
        annotated: bool = False,
        messages: Any = None,
        force: bool = False,
        env: Any = None,
        timeout: Any = 20 * 60,
        logEnviron: bool = True,
        config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(env=env, timeout=timeout, logEnviron=logEnviron, config=config, **_placed(workdir, kwargs))
        self.tagName = tagName
        self.annotated = annotated
        self.messages = messages
        self.force = force
        if not tagName:
            error("GitTag needs a tagName")
        if annotated:
            _check_list("GitTag", "messages", messages)
        elif messages:
            error("GitTag: messages belong to annotated=True")

    async def run(self) -> int:
        words = ["tag"]
        if self.annotated:
            words.append("--annotate")
            for message in self.messages:
                words += ["-m", message]
        if self.force:
            words.append("--force")
        await self.must(*words, "--", str(self.tagName), complaint=f"the tag {self.tagName} cannot be made")
        return SUCCESS


class GitPush(LogsIn):
    """Push a branch or tag from the working directory to a server.

    repourl: where to. branch: what, as `git push` takes it: `main`, `main:other`, `refs/tags/v1`. force: also when that
    loses commits there. port, sshPrivateKey, sshHostKey, sshKnownHosts, auth_credentials, git_credentials: see
    `LogsIn`. The other arguments are those of `GitStep`.
    """

    name = "gitpush"
    description: Any = ("pushing",)
    descriptionDone: Any = ("push",)
    renderables: ClassVar[Any] = ("repourl", "branch")

    def __init__(
        self,
        workdir: Any = None,
        repourl: Any = None,
        port: Any = 22,
        branch: Any = None,
        force: bool = False,
        env: Any = None,
        timeout: Any = 20 * 60,
        logEnviron: bool = True,
        sshPrivateKey: Any = None,
        sshHostKey: Any = None,
        sshKnownHosts: Any = None,
        auth_credentials: Any = None,
        git_credentials: Any = None,
        config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            port=port,
            sshPrivateKey=sshPrivateKey,
            sshHostKey=sshHostKey,
            sshKnownHosts=sshKnownHosts,
            auth_credentials=auth_credentials,
            git_credentials=git_credentials,
            config=config,
            env=env,
            timeout=timeout,
            logEnviron=logEnviron,
            **_placed(workdir, kwargs),
        )
        self.repourl = repourl
        self.branch = branch
        self.force = force
        if not repourl:
            error("GitPush needs a repourl")
        if not branch:
            error("GitPush needs a branch")

    async def run(self) -> int:
        url = self.address(str(self.repourl))
        return await self.logged_in(url, lambda: self._push(url))

    async def _push(self, url: str) -> int:
        words = ["push", *(["--force"] if self.force else []), "--", url_word(url), str(self.branch)]
        await self.must(*words, complaint=f"{self.branch} cannot be pushed to {with_password_masked(url)}")
        return SUCCESS


def _placed(workdir: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs if workdir is None else {**kwargs, "workdir": workdir}


def _check_list(owner: str, name: str, value: Any) -> None:
    if not value and not is_renderable(value):
        error(f"{owner} needs {name}")
    elif not isinstance(value, (list, tuple)) and not is_renderable(value):
        error(f"{owner}: {name} is a list of strings, not {value!r}")
