"""Every SQL statement about the journal: the remote commands of each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from buildbot.model import JSON, BuildID, CommandID, CommandState, RemoteCommandRow, SlaveID, StepID
from buildbot.store.store import Queries, Store

GAP = 100_000  # more commands than can be ordered between two checkpoints of the store
COLUMNS = "id, step_id, ordinal, name, args, state, incarnation, ordered_at, finished_at, outcome, left_at"


def row(
    id: int,
    step_id: int,
    ordinal: int,
    name: str,
    args: str,
    state: str,
    incarnation: str | None,
    ordered_at: float,
    finished_at: float | None,
    outcome: str | None,
    left_at: float | None,
) -> RemoteCommandRow:
    return RemoteCommandRow(
        CommandID(id),
        StepID(step_id),
        ordinal,
        name,
        json.loads(args),
        CommandState(state),
        incarnation,
        ordered_at,
        finished_at,
        None if outcome is None else json.loads(outcome),
        left_at,
    )


def order(
    store: Store,
    *,
    step: StepID,
    ordinal: int,
    name: str,
    args: dict[str, Any],
    incarnation: str | None,
    now: float,
) -> CommandID:
    """Write down what is about to be asked of the slave."""
    return CommandID(
        store.insert(
            "INSERT INTO commands (step_id, ordinal, name, args, state, incarnation, ordered_at) "
            "VALUES (?, ?, ?, ?, 'ordered', ?, ?)",
            step,
            ordinal,
            name,
            json.dumps(args, default=repr),
            incarnation,
            now,
        )
    )


def leave_a_gap(store: Store, size: int = GAP) -> None:
    """Give none of the next ids. A loss of power may have taken the newest commands from the store, but not from the
    slaves that got them: an order under the id of one of those would be taken for that one."""
    store.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'commands', 0 "
        "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'commands')"
    )
    store.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'commands'", size)


def remember(store: Store, step: StepID, ordinal: int, name: str, work: Callable[[Store], JSON], now: float) -> JSON:
    """The value of `work(store)`, which is done in the transaction that writes it down."""
    value = work(store)
    store.insert(
        "INSERT INTO commands (step_id, ordinal, name, args, state, ordered_at, finished_at, outcome) "
        "VALUES (?, ?, ?, '{}', 'finished', ?, ?, ?)",
        step,
        ordinal,
        name,
        now,
        now,
        json.dumps({"value": value}),
    )
    return value


def running(store: Store, id: CommandID) -> bool:
    """The slave has taken the order."""
    return bool(store.execute("UPDATE commands SET state = 'running' WHERE id = ? AND state = 'ordered'", id))


def finish(store: Store, id: CommandID, outcome: dict[str, Any], now: float) -> bool:
    return bool(
        store.execute(
            "UPDATE commands SET state = 'finished', finished_at = ?, outcome = ? "
            "WHERE id = ? AND state IN ('ordered', 'running')",
            now,
            json.dumps(outcome, default=repr),
            id,
        )
    )


def lose(store: Store, id: CommandID, now: float, *, gone: bool = False) -> bool:
    """Nobody waits for it any more. gone: it does not run on its slave any more either."""
    return bool(
        store.execute(
            "UPDATE commands SET state = 'lost', finished_at = ?, left_at = ? "
            "WHERE id = ? AND state IN ('ordered', 'running')",
            now,
            None if gone else now,
            id,
        )
    )


def of_open_builds(store: Queries, ids: Sequence[CommandID]) -> list[CommandID]:
    """Those of these whose builds have not ended."""
    return store.all(
        CommandID,
        "SELECT c.id FROM commands AS c JOIN steps AS s ON s.id = c.step_id JOIN builds AS b ON b.id = s.build_id "
        "WHERE c.id IN (SELECT value FROM json_each(?)) AND b.complete_at IS NULL",
        json.dumps(list(ids)),
    )


def let_go(store: Store, id: CommandID) -> bool:
    """The slave has dropped it."""
    return bool(store.execute("UPDATE commands SET left_at = NULL WHERE id = ? AND left_at IS NOT NULL", id))


def let_go_of(store: Store, slave: SlaveID, but: Sequence[CommandID] = ()) -> int:
    """Of all that was left on this slave nothing runs there any more, but for these. How many there were."""
    return store.execute(
        "UPDATE commands SET left_at = NULL WHERE left_at IS NOT NULL AND id NOT IN (SELECT value FROM json_each(?)) "
        "AND step_id IN (SELECT s.id FROM builds AS b JOIN steps AS s ON s.build_id = b.id WHERE b.slave_id = ?)",
        json.dumps(list(but)),
        slave,
    )


def left_of(store: Queries, slave: SlaveID) -> list[CommandID]:
    """What nobody waits for and may still run on this slave: the newest hundred."""
    return [
        CommandID(id)
        for id in store.column(
            "SELECT c.id FROM commands AS c JOIN steps AS s ON s.id = c.step_id JOIN builds AS b ON b.id = s.build_id "
            "WHERE c.left_at IS NOT NULL AND b.slave_id = ? ORDER BY c.id DESC LIMIT 100",
            slave,
        )
    ]


def left_on(store: Queries) -> dict[SlaveID, int]:
    """How many commands that nobody waits for may still run on each slave; slaves without any are left out."""
    return dict(
        store.all(
            lambda slave, count: (SlaveID(slave), int(count)),
            "SELECT b.slave_id, count(*) FROM commands AS c JOIN steps AS s ON s.id = c.step_id "
            "JOIN builds AS b ON b.id = s.build_id WHERE c.left_at IS NOT NULL AND b.slave_id IS NOT NULL "
            "GROUP BY b.slave_id",
        )
    )


class AtSlave(NamedTuple):
    """A command that a slave may run. left_at: when it was given up; None: its build waits for it."""

    slave: str
    name: str
    args: dict[str, Any]
    ordered_at: float
    left_at: float | None
    builder: str
    number: int
    step: str


def at_slaves(store: Queries, slaves: Sequence[SlaveID], limit: int) -> list[AtSlave]:
    """What may run on these slaves, oldest first."""

    def make(slave: str, name: str, args: str, *rest: Any) -> AtSlave:
        return AtSlave(slave, name, json.loads(args), *rest)

    return store.all(
        make,
        "SELECT sl.name, c.name, c.args, c.ordered_at, c.left_at, br.name, b.number, s.name FROM ("
        "SELECT * FROM commands WHERE state IN ('ordered', 'running') UNION ALL "
        "SELECT * FROM commands WHERE left_at IS NOT NULL) AS c "
        "JOIN steps AS s ON s.id = c.step_id JOIN builds AS b ON b.id = s.build_id "
        "JOIN builders AS br ON br.id = b.builder_id JOIN slaves AS sl ON sl.id = b.slave_id "
        "WHERE sl.id IN (SELECT value FROM json_each(?)) ORDER BY c.id LIMIT ?",
        json.dumps(list(slaves)),
        limit,
    )


def open_on(store: Queries, slave: SlaveID) -> list[CommandID]:
    """What the running builds of a slave wait for there, oldest first."""
    return [
        CommandID(id)
        for id in store.column(
            "SELECT c.id FROM commands AS c JOIN steps AS s ON s.id = c.step_id JOIN builds AS b ON b.id = s.build_id "
            "WHERE c.state IN ('ordered', 'running') AND b.slave_id = ? AND b.complete_at IS NULL ORDER BY c.id",
            slave,
        )
    ]


def open_of(store: Queries, build: BuildID) -> list[CommandID]:
    """What a running build waits for on its slave."""
    return [
        CommandID(id)
        for id in store.column(
            "SELECT c.id FROM commands AS c JOIN steps AS s ON s.id = c.step_id "
            "WHERE c.state IN ('ordered', 'running') AND s.build_id = ?",
            build,
        )
    ]


def newest_of(store: Queries, build: BuildID) -> RemoteCommandRow | None:
    """The last thing that a build asked of its slave."""
    return store.first(
        row,
        f"SELECT {COLUMNS} FROM commands WHERE incarnation IS NOT NULL "
        "AND step_id IN (SELECT id FROM steps WHERE build_id = ?) ORDER BY id DESC LIMIT 1",
        build,
    )


def get(store: Queries, id: CommandID) -> RemoteCommandRow | None:
    return store.first(row, f"SELECT {COLUMNS} FROM commands WHERE id = ?", id)


def of_step(store: Queries, step: StepID) -> list[RemoteCommandRow]:
    return store.all(row, f"SELECT {COLUMNS} FROM commands WHERE step_id = ? ORDER BY ordinal", step)
