"""Every SQL statement that only reports of builds need (mails and other messages to people)."""

from __future__ import annotations

from buildbot.model import Build, BuildID, Result
from buildbot.store import builds
from buildbot.store.store import Queries

CONCLUSIVE = (Result.SUCCESS, Result.WARNINGS, Result.FAILURE, Result.EXCEPTION)


def conclusive_before(store: Queries, build: Build) -> Build | None:
    """The newest earlier build of the same builder that said something about the source.

    Builds that were cancelled, skipped or retried say nothing: they neither break nor fix anything.
    """
    return store.first(
        builds.row,
        f"SELECT {builds.COLUMNS} FROM builds AS b WHERE b.builder_id = ? AND b.number < ? "
        "AND b.result IN (?, ?, ?, ?) ORDER BY b.number DESC LIMIT 1",
        build.builder_id,
        build.number,
        *CONCLUSIVE,
    )


def schedulers_of(store: Queries, build: BuildID) -> list[str]:
    """The names of the schedulers that asked for a build; none for one made by hand."""
    return store.column(
        "SELECT DISTINCT s.scheduler FROM build_requests_of_builds AS m "
        "JOIN build_requests AS r ON r.id = m.request_id JOIN buildsets AS s ON s.id = r.buildset_id "
        "WHERE m.build_id = ? AND s.scheduler IS NOT NULL ORDER BY s.scheduler LIMIT 100",
        build,
    )
