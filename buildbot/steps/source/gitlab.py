"""The GitLab step: Git that fetches a merge request from the project it comes from."""

from __future__ import annotations

from buildbot.steps.source.git import Git


class GitLab(Git):
    """Check out from GitLab. As Git; in a build of a merge request it fetches the branch that is proposed, from the
    project that it is in.

    GitLab's hook sets the properties that tell of it: `target_branch` (there is one), `source_branch`, and
    `source_repository` if `repourl` is a web address, else `source_git_ssh_url`. In a build of several codebases it
    is the step whose `repourl` is `target_repository` or `target_git_ssh_url`.
    """

    def _is_for(self, url: str) -> bool:
        """Whether the build is of a merge request for the project at `url`."""
        if not self.build.hasProperty("target_branch"):
            return False
        targets = [self.getProperty(name) for name in ("target_repository", "target_git_ssh_url")]
        return len(self.build.sources) == 1 or url in targets

    def url_of(self, repository: str) -> str:
        usual = super().url_of(repository)
        if not self._is_for(usual):
            return usual
        name = "source_repository" if usual.startswith(("http://", "https://")) else "source_git_ssh_url"
        source = str(self.getProperty(name) or "")
        if not source or source.startswith("-") or "\n" in source or "\0" in source:
            self.fail(f"the build is of a merge request, but its property {name} names no repository")
        return source

    async def check_out(self, branch: str | None, revision: str | None) -> None:
        stamp = self.build.getSourceStamp(self.codebase)
        if self._is_for(super().url_of(stamp.repository)):
            branch = str(self.getProperty("source_branch") or "") or None
        await super().check_out(branch, revision)
