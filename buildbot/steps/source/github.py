"""The GitHub step: Git that knows the refs of pull requests."""

from __future__ import annotations

import re

from buildbot.steps.source.git import Git

_PULL = re.compile(r"(?:refs/)?pull/(\d+)/(head|merge)")


class GitHub(Git):
    """Check out from GitHub. As Git; the branch `refs/pull/N/merge` (also `pull/N/merge`) is what GitHub makes of a
    pull request and its target, always the newest, because its commit is not the one that the pull request names;
    `refs/pull/N/head` is what was proposed, with its revision."""

    async def check_out(self, branch: str | None, revision: str | None) -> None:
        pull = _PULL.fullmatch(branch or self.branch or "")
        if pull is not None:
            branch = f"refs/pull/{pull[1]}/{pull[2]}"
        if (branch or self.branch or "").endswith("/merge"):
            revision = None
        await super().check_out(branch, revision)
