"""How an older store becomes a current one.

`UPGRADES[n]` brings schema n + 1 to schema n + 2; the tuple is append-only and each entry is a plain function over
the open store, run inside one transaction with foreign keys off and checked before the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buildbot.store.store import Store

FIRST_SCHEMA = 1

_TO_2 = """
ALTER TABLE builds ADD COLUMN stop_reason TEXT;
ALTER TABLE builds ADD COLUMN stop_result INTEGER;
ALTER TABLE builds ADD COLUMN stop_step INTEGER;
ALTER TABLE builds ADD COLUMN recipe TEXT CHECK (recipe IS NULL OR json_valid(recipe));
ALTER TABLE builds ADD COLUMN slot INTEGER NOT NULL DEFAULT 1;
ALTER TABLE build_requests_of_builds ADD COLUMN merged_because TEXT;
ALTER TABLE steps ADD COLUMN words TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(words));
ALTER TABLE steps ADD COLUMN statistics TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(statistics));
ALTER TABLE steps ADD COLUMN locks_since REAL;
ALTER TABLE steps ADD COLUMN code_began_at REAL;
ALTER TABLE steps ADD COLUMN made_steps INTEGER NOT NULL DEFAULT 0 CHECK (made_steps IN (0, 1));
ALTER TABLE steps ADD COLUMN began_with TEXT CHECK (began_with IS NULL OR json_valid(began_with));
ALTER TABLE build_properties ADD COLUMN literal TEXT;
ALTER TABLE logs ADD COLUMN packed_as TEXT;
ALTER TABLE build_requests ADD COLUMN cancelled_because TEXT;
CREATE TABLE absences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slave_id INTEGER REFERENCES slaves ON DELETE CASCADE,
    began_at REAL NOT NULL,
    ended_at REAL NOT NULL,
    why TEXT NOT NULL
) STRICT;
CREATE INDEX absences_time ON absences (began_at);
CREATE TABLE pauses (
    kind TEXT NOT NULL CHECK (kind IN ('builder', 'slave', 'scheduler')),
    name TEXT NOT NULL,
    graceful INTEGER NOT NULL CHECK (graceful IN (0, 1)),
    paused_at REAL NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX buildsets_scheduler ON buildsets (scheduler, id) WHERE scheduler IS NOT NULL;
CREATE INDEX buildsets_external ON buildsets (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX changes_arrived ON changes (arrived_at);
CREATE INDEX source_stamps_revision ON source_stamps (revision) WHERE revision IS NOT NULL;
CREATE INDEX build_requests_waiting ON build_requests (id) WHERE claimed_at IS NULL AND complete_at IS NULL;
CREATE INDEX build_requests_children ON build_requests (builder_id, priority DESC, submitted_at, id)
    WHERE waited_for = 1 AND claimed_at IS NULL AND complete_at IS NULL;
ALTER TABLE commands ADD COLUMN left_at REAL;
CREATE INDEX commands_left ON commands (id) WHERE left_at IS NOT NULL;
CREATE INDEX operator_actions_subject ON operator_actions (subject, id);
CREATE INDEX logs_removed ON logs (removed_at, id) WHERE removed_at IS NOT NULL;
CREATE INDEX logs_unpacked ON logs (finished_at) WHERE packed_as IS NULL AND removed_at IS NULL;
CREATE INDEX build_requests_builder ON build_requests (builder_id, id);
CREATE INDEX classifications_buildset ON classifications (buildset_id) WHERE buildset_id IS NOT NULL;
CREATE TABLE retention_passes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    began_at REAL NOT NULL,
    ended_at REAL,
    removed TEXT NOT NULL CHECK (json_valid(removed)),
    problem TEXT
) STRICT;
"""


def _run(store: Store, script: str) -> None:
    for statement in script.split(";"):
        if statement.strip():
            store.execute(statement)


def _to_2(store: Store) -> None:
    """What durable builds, pauses and retention need."""
    _run(store, _TO_2)


_TO_3 = """
CREATE TABLE build_data (
    build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (build_id, name)
) STRICT;
CREATE TABLE test_result_sets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    builder_id INTEGER NOT NULL REFERENCES builders,
    build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE,
    step_id INTEGER NOT NULL REFERENCES steps ON DELETE CASCADE,
    number INTEGER NOT NULL,
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    value_unit TEXT NOT NULL,
    told INTEGER NOT NULL,
    passed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    UNIQUE (step_id, number)
) STRICT;
CREATE INDEX test_result_sets_build ON test_result_sets (build_id, id);
CREATE INDEX test_result_sets_builder ON test_result_sets (builder_id, id);
CREATE TABLE test_texts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    builder_id INTEGER NOT NULL REFERENCES builders,
    text TEXT NOT NULL,
    used_by INTEGER NOT NULL,
    UNIQUE (builder_id, text)
) STRICT;
CREATE INDEX test_texts_used ON test_texts (builder_id, used_by);
CREATE TABLE test_results (
    set_id INTEGER NOT NULL REFERENCES test_result_sets ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    name_id INTEGER,
    path_id INTEGER,
    line INTEGER,
    duration_ns INTEGER,
    value TEXT NOT NULL,
    passed INTEGER CHECK (passed IN (0, 1)),
    details TEXT CHECK (details IS NULL OR json_valid(details)),
    PRIMARY KEY (set_id, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX test_results_failed ON test_results (set_id, name_id) WHERE passed = 0;
"""


def _to_3(store: Store) -> None:
    """A place for the results of tests, and for data of builds."""
    _run(store, _TO_3)


UPGRADES: tuple[Callable[[Store], None], ...] = (_to_2, _to_3)

SCHEMA_VERSION = FIRST_SCHEMA + len(UPGRADES)
