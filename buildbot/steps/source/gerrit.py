"""The Gerrit step: Git that fetches a change under review."""

from __future__ import annotations

from typing import Any

from buildbot.steps.source.git import Git


class Gerrit(Git):
    """Check out from Gerrit. As Git; in a build of a change under review it fetches that instead of the branch, and
    sets the property `gerrit_branch` to its ref. The change is, in this order:

    - the property `event.patchSet.ref`, as the Gerrit change source sets it;
    - the property `gerrit_change`: "NUMBER/PATCHSET", for somebody who forces a build;
    - the property `gerrit_changes`: a list with one such string, or one dictionary with `change_id` (the number) and
      `revision_id` (the patch set).

    A change of another project than that of the step's source stamp is not fetched.
    """

    async def check_out(self, branch: str | None, revision: str | None) -> None:
        ref = self._ref_under_review()
        if ref is not None:
            self.set_source_property("gerrit_branch", ref)
            branch = ref
        await super().check_out(branch, revision)

    def _ref_under_review(self) -> str | None:
        changed = self.getProperty("event.change.project")
        project = self.build.getSourceStamp(self.codebase).project
        if changed and project and changed != project:
            return None
        ref = self.getProperty("event.patchSet.ref")
        if ref:
            if not str(ref).startswith("refs/"):
                self.fail(f"{ref!r} is not the ref of a change")
            return str(ref)
        return self._named(self.getProperty("gerrit_change")) or self._named_in(self.getProperty("gerrit_changes"))

    def _named_in(self, given: Any) -> str | None:
        if not given:
            return None
        if not isinstance(given, (list, tuple)):
            given = [given]
        if len(given) > 1:
            self.fail("gerrit_changes has several changes; one commit is checked out, so there can be one only")
        one = given[0]
        return self._named(f"{one.get('change_id')}/{one.get('revision_id')}" if isinstance(one, dict) else one)

    def _named(self, change: Any) -> str | None:
        """The ref of "NUMBER/PATCHSET"."""
        if not change:
            return None
        number, _, patch_set = str(change).strip().partition("/")
        if not (number.isdecimal() and patch_set.isdecimal()):
            self.fail(f"{change!r} is not a change: write NUMBER/PATCHSET")
        return f"refs/changes/{int(number) % 100:02d}/{int(number)}/{int(patch_set)}"
