"""Every SQL statement about logs. Their bytes are in files: see buildbot.store.logfiles."""

from __future__ import annotations

from buildbot.model import BuildID, Log, LogID, StepID
from buildbot.store.store import Queries, Store

COLUMNS = (
    "l.id, l.step_id, l.name, l.slug, l.kind, l.path, l.size, l.lines, l.created_at, l.finished_at, "
    "l.removed_at, l.removed_by, l.packed_as"
)


def add(store: Store, *, step: StepID, name: str, slug: str, kind: str, path: str, now: float) -> LogID:
    """The log's row; on a replay of the journal, the one that is there already."""
    known = store.value("SELECT id FROM logs WHERE step_id = ? AND slug = ?", step, slug)
    if known is not None:
        return LogID(known)
    return LogID(
        store.insert(
            "INSERT INTO logs (step_id, name, slug, kind, path, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            step,
            name,
            slug,
            kind,
            path,
            now,
        )
    )


def is_known(store: Store, step: StepID, slug: str) -> bool:
    return store.value("SELECT 1 FROM logs WHERE step_id = ? AND slug = ?", step, slug) is not None


def finish(store: Store, id: LogID, size: int, lines: int, now: float) -> None:
    store.execute(
        "UPDATE logs SET size = ?, lines = ?, finished_at = ? WHERE id = ? AND finished_at IS NULL",
        size,
        lines,
        now,
        id,
    )


def reopen(store: Store, step: StepID) -> None:
    """The step goes on after a restart, and perhaps its logs do."""
    store.execute("UPDATE logs SET finished_at = NULL, size = NULL, lines = NULL WHERE step_id = ?", step)


def get(store: Queries, id: LogID) -> Log | None:
    return store.first(Log, f"SELECT {COLUMNS} FROM logs AS l WHERE l.id = ?", id)


def by_slug(store: Queries, step: StepID, slug: str) -> Log | None:
    return store.first(Log, f"SELECT {COLUMNS} FROM logs AS l WHERE l.step_id = ? AND l.slug = ?", step, slug)


def of_build(store: Queries, build: BuildID) -> list[Log]:
    return store.all(
        Log,
        f"SELECT {COLUMNS} FROM steps AS s JOIN logs AS l ON l.step_id = s.id WHERE s.build_id = ? "
        "ORDER BY s.number, l.id",
        build,
    )


def of_step(store: Queries, step: StepID) -> list[Log]:
    return store.all(Log, f"SELECT {COLUMNS} FROM logs AS l WHERE l.step_id = ? ORDER BY l.id", step)


def left_open(store: Queries, build: BuildID | None = None) -> list[Log]:
    """The logs of steps that have ended, of one build or of all: nobody goes on with them."""
    return store.all(
        Log,
        f"SELECT {COLUMNS} FROM logs AS l JOIN steps AS s ON s.id = l.step_id "
        "WHERE l.finished_at IS NULL AND s.complete_at IS NOT NULL AND (? IS NULL OR s.build_id = ?) ORDER BY l.id",
        build,
        build,
    )


def to_pack(store: Queries, before: float, limit: int) -> list[Log]:
    """Logs that were finished before then and that nobody has looked at since, the oldest first.

    Those of builds that still run are not among them: after a restart a step may open its log again.
    """
    return store.all(
        Log,
        f"SELECT {COLUMNS} FROM logs AS l JOIN steps AS s ON s.id = l.step_id JOIN builds AS b ON b.id = s.build_id "
        "WHERE l.packed_as IS NULL AND l.removed_at IS NULL AND l.finished_at < ? AND b.complete_at IS NOT NULL "
        "ORDER BY l.finished_at LIMIT ?",
        before,
        limit,
    )


def set_packed(store: Store, id: LogID, packed_as: str) -> bool:
    """Write down how the log's file is now. False when the log is gone or removed."""
    return bool(
        store.execute(
            "UPDATE logs SET packed_as = ? WHERE id = ? AND packed_as IS NULL AND removed_at IS NULL", packed_as, id
        )
    )
